"""What policies compare a question's context with: the values at which an answer can change. Pure.

Found by going through the parsed policies of an action: whatever literal stands anywhere in their conditions, and
whatever the caller or the resource has. That is more than needed and never wrong, because each value is tried
(`policies.changes`); what a policy computes (`context.a + context.b < 3`) is found only where a literal is near.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Final, TypeAlias

import msgspec

from policies.bundle import Bundle
from policies.model import EntityUid, Json, Question
from policies.neighbours import argument, decimals, extension, times
from policies.schema_reader import ContextAttribute

EXTENSIONS: Final[Mapping[str, str]] = {
    "datetime": "datetime",
    "decimal": "decimal",
    "duration": "duration",
    "ipaddr": "ip",
}
"""Each extension type of the schema, and the function that makes its values."""

MOST_VALUES: Final = 200
"""Values worth trying for one attribute at most; the nearest come first."""

_LONG: Final = range(-(2**63), 2**63)


class Absent(msgspec.Struct, frozen=True):
    """In place of a value: the attribute is not there."""


ABSENT: Final = Absent()

Candidate: TypeAlias = "Json | Absent"
"""A value that an attribute could have, or none at all."""


def candidates(question: Question, bundle: Bundle, fixed: frozenset[str]) -> dict[str, tuple[Candidate, ...]]:
    """What each attribute of the context could be instead.

    Args:
        question: As it was asked.
        bundle: Whose policies would answer.
        fixed: Attributes that nobody who asks can change.

    Returns:
        For each attribute of the action's context the values worth trying, the nearest to its present one first.
    """
    trees = [policy.tree["conditions"] for policy in bundle.slice(EntityUid("Action", question.action))]
    found = list(_literals(trees))
    found += [value for entity in question.entities for value in entity.attrs.values()]
    found += [_reference(question.principal), _reference(question.resource)]
    found += question.context.values()
    return {
        name: tuple(_values(question.context.get(name, ABSENT), kind, found))
        for name, kind in bundle.context_type(question.action).items()
        if name not in fixed
    }


def _values(now: Candidate, kind: ContextAttribute, found: Iterable[Json]) -> Iterator[Candidate]:
    """Other values of one attribute, each once."""
    seen = [now]
    for value in islice(_of_type(now, kind, list(found)), MOST_VALUES):
        if not any(_same(value, other) for other in seen):
            seen.append(value)
            yield value
    if not kind.required and now is not ABSENT:
        yield ABSENT


def _of_type(now: Candidate, kind: ContextAttribute, found: list[Json]) -> Iterable[Json]:
    """Values of a type; of a record none: what is in it is not looked into."""
    values: Iterable[Json] = ()
    match kind.type:
        case "Record":
            pass
        case "Boolean":
            values = (True, False)
        case "Long":
            values = _numbers(now, found)
        case "String":
            values = [value for value in found if isinstance(value, str)]
        case "Set":
            values = _sets(now, found)
        case "datetime":
            values = times(None if isinstance(now, Absent) else now, found)
        case "decimal":
            values = decimals(found)
        case name if name in EXTENSIONS:
            values = [value for value in found if argument(value, EXTENSIONS[name]) is not None]
        case entity_type:
            values = [value for value in found if _is_entity(value, entity_type)]
    return values


def _numbers(now: Candidate, found: Iterable[Json]) -> list[Json]:
    """Each number and its neighbours: comparisons change their mind there."""
    here = now if isinstance(now, int) else 0
    bounds: set[int] = {0}
    for value in found:
        if isinstance(value, int) and not isinstance(value, bool):
            bounds.add(value)
    near = {bound + step for bound in bounds for step in (-1, 0, 1) if bound + step in _LONG}
    return [*sorted(near, key=lambda number: (abs(number - here), number))]


def _sets(now: Candidate, found: Iterable[Json]) -> Iterator[Json]:
    """One member less, one more of the kind that is in it, or none at all."""
    members = now if isinstance(now, list) else []
    for member in members[:MOST_VALUES]:
        yield [other for other in members if other is not member]
    kinds = {type(member) for member in members} or {str}
    yield from ([*members, value] for value in found if type(value) in kinds and value not in members)
    yield []


def _literals(value: Json) -> Iterator[Json]:
    """Every literal in a tree; of a pattern the text that is in it, and of an extension's call the value it makes."""
    match value:
        case {"Value": literal}:
            yield literal
        case {"pattern": list(pattern), "left": left}:
            yield "".join(str(each["Literal"]) for each in pattern if isinstance(each, dict))
            yield from _literals(left)
        case dict():
            for function in EXTENSIONS.values():
                match value.get(function):
                    case [{"Value": str(text)}]:
                        yield extension(function, text)
                    case _:
                        pass
            for inner in value.values():
                yield from _literals(inner)
        case list():
            for inner in value:
                yield from _literals(inner)
        case _:
            pass


def _reference(uid: EntityUid) -> Json:
    return {"__entity": {"type": uid.type, "id": uid.id}}


def _is_entity(value: Json, kind: str) -> bool:
    match value:
        case {"__entity": {"type": found}}:
            return found == kind
        case _:
            return False


def _same(one: Candidate, two: Candidate) -> bool:
    """Equal, and of one type: True is not 1 here."""
    return type(one) is type(two) and one == two
