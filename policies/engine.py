"""A question in, an answer with its evidence out; the only place that asks Cedar to decide. Pure.

How policies combine (DESIGN section 4): default deny; a `forbid` wins over every `permit`. Cedar skips a policy it
cannot evaluate, which for a `forbid` could turn a deny into an allow, so here an erroring `forbid` denies. An erroring
`permit` is ignored and reported. In strict mode any error denies.
"""

import json
import re
from collections.abc import Iterable
from typing import Final

import cedarpy
import msgspec

from policies.bundle import Bundle, Policy
from policies.errors import NoDecision
from policies.model import Answer, Effect, EntityUid, PolicyError, Question

_EVALUATION: Final = re.compile(r"error while evaluating policy `([^`]*)`: (.*)", re.DOTALL)
_QUOTED: Final = re.compile(r"`[^`]*`")
_EXTENSION: Final = re.compile(r"error while evaluating `[^`]*` extension function: .*", re.DOTALL)
_ENTITIES: Final = re.compile(r" from:\n.*\](?=: )", re.DOTALL)
_ENCODER: Final = msgspec.json.Encoder()


class Engine:
    """Decides with one bundle.

    Policies are parsed once. For each action only those are kept whose scope admits it, so that a decision does not pay
    for the policies of other actions (ADR 0011).
    """

    __slots__ = ("_slices", "bundle", "strict")

    def __init__(self, bundle: Bundle, *, strict: bool = False) -> None:
        self.bundle = bundle
        self.strict = strict
        parsed: dict[tuple[str, ...], cedarpy.PolicySet] = {}
        written = {policy.id: in_json(policy) for policy in bundle.policies.values()}
        self._slices: dict[EntityUid, cedarpy.PolicySet] = {}
        for uid in bundle.schema.actions:
            policies = bundle.slice(uid)
            key = tuple(policy.id for policy in policies)
            if key not in parsed:  # actions of one kind mostly share their policies
                parsed[key] = policy_set(written[policy.id] for policy in policies)
            self._slices[uid] = parsed[key]

    def parts(self) -> tuple[cedarpy.PolicySet, ...]:
        """What was parsed, for whoever frees it piece by piece."""
        return tuple({id(parsed): parsed for parsed in self._slices.values()}.values())

    def decide(self, question: Question) -> Answer:
        """Answer a question.

        Args:
            question: With every entity its policies may look into.

        Returns:
            An allow with the ids of the permits that matched; a deny with the ids of the forbids that matched or could
            not be evaluated (none: default deny). Errors in either.

        Raises:
            NoDecision: The question does not fit the schema: an unknown action, an attribute missing, in excess or of
                another type. It is to be treated as a deny and reported as our fault.
        """
        return self.decide_action(EntityUid("Action", question.action), question)

    def decide_action(self, action: EntityUid, question: Question, entities: cedarpy.Entities | None = None) -> Answer:
        """As `decide`, for an action of any namespace; the question's own action is not looked at.

        Args:
            action: What is asked for.
            question: As for `decide`.
            entities: Parsed once for many questions, with the schema; the question's own are then not looked at.
        """
        policies = self._slices.get(action)
        if policies is None:
            raise NoDecision("the schema declares no such action")
        try:
            context = _ENCODER.encode(question.context).decode()
            known = _ENCODER.encode(question.entities).decode() if entities is None else entities
            result = cedarpy.is_authorized(
                {
                    "principal": {"type": question.principal.type, "id": question.principal.id},
                    "action": {"type": action.type, "id": action.id},
                    "resource": {"type": question.resource.type, "id": question.resource.id},
                    "context": context,
                },
                policies,
                known,
                self.bundle.schema.handle,
            )
        except (ValueError, TypeError, OverflowError) as exc:  # for example a lone surrogate in an id
            raise NoDecision(f"the question cannot be written as JSON ({type(exc).__name__})") from None
        if result.decision is cedarpy.Decision.NoDecision:
            declared = self.bundle.schema.canonical  # comments may have backticks, and say nothing of the question
            raise NoDecision("; ".join(_without_values(text, declared, question) for text in result.diagnostics.errors))
        errors = tuple(self._error(text, question) for text in result.diagnostics.errors)
        return combine(result.decision is cedarpy.Decision.Allow, result.diagnostics.reasons, errors, self.strict)

    def _error(self, text: str, question: Question) -> PolicyError:
        """Cedar's message as a value. Which policy it is about stands only in the text."""
        found = _EVALUATION.fullmatch(text)
        policy = self.bundle.policies.get(found[1]) if found else None
        if found is None or policy is None:  # unreadable: taken for a forbid, which denies
            return PolicyError("", Effect.DENY, _without_values(text, "", question))
        return PolicyError(policy.id, policy.effect, _without_values(found[2], policy.text, question))


def combine(allowed: bool, reasons: Iterable[str], errors: tuple[PolicyError, ...], strict: bool) -> Answer:
    """The whole rule by which policies become a decision.

    Args:
        allowed: What Cedar says, having skipped the policies in `errors`.
        reasons: The permits that made it an allow, or the forbids that made it a deny.
        errors: Policies that could not be evaluated.
        strict: Whether an erroring permit denies, too.

    Returns:
        The answer, reasons and errors sorted.
    """
    errors = tuple(sorted(errors, key=lambda error: (error.policy_id, error.message)))
    denying = [error.policy_id for error in errors if strict or error.effect is Effect.DENY]
    if allowed and not denying:
        return Answer(Effect.ALLOW, tuple(sorted(reasons)), errors)
    forbids = () if allowed else reasons
    return Answer(Effect.DENY, tuple(sorted({*forbids, *denying})), errors)


def in_json(policy: Policy) -> str:
    """A policy as `policy_set` takes it: `"<id>":<tree>`."""
    return f"{json.dumps(policy.id)}:{json.dumps(policy.tree)}"


def policy_set(policies: Iterable[str]) -> cedarpy.PolicySet:
    """Parse policies, each as `in_json` writes it, under their own ids: Cedar would number them.

    Each is written once, for itself: one call that writes a thousand of them holds the loop of whoever is serving.
    """
    document = f'{{"staticPolicies":{{{",".join(policies)}}},"templates":{{}},"templateLinks":[]}}'
    return cedarpy.PolicySet.from_json_str(document, release_gil=True)


def _without_values(message: str, known: str, question: Question) -> str:
    """A message of Cedar's without what it says of the request: records and logs are read by many.

    Args:
        message: Quotes attribute names, entities and values alike, in backticks; an extension function's message and
            that of unreadable entities have values without any.
        known: The policy or the schema; what it contains may be quoted.
        question: As asked. Where it or `known` has a backtick of its own, quotes cannot be told from what they quote.
    """
    if "`" in known or b"`" in _ENCODER.encode(question):
        return "the message is withheld: a backtick in the question"
    message = _EXTENSION.sub("an extension function failed", _ENTITIES.sub("", message))
    return _QUOTED.sub(lambda quoted: quoted[0] if quoted[0][1:-1] in known else "`…`", message)
