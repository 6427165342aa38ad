"""Events that real code has emitted, held against the registry and against the JSON Schema of their type."""

from collections.abc import Iterable
from functools import cache
from typing import Any

import jsonschema
import msgspec
import referencing

from audit.codec import encode
from audit.event import AuditEvent
from audit.registry.check import problems
from audit.registry.load import packaged
from audit.registry.schema import schemas


@cache
def validator(name: str) -> jsonschema.Draft202012Validator:
    """Of one type of our own, as its file and the envelope's say."""
    documents = schemas(packaged())
    known = referencing.Registry().with_resources(
        [(file, referencing.Resource.from_contents(document)) for file, document in documents.items()]
    )
    return jsonschema.Draft202012Validator(documents[f"{name}.json"], registry=known)


def faults(event: AuditEvent) -> list[str]:
    """What the registry and the schema say against an event."""
    found = problems(event, packaged())
    if event.event_type in packaged().types:
        wire: Any = msgspec.json.decode(encode(event))
        found += [f"{error.json_path}: {error.message}" for error in validator(event.event_type).iter_errors(wire)]
    return found


def registered(events: Iterable[AuditEvent]) -> list[AuditEvent]:
    """The events, each of which is as registered."""
    kept = list(events)
    for event in kept:
        assert faults(event) == [], encode(event).decode()
    return kept
