"""A question whose context nobody knows yet in, what its answer hangs on out.

Cedar evaluates the policies as far as they go without a context and says what is left of each; what that amounts to is
worked out here. Nothing is decided by it: a decision is `policies.engine`'s, with everything known. An evaluation that
can fail (arithmetic may overflow) is kept as a condition in one piece: a `forbid` that fails denies, and a permit that
fails does not allow even where one side of its `||` is true.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final

import cedarpy
import msgspec

from policies.bundle import nodes
from policies.condition import (
    ALWAYS,
    NEVER,
    Alternative,
    Alternatives,
    TooManyAlternatives,
    alternatives,
    both,
    either,
    said,
)
from policies.engine import Engine, in_json, policy_set
from policies.errors import NoDecision, UnknownAction
from policies.expression import entity, written
from policies.model import Effect, EntityUid, Json, Question

_FAILED: Final = re.compile(r"error while evaluating policy `([^`]*)`")
_ENCODER: Final = msgspec.json.Encoder()
_ARITHMETIC: Final = frozenset({"+", "-", "*", "neg"})
_MANY: Final = "too many conditions to list; ask `lychgate policy explain` about one request"


class Outlook(msgspec.Struct, frozen=True):
    """What can be said of every request that differs only in its context.

    Attributes:
        effect: Allow or deny, whatever the context; None where it depends.
        condition: What the context must be for an allow, attributes by their names; empty unless it depends.
        reasons: The policies that decide, or may; sorted.
    """

    effect: Effect | None
    condition: str = ""
    reasons: tuple[str, ...] = ()


class Foresight:
    """Looks ahead with the policies of one engine.

    Args:
        engine: Whose policies, and whether any error denies.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._known: dict[str, tuple[cedarpy.PolicySet, dict[str, Effect]]] = {}

    def look(self, question: Question) -> Outlook:
        """Say what the answer hangs on.

        Args:
            question: Its context is not looked at.

        Raises:
            UnknownAction: The schema does not declare the action.
            NoDecision: The question does not fit the schema.
        """
        policies, effects = self._policies(question.action)
        result = cedarpy.is_authorized_partial(
            {
                "principal": entity(question.principal.type, question.principal.id),
                "action": entity("Action", question.action),
                "resource": entity(question.resource.type, question.resource.id),
            },
            policies,
            _ENCODER.encode(question.entities).decode(),
            self._engine.bundle.schema.handle,
        )
        if result.decision is cedarpy.Decision.NoDecision and not result.residuals:
            raise NoDecision("the question does not fit the schema")
        failed = {found[1] if (found := _FAILED.search(text)) else "" for text in result.diagnostics.errors}
        denying = {name for name in failed if self._engine.strict or effects.get(name) is not Effect.ALLOW}
        if denying:
            return Outlook(Effect.DENY, reasons=tuple(sorted(denying)))
        left = {name: body for name, body in _bodies(result.residuals) if name not in failed}
        return _weighed(left, effects, self._engine.strict)

    def _policies(self, action: str) -> tuple[cedarpy.PolicySet, dict[str, Effect]]:
        """Those with a say in an action: parsed, and what each says."""
        if action not in self._known:
            uid = EntityUid("Action", action)
            if uid not in self._engine.bundle.schema.actions:
                raise UnknownAction(action)
            policies = self._engine.bundle.slice(uid)
            self._known[action] = policy_set(map(in_json, policies)), {policy.id: policy.effect for policy in policies}
        return self._known[action]


def _weighed(left: Mapping[str, Json], effects: Mapping[str, Effect], strict: bool) -> Outlook:
    """What the policies come to, each with what is left of its condition."""
    permits: dict[str, Alternatives] = {}
    forbids: dict[str, Alternatives] = {}  # each with what keeps it from applying
    try:
        for name, body in left.items():
            if effects[name] is Effect.DENY:
                forbids[name] = _whole(body, holds=False)
                continue
            permits[name] = _whole(body, holds=True)
            if strict and _fallible(body):  # besides what it allows: where it fails, nothing is
                forbids[name] = (Alternative(others={f"{name} can be evaluated": True}),)
        allowed = either(way for ways in permits.values() for way in ways)
        for free in forbids.values():
            allowed = both(allowed, free)
    except TooManyAlternatives:
        return Outlook(None, _MANY, tuple(sorted(left)))
    standing = sorted(name for name, free in forbids.items() if free != ALWAYS)
    granting = sorted(name for name, ways in permits.items() if ways != NEVER)
    if allowed == NEVER:
        certain = [name for name in standing if forbids[name] == NEVER]
        return Outlook(Effect.DENY, reasons=tuple(certain or (standing if granting else ())))
    if allowed == ALWAYS:
        return Outlook(Effect.ALLOW, reasons=tuple(granting))
    return Outlook(None, said(allowed), tuple(sorted({*granting, *standing})))


def _whole(body: Json, *, holds: bool) -> Alternatives:
    """What is left of a condition; as one piece where its evaluation may fail, so that nothing of it is lost."""
    if _fallible(body):
        while True:  # Cedar leaves the scope's parts in front, each as `true`
            match body:
                case {"&&": {"left": {"Value": True}, "right": right}}:
                    body = right
                case _:
                    break
        return (Alternative(others={written(body, bare_context=True): holds}),)
    return alternatives(body, holds)


def _fallible(body: Json) -> bool:
    """Whether a condition's evaluation may fail, whatever it comes to."""
    return any(_may_fail(node) for node in nodes(body))


def _may_fail(node: Json) -> bool:
    """Arithmetic can overflow; a function can be handed what is none of its values."""
    if not isinstance(node, dict) or len(node) != 1:
        return False
    ((operator, operand),) = node.items()
    if operator in _ARITHMETIC:
        return True
    literal = isinstance(operand, list) and all(isinstance(each, dict) and "Value" in each for each in operand)
    return isinstance(operand, list) and operator not in {"Set", "unknown"} and not literal


def _bodies(residuals: Mapping[str, Json]) -> Iterator[tuple[str, Json]]:
    """What Cedar has left of each policy: one condition each."""
    for name, tree in residuals.items():
        match tree:
            case {"conditions": [{"kind": "when", "body": body}]}:
                yield name, body
            case _:
                raise NoDecision("cedar has left something that is not a condition")
