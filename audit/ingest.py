"""Records in, rows out; what cannot become a row is set apart with a reason. Pure.

The same code on both ways: the relay uses it in the direct form, the consumer behind the broker.
"""

import hashlib
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from audit.codec import canonical, decode_plain
from audit.event import AuditEvent
from audit.ids import id_ms
from audit.severity import RANK

AHEAD_LIMIT = timedelta(minutes=5)
_COLUMN_CHARS = 512  # an index entry must stay below 2,704 bytes; the body keeps the whole value
_STATUS_MAX = 32_767
_NUMBER_MAX = (1 << 63) - 1  # PostgreSQL's bigint
_PLACE = re.compile(r" - at `(\$[^`]*)`$")
_BYTE = re.compile(r"\(byte (\d+)\)$")


class DeadReason(StrEnum):
    """Why a record cannot become a row."""

    MALFORMED = "malformed"
    SCHEMA = "schema"
    OUT_OF_RANGE = "out_of_range"
    REFUSED = "refused"


class DeadLetter(NamedTuple):
    """A record set apart."""

    payload: bytes
    reason: DeadReason
    error: str


class Row(NamedTuple):
    """A row of `audit_events`, in the order of `COLUMNS`."""

    event_id: UUID
    phase: str
    tenant_id: str
    event_type: str
    kind: str
    occurred_at: datetime
    producer_id: str
    producer_epoch: int
    producer_seq: int
    actor_type: str | None
    actor_id: str | None
    actor_issuer: str | None
    action: str | None
    resource_type: str | None
    resource_id: str | None
    service: str | None
    decision: str | None
    outcome: str | None
    status: int | None
    severity: int
    trace_id: str | None
    payload_hash: bytes
    body: str


COLUMNS = Row._fields


class Bounds(NamedTuple):
    """What the store has partitions for: ids from `lowest` up to, not including, `beyond`."""

    lowest: UUID
    beyond: UUID


class Batch(NamedTuple):
    """What became of some records.

    Attributes:
        rows: To be written, in key order (two writers that insert in the same order cannot deadlock).
        conflicts: Records of this batch whose key another record of this batch has, with other content.
        dead: What cannot become a row.
        duplicates: Records that were twice in this batch.
    """

    rows: Sequence[Row]
    conflicts: Sequence[Row]
    dead: Sequence[DeadLetter]
    duplicates: int


def ingest(records: Iterable[bytes], bounds: Bounds, now: datetime) -> Batch:
    """Sort records into rows, conflicts, dead letters and duplicates.

    Args:
        records: Encoded events, in the order they came.
        bounds: Of the store's partitions.
        now: For the ids that are ahead of time.
    """
    ahead_ms = int((now + AHEAD_LIMIT).timestamp() * 1000)
    rows: dict[tuple[UUID, str], Row] = {}
    conflicts: list[Row] = []
    dead: list[DeadLetter] = []
    duplicates = 0
    for payload in records:
        made = row_of(payload, bounds, ahead_ms)
        if isinstance(made, DeadLetter):
            dead.append(made)
            continue
        key = (made.event_id, made.phase)
        before = rows.setdefault(key, made)
        if before is not made:
            if before.payload_hash == made.payload_hash:
                duplicates += 1
            else:
                conflicts.append(made)
    return Batch([rows[key] for key in sorted(rows)], conflicts, dead, duplicates)


