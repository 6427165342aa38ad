"""Literals in Cedar's JSON form: what they are worth, and which are the same. Pure."""

from collections.abc import Callable
from operator import add, mul, sub
from typing import Any, Final

from policies.model import EntityUid, Json

LONG: Final = (-(2**63), 2**63 - 1)
"""The least and the greatest Long."""


def number(node: Json) -> int | None:
    """The Long that an expression of literals is; None for any other, and for one that overflows."""
    match node:
        case {"Value": int(value)} if not isinstance(value, bool):
            return value
        case {"neg": {"arg": inner}}:
            return _calculated({"Value": 0}, inner, sub)
        case {"+": {"left": left, "right": right}}:
            return _calculated(left, right, add)
        case {"-": {"left": left, "right": right}}:
            return _calculated(left, right, sub)
        case {"*": {"left": left, "right": right}}:
            return _calculated(left, right, mul)
        case _:
            return None


def _calculated(left: Json, right: Json, operation: Callable[[int, int], int]) -> int | None:
    one, other = number(left), number(right)
    return None if one is None or other is None else _within(operation(one, other))


def _within(value: int) -> int | None:
    return value if LONG[0] <= value <= LONG[1] else None


def plain(node: Json) -> Json:
    """The value of a literal or of arithmetic on literals; None for anything else."""
    folded = number(node)
    if folded is not None:
        return folded
    value = literal(node)
    return value if isinstance(value, (bool, int, str)) or entity(value) is not None else None


def typed(value: Json) -> tuple[str, str]:
    """A literal so that only equal ones are equal: Python's `True` is its 1."""
    return (type(value).__name__, repr(value))


def entity(value: Json) -> EntityUid | None:
    """The entity that a literal names."""
    match value:
        case {"__entity": {"type": str(kind), "id": str(name)}}:
            return EntityUid(kind, name)
        case _:
            return None


def entities(node: Json) -> frozenset[EntityUid] | None:
    """The entities of a literal or a set of literals; None where it is not that."""
    listed = node.get("Set") if isinstance(node, dict) else None
    members = listed if isinstance(listed, list) else [node]
    uids = [entity(literal(member)) for member in members]
    known = [uid for uid in uids if uid is not None]
    return frozenset(known) if len(known) == len(uids) else None


def all_roles(uids: frozenset[EntityUid]) -> bool:
    """Whether entities are roles, every one."""
    return all(uid.type == "Role" for uid in uids)


def matches(text: str, pattern: list[Any]) -> bool:
    """Whether a text is of a pattern: `*` is any text, all else itself."""
    places = {0}
    for part in pattern:
        if part == "Wildcard":
            places = set(range(min(places), len(text) + 1)) if places else places
        else:
            piece = part["Literal"]
            places = {at + len(piece) for at in places if text.startswith(piece, at)}
    return len(text) in places


def compatible(one: list[Any], other: list[Any]) -> bool:
    """Whether a text can have the beginnings of two patterns."""
    first, second = _beginning(one), _beginning(other)
    return first.startswith(second) or second.startswith(first)


def _beginning(pattern: list[Any]) -> str:
    text = ""
    for part in pattern:
        if part == "Wildcard":
            break
        text += part["Literal"]
    return text


def literal(node: Json) -> Json:
    """The value of a literal, None for any other expression. Sets, records and extension values are none."""
    return node.get("Value") if isinstance(node, dict) and len(node) == 1 else None
