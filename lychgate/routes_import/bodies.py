"""What the document says about a request's body, and which Cedar type a schema's values have. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from lychgate.routes_import.document import Document

JSON: Final = "application/json"
FORM: Final = "application/x-www-form-urlencoded"
_CEDAR: Final = {"string": "String", "integer": "Long", "boolean": "Boolean"}
_MAX_DEPTH: Final = 8


class Member(msgspec.Struct, frozen=True):
    """One top-level member of a JSON body.

    Attributes:
        schema: Its schema.
        required: Whether every body has it.
    """

    schema: Mapping[str, Any]
    required: bool


def media_type(text: str) -> str:
    """Without its parameters, in small letters."""
    return text.partition(";")[0].strip().lower()


def members(document: Document, schema: Any, depth: int = 0) -> dict[str, Member]:
    """The top-level members of a body; those of an alternative are not required."""
    found: dict[str, Member] = {}
    written = document.table(schema)
    if depth > _MAX_DEPTH:
        return found
    for word in ("allOf", "oneOf", "anyOf"):
        listed = written.get(word)
        for each in listed if isinstance(listed, list) else ():
            for name, member in members(document, each, depth + 1).items():
                required = member.required and word == "allOf"
                found[name] = Member(member.schema, required or (name in found and found[name].required))
    properties, needed = written.get("properties"), written.get("required")
    for name, value in properties.items() if isinstance(properties, dict) else ():
        found[name] = Member(document.table(value), isinstance(needed, list) and name in needed)
    return found


def names_within(document: Document, schema: Any) -> Iterator[str]:
    """The names of members below the top level of a body, each schema once, however they refer to each other."""
    seen: set[int] = set()
    waiting: list[tuple[Any, bool]] = [(schema, False)]
    while waiting:
        written, inside = waiting.pop()
        written = document.table(written)
        if not written or id(written) in seen:
            continue
        seen.add(id(written))
        properties = written.get("properties")
        for name, value in properties.items() if isinstance(properties, dict) else ():
            if inside:
                yield name
            waiting.append((value, True))
        waiting.extend((written.get(word), True) for word in ("items", "additionalProperties"))
        for word in ("allOf", "oneOf", "anyOf", "prefixItems"):
            listed = written.get(word)
            deeper = inside or word == "prefixItems"
            waiting.extend((each, deeper) for each in (listed if isinstance(listed, list) else ()))


def cedar_type(document: Document, schema: Mapping[str, Any], depth: int = 0) -> str | None:
    """`String`, `Long` or `Boolean`; None for anything else, and for what may be one of several."""
    kinds = schema.get("type")
    named = [kinds] if isinstance(kinds, str) else kinds if isinstance(kinds, list) else []
    found = {_CEDAR.get(kind) if isinstance(kind, str) else None for kind in named if kind != "null"}
    for word in ("anyOf", "oneOf", "allOf"):
        listed = schema.get(word)
        for each in listed if isinstance(listed, list) and depth < _MAX_DEPTH else ():
            inner = document.table(each)
            if inner.get("type") != "null":
                found.add(cedar_type(document, inner, depth + 1))
    return found.pop() if len(found) == 1 else None
