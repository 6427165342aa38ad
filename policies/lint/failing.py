"""Expressions that cannot be evaluated for some request: Cedar's strict validation catches most, not these.

* Arithmetic that overflows. Proved by values, within the bounds that comparisons to the left set, for which it does; an
  expression whose values hang together with others by any other condition is passed over.
* `offset` by a duration that is not a literal: a long one leaves the range of datetimes.
* Attributes of an entity that Cedar is not given. The gateway gives it principal and resource.

A forbid that fails denies, so the first two are named in forbids only. A permit that fails is ignored, and one that
reads what is never there is of no use: the third is named in both.
"""

from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any, Final

from policies.bundle import Bundle
from policies.errors import Finding
from policies.expression import shown
from policies.lint.claim import Claim
from policies.lint.facts import Facts
from policies.lint.values import LONG, number
from policies.model import Effect, Json
from policies.schema_reader import Shape

_ARITHMETIC: Final = frozenset({"+", "-", "*", "neg"})
_MOST_TERMS: Final = 6
"""Each doubles the values that are tried."""


def failures(claim: Claim, bundle: Bundle) -> Iterator[Finding]:
    """What in a policy can fail."""
    for code, node, how in failing(claim, bundle):
        if code == "forbid-can-fail":
            if claim.policy.effect is Effect.DENY:
                yield claim.finding(code, f"`{shown(node)}` {how}, and a forbid that fails denies", shown(node))
        else:
            then = "denies" if claim.policy.effect is Effect.DENY else "is ignored"
            yield claim.finding(code, f"`{shown(node)}` {how}; the policy then {then}", shown(node))


def failing(claim: Claim, bundle: Bundle) -> Iterator[tuple[str, Json, str]]:
    """Each expression that can fail: the code, the expression, and when it does."""
    facts = claim.facts()
    walk = _Walk(claim, bundle)
    for node, truth in claim.conditions:
        yield from walk.expression(node, facts)
        facts.add(node, truth)


class _Walk:
    """Goes through an expression as Cedar evaluates it, with what is known when it comes to each part."""

    def __init__(self, claim: Claim, bundle: Bundle) -> None:
        self._entities = bundle.schema.shapes
        self._contexts = [bundle.schema.contexts[uid] for uid in claim.actions]
        declared = [bundle.schema.actions[uid] for uid in claim.actions]
        self._types = {
            "principal": frozenset(name for action in declared for name in action.principal_types),
            "resource": frozenset(name for action in declared for name in action.resource_types),
        }

    def expression(self, node: Json, facts: Facts) -> Iterator[tuple[str, Json, str]]:
        if facts.conflict or not isinstance(node, dict) or len(node) != 1:
            return  # never reached
        ((operator, operand),) = node.items()
        match node:
            case {"&&": {"left": left, "right": right}} | {"||": {"left": left, "right": right}}:
                yield from self.expression(left, facts)
                yield from self.expression(right, facts.copy().add(left, operator == "&&"))
            case {"if-then-else": {"if": condition, "then": then, "else": otherwise}}:
                yield from self.expression(condition, facts)
                yield from self.expression(then, facts.copy().add(condition))
                yield from self.expression(otherwise, facts.copy().add(condition, False))
            case {".": {"left": left, "attr": str(attribute)}} if self._is_not_given(left, attribute, facts):
                earlier = list(self.expression(left, facts))
                how = f"fails where `{shown(left)}` is not among the entities Cedar is given"
                yield from earlier or [("entity-not-given", node, how)]
            case _ if operator in _ARITHMETIC:
                if (values := _overflows(node, facts)) is not None:
                    yield "forbid-can-fail", node, f"overflows{values}"
            case {"offset": [moment, length]} if not _is_constructor(length):
                yield "forbid-can-fail", node, f"fails where `{shown(length)}` is long"
                yield from self.expression(moment, facts)
            case _:
                for part in _parts(operand):
                    yield from self.expression(part, facts)

    def _is_not_given(self, left: Json, attribute: str, facts: Facts) -> bool:
        """Whether an attribute is read of an entity that is neither principal nor resource, unasked."""
        if isinstance(left, dict) and "Var" in left:
            return False
        has: Json = {"has": {"left": left, "attr": attribute}}
        return self._entity(left) and not facts.says(has)

    def _entity(self, node: Json) -> bool:
        """Whether an expression is certainly an entity."""
        shapes = list(self._shapes(node))
        return bool(shapes) and all(isinstance(shape, str) and shape in self._entities for shape in shapes)

    def _shapes(self, node: Json) -> Iterator[Shape]:
        """What a path can hold, one for each type it can start at; nothing where that is not known."""
        match node:
            case {"Value": {"__entity": {"type": str(kind)}}}:
                yield kind
            case {"Var": "context"}:
                yield from self._contexts
            case {"Var": str(variable)} if variable in self._types:
                yield from self._types[variable]
            case {".": {"left": left, "attr": str(attribute)}}:
                for shape in self._shapes(left):
                    held = self._entities.get(shape) if isinstance(shape, str) else shape
                    if isinstance(held, Mapping) and attribute in held:
                        yield held[attribute]
            case _:
                return


def _overflows(node: Json, facts: Facts) -> str | None:
    """For which values arithmetic overflows: ` for x = 1`, empty for all; None where it is not known to."""
    terms = list(dict.fromkeys(_terms(node)))
    if None in terms or len(terms) > _MOST_TERMS:
        return None
    names = [term for term in terms if term is not None]
    if any(name in text for name in names for text in facts.tangles()):
        return None
    bounds = [sorted({facts.low.get(name, LONG[0]), facts.high.get(name, LONG[1])}) for name in names]
    for values in product(*bounds):
        given = dict(zip(names, values, strict=True))
        if number(_with_values(node, given)) is None:
            return f" for {', '.join(f'`{name}` = {value}' for name, value in given.items())}" if given else ""
    return None


def _terms(node: Json) -> Iterator[str | None]:
    """The attributes in arithmetic, by text; None for anything whose values are not known."""
    match node:
        case {"Value": int()}:
            return
        case {"neg": {"arg": inner}}:
            yield from _terms(inner)
        case {"+": sides} | {"-": sides} | {"*": sides} if isinstance(sides, dict):
            yield from _terms(sides["left"])
            yield from _terms(sides["right"])
        case {".": _} if _is_path(node):
            yield shown(node)
        case _:
            yield None


def _is_path(node: Json) -> bool:
    match node:
        case {"Var": "principal" | "resource" | "context"}:
            return True
        case {".": {"left": left}}:
            return _is_path(left)
        case _:
            return False


def _with_values(node: Any, given: Mapping[str, int]) -> Json:
    """Arithmetic with numbers in place of its attributes."""
    match node:
        case {"neg": {"arg": inner}}:
            return {"neg": {"arg": _with_values(inner, given)}}
        case {"+": sides} | {"-": sides} | {"*": sides}:
            return {next(iter(node)): {side: _with_values(inner, given) for side, inner in sides.items()}}
        case {"Value": value}:
            return {"Value": value}
        case _:
            return {"Value": given[shown(node)]}


def _is_constructor(node: Json) -> bool:
    return isinstance(node, dict) and "duration" in node


def _parts(operand: Any) -> Iterator[Json]:
    if isinstance(operand, dict):
        yield from operand.values()
    elif isinstance(operand, list):
        yield from operand
