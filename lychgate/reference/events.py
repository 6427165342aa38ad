"""docs/reference/events.md, from `audit.event`."""

import types
from collections.abc import Iterator
from enum import StrEnum
from typing import Any, Union, get_args, get_origin, get_type_hints

import msgspec

from audit import event
from audit.event import DEAD_LETTER_TOPIC, SCHEMA_VERSION, TOPIC, AuditEvent
from lychgate.reference.markdown import attributes, first_sentence, table
from lychgate.reference.markdown import page as markdown_page

_WORDS: dict[Any, str] = {int: "integer", str: "text", bool: "true or false", Any: "any JSON", dict: "object"}


def page() -> str:
    """The page."""
    enums = [
        f"### {name}\n\n{first_sentence(found)}\n\n{', '.join(f'`{member}`' for member in found)}"
        for name, found in vars(event).items()
        if isinstance(found, type) and issubclass(found, StrEnum) and found is not StrEnum
    ]
    return markdown_page(
        "Audit events",
        f"""
One JSON object a record, schema version {SCHEMA_VERSION}; on Kafka the topic `{TOPIC}`, dead letters on
`{DEAD_LETTER_TOPIC}`. The dedupe key is `(event_id, phase)`. Within a major version no field is removed, renamed or
given another type. Fields that have their default are left out of the bytes.
""",
        table(("field", "type", "meaning"), _rows("", AuditEvent)),
        "## Words",
        *enums,
    )


def _rows(prefix: str, struct: type[msgspec.Struct]) -> Iterator[tuple[str, str, str]]:
    described = attributes(struct)
    hints = get_type_hints(struct)
    for field in msgspec.structs.fields(struct):
        annotation = hints[field.name]
        part = _part(annotation)
        meaning = described.get(field.name) or (first_sentence(part) if part else "")
        yield f"`{prefix}{field.name}`", f"{_type(annotation)}{', required' if field.required else ''}", meaning
        if part is not None:
            suffix = "[]" if get_origin(annotation) is tuple else ""
            yield from _rows(f"{prefix}{field.name}{suffix}.", part)


def _part(annotation: Any) -> type[msgspec.Struct] | None:
    """The struct inside an annotation, if one is there."""
    for found in (annotation, *get_args(annotation)):
        if isinstance(found, type) and issubclass(found, msgspec.Struct):
            return found
    return None


def _type(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in {Union, types.UnionType}:
        return " or ".join(_type(argument) for argument in arguments if argument is not type(None))
    if origin is tuple:
        return f"list of {_type(arguments[0])}"
    if origin is dict:
        return "object"
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        return "object"
    return _WORDS.get(annotation, getattr(annotation, "__name__", str(annotation)))
