"""A question in, why it has the answer it has out: policies, conditions, roles and context that would have done.

Pure. Behind `lychgate policy explain` and `POST /explain`; everything said here was asked of Cedar.
"""

from typing import Any, Final

import msgspec

from policies.account import Account, Accountant, Verdict
from policies.changes import MOST_ASKED, Changes, smallest_changes
from policies.engine import Engine
from policies.model import Effect, PolicyError, Question
from roles.catalogue import Catalogue
from roles.enough import Enough, enough_roles
from roles.model import Principal
from roles.recorded import Recorded

FIXED: Final = frozenset({"cross_tenant"})
"""What stands in the context and is a setting of ours: nobody who asks can change it, and a request is not told how to
climb the wall between tenants."""

_USUAL_BYTES: Final = 4096
_ENCODER: Final = msgspec.json.Encoder()


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """Why.

    Attributes:
        policy_version: Of the policies that were asked.
        question: What Cedar was given: `principal`, `tenant`, `roles`, `action`, `resource`, `resource_tenant`,
            `context`.
        effect: The answer.
        reasons: The policies that decided; none for a deny because nothing allowed it.
        errors: Policies that could not be evaluated.
        policies: What became of each policy that has a say in the action.
        in_the_way: The forbids that applied or could not be evaluated, whatever the permits say.
        roles: Which would have been enough; empty for an allow.
        changes: Of the context, which would have been enough; empty for an allow.
    """

    policy_version: str
    question: dict[str, Any]
    effect: Effect
    reasons: tuple[str, ...]
    errors: tuple[PolicyError, ...]
    policies: tuple[Account, ...]
    in_the_way: tuple[str, ...]
    roles: Enough = Enough()
    changes: Changes = Changes((), complete=True)


class Explainer:
    """Explains with one engine and one catalogue; made anew when either changes.

    Args:
        engine: Decides.
        catalogue: Says which roles there are.
    """

    def __init__(self, engine: Engine, catalogue: Catalogue) -> None:
        self._engine = engine
        self._catalogue = catalogue
        self._accountant = Accountant(engine.bundle)

    def explain(self, question: Question, principal: Principal) -> Explanation:
        """Explain an answer; a deny costs at most some thousand questions (`policies.changes.MOST_ASKED`).

        Args:
            question: As it was, or would be, asked.
            principal: Whose it is.

        Raises:
            NoDecision: The question does not fit the schema.
        """
        decide = self._engine.decide
        answer = decide(question)
        accounts = self._accountant.account(question)
        stands = {Verdict.APPLIED, Verdict.ERROR}
        told = Explanation(
            policy_version=self._engine.bundle.version,
            question=_told(question, principal),
            effect=answer.effect,
            reasons=answer.reasons,
            errors=answer.errors,
            policies=accounts,
            in_the_way=tuple(a.policy for a in accounts if a.effect is Effect.DENY and a.verdict in stands),
        )
        if answer.allows:
            return told
        return msgspec.structs.replace(
            told,
            roles=enough_roles(question, principal, self._catalogue, decide),
            changes=smallest_changes(question, self._engine.bundle, decide, FIXED, _budget(question)),
        )


def _budget(question: Question) -> int:
    """How many questions like this one may be put: fewer of a large one, so that no explanation costs much more."""
    return min(MOST_ASKED, MOST_ASKED * _USUAL_BYTES // len(_ENCODER.encode(question)))


def as_json(explanation: Explanation, recorded: Recorded | None = None) -> dict[str, Any]:
    """An explanation as plain values: what `--json` prints and `POST /explain` answers.

    Args:
        explanation: Made with the policies in force.
        recorded: The decision it is about, where it was read from a record; what was decided then stands beside what
            would be decided now.
    """
    told: dict[str, Any] = {
        "policy_version": explanation.policy_version,
        "question": explanation.question,
        "decision": {
            "effect": explanation.effect,
            "reasons": explanation.reasons,
            "errors": explanation.errors,
        },
        "in_the_way": explanation.in_the_way,
        "policies": explanation.policies,
        "roles_enough": explanation.roles,
        "changes_enough": explanation.changes,
    }
    if recorded is not None:
        told["recorded"] = {
            "event_id": recorded.event_id,
            "effect": recorded.effect,
            "reasons": recorded.reasons,
            "policy_version": recorded.policy_version,
            "same_policies": recorded.policy_version == explanation.policy_version,
            "same_effect": recorded.effect == explanation.effect.value,
        }
    plain: dict[str, Any] = msgspec.json.decode(_ENCODER.encode(told))
    return plain


def _told(question: Question, principal: Principal) -> dict[str, Any]:
    """What Cedar was given, in plain words."""
    resource = next((entity for entity in question.entities if entity.uid == question.resource), None)
    return {
        "principal": question.principal.id,
        "tenant": principal.tenant_id,
        "roles": list(principal.roles),
        "action": question.action,
        "resource": {"type": question.resource.type, "id": question.resource.id},
        "resource_tenant": resource.attrs.get("tenant") if resource is not None else None,
        "context": dict(question.context),
    }
