"""A policy's conditions -> the ways in which they can all hold. Pure.

A way is a list of simple expressions with the Boolean each has. When a policy applies to a request, all expressions of
at least one way were evaluated, without an error, to what the way says: `a || b` is true because `a` is, or because `b`
is. So whatever contradicts every way proves that the policy never applies.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final, TypeAlias

from policies.bundle import Policy
from policies.model import Json

Literal: TypeAlias = tuple[Json, bool]
"""An expression and the value it is assumed to have."""
Way: TypeAlias = tuple[Literal, ...]

_MOST: Final = 64
"""Ways looked at; an expression with more says nothing, which proves less and never more."""


def ways(conditions: Iterable[Literal]) -> Sequence[Way]:
    """The ways in which expressions can have the values they are assumed to have."""
    found: Sequence[Way] = ((),)
    for node, truth in conditions:
        found = _both(found, _split(node, truth))
    return found


def conjuncts(conditions: Iterable[Literal]) -> Way:
    """The expressions that have a certain value in every way, with that value, in the order of evaluation."""
    found: list[Literal] = []
    for node, truth in conditions:
        match node:
            case {"!": {"arg": inner}}:
                found += conjuncts([(inner, not truth)])
            case {"&&": {"left": left, "right": right}} if truth:
                found += conjuncts([(left, True), (right, True)])
            case {"||": {"left": left, "right": right}} if not truth:
                found += conjuncts([(left, False), (right, False)])
            case _:
                found.append((node, truth))
    return tuple(found)


def conditions_of(policy: Policy) -> Way:
    """What a policy's scope and clauses ask, as expressions, in the order in which Cedar evaluates them."""
    found: list[Literal] = []
    for variable in ("principal", "action", "resource"):
        scope = policy.tree[variable]
        if isinstance(scope, dict) and (node := _scope(variable, scope)) is not None:
            found.append((node, True))
    clauses: Any = policy.tree["conditions"]
    return (*found, *((clause["body"], clause["kind"] == "when") for clause in clauses))


def _scope(variable: str, scope: dict[str, Any]) -> Json:
    left: Json = {"Var": variable}
    match scope:
        case {"op": "==" | "in" as operator, "entity": uid}:
            return {operator: {"left": left, "right": _entity(uid)}}
        case {"op": "in", "entities": list(uids)}:
            return {"in": {"left": left, "right": {"Set": [_entity(uid) for uid in uids]}}}
        case {"op": "is", "entity_type": kind, "in": {"entity": uid}}:
            return {"is": {"left": left, "entity_type": kind, "in": _entity(uid)}}
        case {"op": "is", "entity_type": kind}:
            return {"is": {"left": left, "entity_type": kind}}
        case _:
            return None


def _entity(uid: Json) -> Json:
    return {"Value": {"__entity": uid}}


def _split(node: Json, truth: bool) -> Sequence[Way]:
    match node:
        case {"!": {"arg": inner}}:
            return _split(inner, not truth)
        case {"&&": {"left": left, "right": right}}:
            return _combined(left, right, truth, all_of=truth)
        case {"||": {"left": left, "right": right}}:
            return _combined(left, right, truth, all_of=not truth)
        case {"if-then-else": {"if": condition, "then": then, "else": otherwise}}:
            yes = _both(_split(condition, True), _split(then, truth))
            no = _both(_split(condition, False), _split(otherwise, truth))
            return _either(yes, no)
        case {"is": {"left": left, "entity_type": kind, "in": group}}:
            of_type: Json = {"is": {"left": left, "entity_type": kind}}
            inside: Json = {"in": {"left": left, "right": group}}
            return _combined(of_type, inside, truth, all_of=truth)
        case _:
            return (((node, truth),),)


def _combined(left: Json, right: Json, truth: bool, *, all_of: bool) -> Sequence[Way]:
    combine = _both if all_of else _either
    return combine(_split(left, truth), _split(right, truth))


def _both(one: Sequence[Way], other: Sequence[Way]) -> Sequence[Way]:
    if len(one) * len(other) > _MOST:
        return one if len(one) <= _MOST else ((),)
    return tuple((*left, *right) for left in one for right in other)


def _either(one: Sequence[Way], other: Sequence[Way]) -> Sequence[Way]:
    return (*one, *other) if len(one) + len(other) <= _MOST else ((),)
