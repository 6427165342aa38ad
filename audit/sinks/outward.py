"""A record as it leaves our own stores: what a reader without the full view would see. Pure.

The store masks at reading, by role. A file and a search engine have readers we know nothing of, so what goes there is
masked before it goes. If that fails the metadata goes and the body stays: neither lost nor leaked.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from audit.codec import decode_plain
from audit.event import AuditEvent
from audit.ids import id_ms
from audit.redact import Variant, parse_paths, strike

_METADATA = (
    "event_id", "phase", "event_type", "kind", "tenant_id", "occurred_at", "producer", "schema_version", "action",
    "outcome", "status", "severity", "trace_id",
)  # fmt: skip
_ENCODER = msgspec.json.Encoder()
_DECODE_ERRORS = (msgspec.DecodeError, UnicodeDecodeError, ValueError, RecursionError)


class Outgoing(NamedTuple):
    """A record that may leave.

    Attributes:
        key: `<event_id>-<phase>`, what it is told apart by.
        at_ms: The time in its id, milliseconds since the epoch.
        body: The masked event as JSON, one line.
    """

    key: str
    at_ms: int
    body: bytes


class Outward:
    """Masks records.

    Args:
        classes: Dotted field paths by class.
        names: The classes that are masked.
    """

    def __init__(self, classes: Mapping[str, Sequence[str]], names: Sequence[str]) -> None:
        self._classes = {name: parse_paths(classes[name]) for name in names}

    def of(self, payload: bytes) -> Outgoing | None:
        """The record as it may leave; None for bytes that are no event: nobody knows what stands in them."""
        try:
            event = decode_plain(payload)
            msgspec.convert(event, AuditEvent)
            at_ms = id_ms(event["event_id"])
        except _DECODE_ERRORS:
            return None
        try:
            body = _ENCODER.encode(self._masked(event))
        except (ValueError, TypeError, AttributeError, KeyError, RecursionError, msgspec.MsgspecError):
            body = _ENCODER.encode({name: event[name] for name in _METADATA if name in event} | {"redaction": _FAILED})
        return Outgoing(f"{event['event_id']}-{event['phase']}", at_ms, body)

    def _masked(self, event: dict[str, Any]) -> dict[str, Any]:
        struck = strike(event, self._classes, Variant.MASK)
        if struck:
            before = event.get("redaction") or {}
            fields = [*before.get("fields", ()), *(item.path for item in struck)]
            event["redaction"] = {**before, "mode": before.get("mode", "enforce"), "fields": fields}
        return event


_FAILED = {"mode": "enforce", "fields": ["details", "input", "changes"], "truncated": True}
