"""What stands in a row of the outbox, and the record that is made of it. Pure.

The body is the event without its identity, as JSON; id, sequence number and producer are the database's. The record is
put together from their bytes, never decoded and encoded again, so that two deliveries are equal to the byte, whichever
release makes them: a record that differed would be no duplicate but a conflict.
"""

from typing import Any, Final, NamedTuple
from uuid import UUID

import msgspec

from audit.codec import decode, is_shallow, timestamp, truncated
from audit.event import AuditEvent, Phase
from audit.limits import SpoolLimits
from audit.redact import WriteRedactor

IDENTITY: Final = ("event_id", "occurred_at", "producer")
LIMIT_BYTES: Final = SpoolLimits().event_bytes
_ENCODER: Final = msgspec.json.Encoder()
_UNWRITABLE: Final = (UnicodeError, TypeError, ValueError, RecursionError, msgspec.MsgspecError)


class Life(NamedTuple):
    """Whose records an outbox holds.

    Attributes:
        producer: The producer's id.
        epoch: Its epoch: since when the table is there.
    """

    producer: str
    epoch: int


class Unreadable(Exception):
    """A row that is no event. Says what is wrong with it in a fixed word, and no byte of it."""


def body_of(event: AuditEvent, redactor: WriteRedactor) -> bytes:
    """The bytes of a row.

    Args:
        event: Without an identity.
        redactor: Takes out what must never reach a disk.

    Returns:
        At most `LIMIT_BYTES`: a larger event loses its large parts and says so, as in the spool.
    """
    event = redactor.at_write(event)
    try:
        body = _encoded(event)
        if len(body) <= LIMIT_BYTES and is_shallow(body):
            return body
    except _UNWRITABLE:
        pass  # a value that no JSON holds costs the parts it can stand in, not the record
    small = truncated(event)
    try:
        return _encoded(small)
    except _UNWRITABLE:
        return _encoded(_legible(small))


def record_of(event_id: UUID, seq: int, body: bytes, life: Life) -> bytes:
    """The record of a row.

    Raises:
        Unreadable: It is no event, or claims to be another one.
    """
    name = str(event_id)
    ms = event_id.int >> 80
    part = (event_id.int >> 64) & 0xFFF
    try:
        occurred_at = timestamp((ms * 1000 + part * 1000 // 4096) * 1000)
    except ValueError:  # an owner has chosen the id, which is not the table's: most random ones are of no year there is
        raise Unreadable("identity") from None
    head = (
        f'{{"event_id":"{name}","occurred_at":"{occurred_at}",'
        f'"producer":{{"id":"{life.producer}","epoch":{life.epoch},"seq":{seq}}},'
    )
    if not body.startswith(b"{"):
        raise Unreadable("malformed")
    record = head.encode() + body[1:]
    try:
        event = decode(record)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise Unreadable("malformed") from None
    found = (event.event_id, event.occurred_at, event.producer.id, event.producer.epoch, event.producer.seq)
    if found != (name, occurred_at, life.producer, life.epoch, seq):
        raise Unreadable("identity")  # the last of two equal keys counts
    if event.phase is not Phase.SINGLE or not event.tenant_id:
        raise Unreadable("malformed")
    return record


def _encoded(event: AuditEvent) -> bytes:
    plain: dict[str, Any] = msgspec.to_builtins(event)
    for name in IDENTITY:
        plain.pop(name, None)
    return _ENCODER.encode(plain)


def _legible(event: AuditEvent) -> AuditEvent:
    """The same with `?` for what no UTF-8 holds."""

    def cleaned(node: Any) -> Any:
        if isinstance(node, str):
            return node.encode("utf-8", "replace").decode()
        if isinstance(node, dict):
            return {key: cleaned(value) for key, value in node.items()}
        return [cleaned(value) for value in node] if isinstance(node, list | tuple) else node

    return msgspec.convert(cleaned(msgspec.to_builtins(event)), AuditEvent)
