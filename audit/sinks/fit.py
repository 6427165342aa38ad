"""A document as an index can hold it. Pure.

Every value in `details` becomes a term, with the path that leads to it. Lucene refuses a term of more than 32,766
bytes, and with it the document: one long value in a service's details would take the event out of everybody's search.
So what is too long is cut, and the document says so; the store has the whole (ADR 218).
"""

from typing import Any, Final

import msgspec

_TERM_BYTES: Final = 32_766
_FIELD: Final = "details"
_SHOWN_BYTES: Final = 1024
"""What stays of a value that is cut."""
_ENCODER: Final = msgspec.json.Encoder()


def fitted(body: bytes) -> bytes:
    """The document, with what is too long in its details cut.

    Args:
        body: An event as JSON, as `audit.sinks.outward` makes it.
    """
    if len(body) <= _TERM_BYTES:  # nothing in it can be longer than itself
        return body
    event: dict[str, Any] = msgspec.json.decode(body)
    details = event.get(_FIELD)
    if not isinstance(details, dict):
        return body
    try:
        cut = _cut(details, _TERM_BYTES - len(f"{_FIELD}.{_FIELD}="))
    except RecursionError:  # long and nested beyond reason: found by everything else
        cut = {}
    if cut == details:
        return body
    redaction = event.get("redaction") or {"mode": "enforce"}
    fields = [*redaction.get("fields", ()), _FIELD]
    return _ENCODER.encode({**event, _FIELD: cut, "redaction": {**redaction, "fields": fields, "truncated": True}})


def _cut(node: Any, room: int) -> Any:
    """A value with every term in it at most so many bytes; a name that leaves no room goes with what it names."""
    if isinstance(node, dict):
        rooms = {name: room - len(name.encode()) - 1 for name in node}
        return {name: _cut(value, rooms[name]) for name, value in node.items() if rooms[name] > _SHOWN_BYTES}
    if isinstance(node, list):
        return [_cut(value, room) for value in node]
    if isinstance(node, str) and len(node.encode()) > room:
        return node.encode()[:_SHOWN_BYTES].decode(errors="ignore")
    return node
