"""The one place where an event becomes bytes and bytes become an event. Pure.

Three forms: `encode` is what is spooled and sent, fast and in field order; `decode` reads it back, checked; `digest`
is over the canonical form (keys sorted, integral numbers as integers), which can be made again from the `jsonb` the
store keeps, and is what tells a duplicate from a conflict.
"""

import hashlib
import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec

from audit.event import AuditEvent, Redaction

_ENCODER = msgspec.json.Encoder()
_CANONICAL = msgspec.json.Encoder(order="sorted")
_EVENT = msgspec.json.Decoder(AuditEvent)
_DEPTH = 500  # half of what Python's stack allows a decoder
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"')
_OPEN, _CLOSE = b"{[", b"}]"
_EXPONENT_LIMIT = 400  # beyond every double; keeps `1e999999999` from becoming a number of a gigabyte


def encode(event: AuditEvent) -> bytes:
    """The bytes that are spooled and sent: JSON in field order, defaults left out."""
    return _ENCODER.encode(event)


def encode_legible(event: AuditEvent) -> bytes:
    """As `encode`, with `?` for what no UTF-8 holds: a lone surrogate in an id costs itself, not the record."""
    return encode(msgspec.convert(_legible(msgspec.to_builtins(event)), AuditEvent))


def truncated(event: AuditEvent) -> AuditEvent:
    """The event without its large parts, saying so: of one that is too large, or that no JSON holds."""
    mode, fields = (event.redaction.mode, event.redaction.fields) if event.redaction else ("off", ())
    small = Redaction(mode, fields, truncated=True)
    return msgspec.structs.replace(event, input=None, changes=(), details=None, redaction=small)


def is_shallow(payload: bytes) -> bool:
    """Whether a record is nested so little that every reader gets to its bottom, wherever it stands itself."""
    if payload.count(b"{") + payload.count(b"[") <= _DEPTH:
        return True
    depth = 0
    for sign in _STRING.sub(b"", payload):
        depth += (sign in _OPEN) - (sign in _CLOSE)
        if depth > _DEPTH:
            return False
    return True


def decode(payload: bytes) -> AuditEvent:
    """Read an event.

    Raises:
        msgspec.DecodeError: not JSON, or not an event.
    """
    return _EVENT.decode(payload)


def decode_plain(payload: bytes) -> dict[str, Any]:
    """Read an event as plain values, whatever fields it has.

    Raises:
        msgspec.DecodeError: not a JSON object, or a number no store can keep.
    """
    return _PLAIN.decode(payload)


def canonical(plain: dict[str, Any]) -> bytes:
    """The canonical bytes of an event read by `decode_plain`."""
    return _CANONICAL.encode(plain)


def digest(payload: bytes) -> bytes:
    """SHA-256 of the canonical form, 32 bytes. Equal for two spellings of the same event.

    Raises:
        msgspec.DecodeError: as `decode_plain`.
    """
    return hashlib.sha256(canonical(decode_plain(payload))).digest()


def timestamp(now_ns: int) -> str:
    """RFC 3339, UTC, microseconds, `Z`."""
    seconds, rest = divmod(now_ns, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest // 1000:06d}Z"


def _legible(node: Any) -> Any:
    if isinstance(node, str):
        return node.encode("utf-8", "replace").decode()
    if isinstance(node, dict):
        return {key: _legible(value) for key, value in node.items()}
    if isinstance(node, list | tuple):
        return [_legible(value) for value in node]
    return node


def _number(text: str) -> int | float:
    """A JSON number with fraction or exponent, as PostgreSQL's `jsonb` would print it: `1e2` and `100` are one."""
    exact = Decimal(text)
    if exact and abs(exact.adjusted()) > _EXPONENT_LIMIT:
        raise ValueError("number out of range")
    return int(exact) if exact == exact.to_integral_value() else float(text)


_PLAIN = msgspec.json.Decoder(dict[str, Any], float_hook=_number)
