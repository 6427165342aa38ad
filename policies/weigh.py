"""Each policy looked at by itself: which of many apply to a question, found in one call. Pure.

Cedar names every permit that matched when it allows. So policies of which only this is asked, whatever they say, are
handed over as permits, all at once, and the names that come back are those that apply. `policies.parts` asks it of the
parts of policies, decision tables ask it of changed ones; `decided` puts what applies together again (ADR 0119).
"""

from collections.abc import Iterable, Mapping

import msgspec

from policies.bundle import Bundle, Policy
from policies.engine import Engine, combine
from policies.errors import NoDecision
from policies.model import Answer, Effect, EntityUid, PolicyError, Question
from policies.schema import Schema


class Weight(msgspec.Struct, frozen=True):
    """What is the case with each policy that has a say in an action; the others do not apply.

    Attributes:
        applies: The ids of those whose scope and conditions hold.
        fails: The ids of those that could not be evaluated.
    """

    applies: frozenset[str]
    fails: frozenset[str]


class Scale:
    """Weighs questions with a set of policies, which need not make sense together."""

    __slots__ = ("_engine",)

    def __init__(self, policies: Iterable[Policy], schema: Schema) -> None:
        """Parse the policies.

        Args:
            policies: Under ids without a backtick, each once.
            schema: That they fit.
        """
        self._engine = Engine(Bundle(map(_as_permit, policies), schema))

    def weigh(self, action: EntityUid, question: Question) -> Weight:
        """Say which policies apply.

        Raises:
            NoDecision: As `Engine.decide_action`; or an error of Cedar's names no policy.
        """
        answer = self._engine.decide_action(action, question)
        fails = frozenset(error.policy_id for error in answer.errors)
        if "" in fails:
            raise NoDecision("an error that names no policy")
        return Weight(frozenset(answer.reasons), fails)


def decided(weight: Weight, effects: Mapping[str, Effect], *, strict: bool = False) -> Answer:
    """The decision of a set of policies, from what is the case with each.

    Args:
        weight: Of one question.
        effects: Every policy of the set, by id; what else was weighed has no say.
        strict: As `Engine`'s.

    Returns:
        What `Engine.decide` of the set would say, the messages of errors left out.
    """
    applying = [name for name in weight.applies if name in effects]
    forbids = [name for name in applying if effects[name] is Effect.DENY]
    errors = tuple(PolicyError(name, effects[name], "") for name in weight.fails if name in effects)
    return combine(bool(applying) and not forbids, forbids or applying, errors, strict)


def _as_permit(policy: Policy) -> Policy:
    return msgspec.structs.replace(policy, effect=Effect.ALLOW, tree={**policy.tree, "effect": "permit"})
