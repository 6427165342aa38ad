"""An event held against the registry as it is emitted: what the JSON Schema of its type says, in microseconds. Pure.

What is said names types and fields, never a value: it ends in a log or an error.
"""

import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from audit.event import AuditEvent, Outcome
from audit.registry.load import nearest
from audit.registry.model import EventType, Field, FieldType, Registry

_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


def problems(event: AuditEvent, registry: Registry) -> list[str]:
    """What is wrong with an event; empty if nothing is.

    Args:
        event: Before redaction, or after: what redaction took out is not missed.
        registry: Holds its type.
    """
    entry = registry.types.get(event.event_type)
    if entry is None:
        return [f"`{event.event_type}` is not registered{nearest(event.event_type, registry.types)}"]
    fields = registry.fields(event.event_type)
    found = [*_of_envelope(event, entry), *_of_details(event, fields)]
    if event.redaction is None and (event.outcome is Outcome.SUCCESS or not entry.severity):
        missing = sorted(entry.required - (event.details or {}).keys())
        found += [f"details: `{name}` is missing" for name in missing]
    return [f"`{event.event_type}`: {reason}" for reason in found]


def _of_envelope(event: AuditEvent, entry: EventType) -> Iterator[str]:
    if event.kind is not entry.kind:
        yield f"kind is `{event.kind}`, registered is `{entry.kind}`"
    if event.phase not in entry.phases:
        yield f"phase `{event.phase}` is not registered"
    allowed = entry.severity if event.outcome is Outcome.SUCCESS else entry.severities
    if event.severity not in allowed:
        yield f"severity `{event.severity}` is not registered for this outcome"
    if entry.actions and event.action is not None and event.action not in entry.actions:
        yield f"action `{event.action}` is not registered"
    if entry.resource is not None and event.resource is not None and event.resource.type != entry.resource:
        yield f"resource type `{event.resource.type}` is not registered"
    crud = event.crud
    if event.outcome is Outcome.SUCCESS and entry.crud and crud is not None and crud not in (*entry.crud, "x"):
        yield f"crud `{crud}` is not registered"


def _of_details(event: AuditEvent, fields: Mapping[str, Field]) -> Iterator[str]:
    for name, value in (event.details or {}).items():
        field = fields.get(name)
        if field is None:
            yield f"details: `{name}` is no registered field{nearest(str(name), fields)}"
        elif event.redaction is None and (reason := misfit(value, field)) is not None:
            yield f"details: `{name}` {reason}"


def misfit(value: Any, field: Field) -> str | None:
    """Why a value is not what a field holds; None if it is."""
    if field.type is not FieldType.LIST:
        return _misfit(value, field.type, field)
    if not isinstance(value, list | tuple):
        return "is not a list"
    if field.max_items is not None and len(value) > field.max_items:
        return f"has more than {field.max_items} elements"
    of = field.of or FieldType.STRING
    return next((f"has an element that {reason}" for each in value if (reason := _misfit(each, of, field))), None)


def _misfit(value: Any, of: FieldType, field: Field) -> str | None:
    if not _FITS[of](value):
        return f"is not {_WORDS[of]}"
    if field.enum and not field.open and value not in field.enum:
        return "is none of the registered words"
    if isinstance(value, str) and field.max_length is not None and len(value) > field.max_length:
        return f"is longer than {field.max_length} characters"
    if field.minimum is not None and value < field.minimum:
        return f"is below {field.minimum}"
    if field.maximum is not None and value > field.maximum:
        return f"is above {field.maximum}"
    return None


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_range(value: Any) -> bool:
    return isinstance(value, list | tuple) and len(value) == 2 and all(map(_is_integer, value))  # noqa: PLR2004


_FITS: Final[Mapping[FieldType, Callable[[Any], bool]]] = {
    FieldType.STRING: lambda value: isinstance(value, str),
    FieldType.INTEGER: _is_integer,
    # JSON has no infinity: it would be written as null
    FieldType.NUMBER: lambda value: _is_integer(value) or (isinstance(value, float) and math.isfinite(value)),
    FieldType.BOOLEAN: lambda value: isinstance(value, bool),
    FieldType.TIME: lambda value: isinstance(value, str) and _TIME.fullmatch(value) is not None,
    FieldType.RANGE: _is_range,
    FieldType.OBJECT: lambda value: isinstance(value, dict),
    FieldType.LIST: lambda value: isinstance(value, list | tuple),
}
_WORDS: Final[Mapping[FieldType, str]] = {
    FieldType.STRING: "text",
    FieldType.INTEGER: "an integer",
    FieldType.NUMBER: "a number",
    FieldType.BOOLEAN: "true or false",
    FieldType.TIME: "a time in UTC with microseconds and `Z`",
    FieldType.RANGE: "a pair of integers",
    FieldType.OBJECT: "an object",
    FieldType.LIST: "a list",
}
