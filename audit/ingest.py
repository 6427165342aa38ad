"""Records in, rows out; what cannot become a row is set apart with a reason. Pure.

The same code on both ways: the relay uses it in the direct form, the consumer behind the broker.
"""

import hashlib
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
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError, RecursionError) as exc:
        return DeadLetter(payload, DeadReason.MALFORMED, f"{exc}")
    try:
        if b"\\u0000" in payload:  # PostgreSQL's text holds no NUL; a caller must not unmake its record with one
            plain = _without_nul(plain)
        event = msgspec.convert(plain, AuditEvent)
        event_id = UUID(event.event_id)
        id_at_ms = id_ms(event.event_id)
        occurred_at = _moment(event.occurred_at)
    except (msgspec.ValidationError, ValueError, OverflowError, RecursionError) as exc:
        return DeadLetter(payload, DeadReason.SCHEMA, f"{exc}")
    if not event.tenant_id:
        return DeadLetter(payload, DeadReason.SCHEMA, "tenant_id is empty")
    if not bounds.lowest <= event_id < bounds.beyond or id_at_ms > ahead_ms:
        return DeadLetter(payload, DeadReason.OUT_OF_RANGE, f"event_id `{event.event_id}` is outside the partitions")
    body = canonical(plain)
    actor, resource, request, decision = event.actor, event.resource, event.request, event.decision
    return Row(
        event_id=event_id,
        phase=event.phase.value,
        tenant_id=event.tenant_id,
        event_type=event.event_type,
        kind=event.kind.value,
        occurred_at=occurred_at,
        producer_id=event.producer.id,
        producer_epoch=event.producer.epoch,
        producer_seq=event.producer.seq,
        actor_type=_short(actor.type if actor is not None else None),
        actor_id=_short(actor.id if actor is not None else None),
        actor_issuer=_short(actor.issuer if actor is not None else None),
        action=_short(event.action),
        resource_type=_short(resource.type if resource is not None else None),
        resource_id=_short(resource.id if resource is not None else None),
        service=_short(request.service if request is not None else None),
        decision=_short(decision.effect if decision is not None else None),
        outcome=event.outcome.value if event.outcome is not None else None,
        status=event.status if event.status is not None and 0 <= event.status <= _STATUS_MAX else None,
        severity=RANK[event.severity],
        trace_id=_short(event.trace_id),
        payload_hash=hashlib.sha256(body).digest(),
        body=body.decode(),
    )


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("occurred_at has no offset")
    return moment.astimezone(UTC)


def _short(text: str | None) -> str | None:
    return text[:_COLUMN_CHARS] if text is not None else None


def _without_nul(node: Any) -> Any:
    if isinstance(node, str):
        return node.replace("\0", "\ufffd")
    if isinstance(node, dict):
        return {_without_nul(key): _without_nul(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_without_nul(value) for value in node]
    return node