def row_of(payload: bytes, bounds: Bounds, ahead_ms: int) -> Row | DeadLetter:
    """One record as a row, or set apart.

    Args:
        payload: An encoded event.
        bounds: Of the store's partitions.
        ahead_ms: No id may be later, milliseconds since the epoch.
    """
    try:
        plain = decode_plain(payload)
    except (ArithmeticError, ValueError, RecursionError) as exc:
        return DeadLetter(payload, DeadReason.MALFORMED, _malformed(payload, exc))
    try:
        # PostgreSQL's text holds no NUL; a caller must not unmake its record with one. Looking for the backslash first
        # costs a tenth.
        if b"\\" in payload and b"\\u0000" in payload:
            plain = _without_nul(plain)
        event = msgspec.convert(plain, AuditEvent)
        id_at_ms = _id_ms(event.event_id)
        occurred_at = _moment(event.occurred_at)
        _check(event)
        body = canonical(plain)
    except (ArithmeticError, ValueError, RecursionError) as exc:
        return DeadLetter(payload, DeadReason.SCHEMA, _broken(exc))
    event_id = UUID(event.event_id)
    if not bounds.lowest.int <= event_id.int < bounds.beyond.int or id_at_ms > ahead_ms:
        return DeadLetter(payload, DeadReason.OUT_OF_RANGE, f"event_id `{event.event_id}` is outside the partitions")
    producer, actor, resource, request, decision = (
        event.producer,
        event.actor,
        event.resource,
        event.request,
        event.decision,
    )
    status = event.status
    # Plain text where `event` has an enumeration: the driver takes it as it is. In the order of the columns, because
    # twenty-three names cost as much as the digest.
    return Row(
        event_id,
        plain["phase"],
        event.tenant_id,
        event.event_type,
        plain["kind"],
        occurred_at,
        producer.id,
        producer.epoch,
        producer.seq,
        _short(actor.type) if actor is not None else None,
        _short(actor.id) if actor is not None else None,
        _short(actor.issuer) if actor is not None else None,
        _short(event.action),
        _short(resource.type) if resource is not None else None,
        _short(resource.id) if resource is not None else None,
        _short(request.service) if request is not None else None,
        _short(decision.effect) if decision is not None else None,
        plain.get("outcome"),
        status if status is not None and 0 <= status <= _STATUS_MAX else None,
        RANK[event.severity],
        _short(event.trace_id),
        hashlib.sha256(body).digest(),
        body.decode(),
    )


def _malformed(payload: bytes, exc: Exception) -> str:
    """Why bytes are no JSON object, without a byte of them."""
    if not payload:
        return "no bytes"
    if isinstance(exc, RecursionError):
        return "nested too deeply"
    if isinstance(exc, UnicodeDecodeError):
        return "not UTF-8"
    if isinstance(exc, msgspec.ValidationError) and _PLACE.search(str(exc)) is None:
        return "not a JSON object"
    if not isinstance(exc, msgspec.DecodeError) or isinstance(exc, msgspec.ValidationError):
        return "a number no store can keep"
    place = _BYTE.search(str(exc))
    return f"JSON is malformed at byte {place[1]}" if place is not None else "JSON is malformed"


def _broken(exc: Exception) -> str:
    """What of the schema a record breaks: msgspec's words name the place, and for an enumeration also the value."""
    if isinstance(exc, RecursionError):
        return "nested too deeply"
    if not isinstance(exc, msgspec.ValidationError):
        return str(exc) if type(exc) is ValueError else "a value no store can keep"
    text = str(exc)
    place = _PLACE.search(text)
    what = text[: place.start()] if place is not None else text
    if what.startswith("Invalid"):
        what = "Invalid value"
    return f"{what} at {place[1]}" if place is not None else what


def _check(event: AuditEvent) -> None:
    """What the store asks for beyond the types."""
    producer = event.producer
    if not (0 <= producer.epoch <= _NUMBER_MAX and 0 <= producer.seq <= _NUMBER_MAX):
        raise ValueError("producer counts beyond what the store can keep")
    if not event.tenant_id:
        raise ValueError("tenant_id is empty")


def _id_ms(text: str) -> int:
    try:
        return id_ms(text)
    except ValueError:
        raise ValueError("event_id is not a UUIDv7") from None


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is not None:
            return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError("occurred_at is not RFC 3339") from None
    raise ValueError("occurred_at has no offset")


def _short(text: str | None) -> str | None:
    return text if text is None or len(text) <= _COLUMN_CHARS else text[:_COLUMN_CHARS]


def _without_nul(node: Any) -> Any:
    if isinstance(node, str):
        return node.replace("\0", "\ufffd")
    if isinstance(node, dict):
        return {_without_nul(key): _without_nul(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_without_nul(value) for value in node]
    return node
