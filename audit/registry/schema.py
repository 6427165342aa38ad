"""JSON Schema (2020-12) from a registry: one document for the envelope, and one for each type. Pure.

A schema describes a record as this release writes it. Its details are closed, because a field that is not registered
is a fault of the writer; the envelope is open, as `audit.event` promises its readers. A record that redaction or its
own size has cut says so in `redaction`, and is held to the names of its fields only.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from audit.event import SCHEMA_VERSION, AuditEvent, Outcome, Phase, Severity
from audit.registry.model import EventType, Field, FieldType, Registry

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
ENVELOPE: Final = "audit-event.json"
_TIME: Final = {"type": "string", "format": "date-time", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$"}
_UUID7: Final = {
    "type": "string",
    "format": "uuid",
    "pattern": "^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$",
}
_TIGHTER: Final[Mapping[str, Any]] = {
    "event_id": _UUID7,
    "occurred_at": _TIME,
    "tenant_id": {"type": "string", "minLength": 1},
    "schema_version": {"type": "string", "default": SCHEMA_VERSION, "pattern": r"^1\.\d+$"},
}
"""What the envelope's Python types leave open."""
_PLAIN: Final[Mapping[FieldType, Mapping[str, Any]]] = {
    FieldType.STRING: {"type": "string"},
    FieldType.INTEGER: {"type": "integer"},
    FieldType.NUMBER: {"type": "number"},
    FieldType.BOOLEAN: {"type": "boolean"},
    FieldType.TIME: _TIME,
    FieldType.RANGE: {"type": "array", "prefixItems": [{"type": "integer"}] * 2, "minItems": 2, "maxItems": 2},
    FieldType.OBJECT: {"type": "object"},
}


def schemas(registry: Registry) -> dict[str, dict[str, Any]]:
    """Every document by the name of its file; they refer to each other by it."""
    return {ENVELOPE: envelope()} | {f"{name}.json": schema(registry, name) for name in registry.types}


def envelope() -> dict[str, Any]:
    """The schema of what all events have in common, from `audit.event`."""
    (_, definitions) = msgspec.json.schema_components((AuditEvent,), ref_template="#/$defs/{name}")
    whole = definitions.pop("AuditEvent")
    whole["properties"] |= _TIGHTER
    head = {"$schema": DIALECT, "$id": ENVELOPE, "title": "An audit event", "description": _sentence(AuditEvent)}
    return head | {key: whole[key] for key in ("type", "properties", "required")} | {"$defs": definitions}


def schema(registry: Registry, name: str) -> dict[str, Any]:
    """The schema of one type: a record of it, whole."""
    entry = registry.types[name]
    fields = registry.fields(name)
    said: dict[str, Any] = {"event_type": {"const": name}, "kind": {"const": entry.kind.value}}
    if entry.phases != tuple(Phase):
        said["phase"] = {"enum": [phase.value for phase in entry.phases]}
    # A default is left out of the bytes, so `info` may be absent.
    said["severity"] = {"enum": [severity.value for severity in entry.severities]}
    needed = [] if Severity.INFO in entry.severities else ["severity"]
    if entry.actions:
        said["action"] = {"enum": [*entry.actions]}
    if entry.resource is not None:
        said["resource"] = {"properties": {"type": {"const": entry.resource}}}
    rules: list[dict[str, Any]] = [
        {"$ref": ENVELOPE},
        {
            "if": {"required": ["redaction"]},
            "then": {"properties": {"details": {"type": "object", "propertyNames": {"enum": [*fields]}}}},
            "else": {"properties": {"details": _details(fields)}},
        },
        *_of_success(entry),
    ]
    return {
        "$schema": DIALECT,
        "$id": f"{name}.json",
        "title": name,
        "description": entry.says,
        "type": "object",
        "properties": said,
        "required": needed,
        "allOf": rules,
    }


def _of_success(entry: EventType) -> list[dict[str, Any]]:
    """What only a whole record of a success must have: a failure may have ended before there was anything to say."""
    success: dict[str, Any] = {"required": ["outcome"], "properties": {"outcome": {"const": Outcome.SUCCESS.value}}}
    then: dict[str, Any] = {"properties": {"severity": {"enum": [severity.value for severity in entry.severity]}}}
    if Severity.INFO not in entry.severity:
        then["required"] = ["severity"]
    if entry.crud:
        then["properties"]["crud"] = {"enum": [*dict.fromkeys((*entry.crud, "x"))]}
    rules = [{"if": success, "then": then}]
    # A loss is never a success, and says everything all the same.
    whole = success if entry.severity else {}
    if required := sorted(entry.required):
        need = {"required": ["details"], "properties": {"details": {"required": required}}}
        rules.append({"if": {**whole, "not": {"required": ["redaction"]}}, "then": need})
    return rules


def _details(fields: Mapping[str, Field]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {name: _value(field) for name, field in fields.items()},
        "additionalProperties": False,
    }


def _value(field: Field) -> dict[str, Any]:
    found: dict[str, Any] = {"description": field.says}
    of = field.of if field.type is FieldType.LIST and field.of is not None else field.type
    one: dict[str, Any] = dict(_PLAIN[of])
    if field.enum and field.open:
        one["examples"] = [*field.enum]  # more may come: a reader must be ready for a word it does not know
    elif field.enum:
        one = {"enum": [*field.enum]}
    if field.max_length is not None:
        one["maxLength"] = field.max_length
    if field.type is FieldType.LIST:
        found |= {"type": "array", "items": one}
        if field.max_items is not None:
            found["maxItems"] = field.max_items
    else:
        found |= one
    found |= {
        key: bound for key, bound in (("minimum", field.minimum), ("maximum", field.maximum)) if bound is not None
    }
    if field.unit is not None:
        found["x-unit"] = field.unit
    if field.data_class is not None:
        found["x-redaction-class"] = field.data_class
    return found


def _sentence(thing: type) -> str:
    return (thing.__doc__ or "").partition("\n")[0]
