"""How close each policy came to applying: its scope, then each condition by itself. Pure.

Decision tables ask it: which clause was never seen true, and which permits were near when a request was refused.
"""

from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from policies.bundle import Bundle, Policy
from policies.model import EntityUid, Json, Question
from policies.weigh import Scale, Weight

_SCOPE: Final = "#scope"
_CONDITION: Final = "#"


class Standing(msgspec.Struct, frozen=True):
    """What is the case with one policy and one question.

    Attributes:
        applies: Whether scope and conditions hold.
        fails: Whether it could not be evaluated.
        scope: Whether the scope admits the request.
        conditions: For each, in order, whether it holds by itself; None where it could not be evaluated, or where the
            scope does not admit the request.
    """

    applies: bool
    fails: bool
    scope: bool
    conditions: tuple[bool | None, ...]


class Standings:
    """The parts of a bundle's policies, to be asked about questions."""

    __slots__ = ("_bundle", "_scale")

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle
        parts = (part for policy in bundle.policies.values() for part in _parts(policy))
        self._scale = Scale(parts, bundle.schema)

    def standings(self, action: EntityUid, question: Question) -> Mapping[str, Standing]:
        """By id, every policy that has a say in the action.

        Raises:
            NoDecision: The question does not fit the schema.
        """
        weight = self._scale.weigh(action, question)
        return {policy.id: _standing(policy, weight) for policy in self._bundle.slice(action)}


def conditions_of(policy: Policy) -> list[Json]:
    """The `when` and `unless` clauses of a policy, parsed."""
    found = policy.tree["conditions"]
    return found if isinstance(found, list) else []


def _parts(policy: Policy) -> Iterator[Policy]:
    """The policy, its scope alone, and its scope with each of its conditions; ids in files have no `#`."""
    yield policy
    yield _with_conditions(policy, policy.id + _SCOPE, [])
    for index, condition in enumerate(conditions_of(policy)):
        yield _with_conditions(policy, f"{policy.id}{_CONDITION}{index}", [condition])


def _with_conditions(policy: Policy, name: str, conditions: list[Json]) -> Policy:
    return msgspec.structs.replace(policy, id=name, tree={**policy.tree, "conditions": conditions})


def _standing(policy: Policy, weight: Weight) -> Standing:
    scope = policy.id + _SCOPE in weight.applies
    names = [f"{policy.id}{_CONDITION}{index}" for index in range(len(conditions_of(policy)))]
    conditions = tuple(name in weight.applies if scope and name not in weight.fails else None for name in names)
    return Standing(policy.id in weight.applies, policy.id in weight.fails, scope, conditions)
