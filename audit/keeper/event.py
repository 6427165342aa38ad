"""The keeper's own events: rows written in the transaction of what they tell of, so that neither is without the other.

They come through no spool and have no number (`seq` 0), like `audit.loss`: the store itself is where they happen.
"""

from typing import Any

import asyncpg

from audit.codec import encode, timestamp
from audit.errors import SinkUnavailable
from audit.event import NO_TENANT, AuditEvent, Kind, Outcome, Phase, Producer, Severity
from audit.ids import id_ms
from audit.ingest import COLUMNS, Bounds, DeadLetter, row_of

PRODUCER = "audit-keeper"
_PLACES = ", ".join(f"${at}" for at in range(1, len(COLUMNS) + 1))
INSERT = f"INSERT INTO audit_events ({', '.join(COLUMNS)}) VALUES ({_PLACES})"  # noqa: S608  # names of ours


def keeper_event(
    event_type: str,
    event_id: str,
    details: dict[str, Any],
    *,
    tenant_id: str = NO_TENANT,
    severity: Severity = Severity.NOTICE,
    outcome: Outcome = Outcome.SUCCESS,
) -> AuditEvent:
    """An event of the keeper's.

    Args:
        event_type: A past fact, `audit.purge.completed`.
        event_id: A UUIDv7; its time is when it happened.
        details: What was done; small and flat.
        tenant_id: Whose it is; of no tenant if it concerns all.
        severity: How grave.
        outcome: How it ended.
    """
    return AuditEvent(
        event_id=event_id,
        phase=Phase.SINGLE,
        event_type=event_type,
        kind=Kind.SYSTEM,
        tenant_id=tenant_id,
        occurred_at=timestamp(id_ms(event_id) * 1_000_000),
        producer=Producer(PRODUCER, 0, 0),
        outcome=outcome,
        severity=severity,
        details=details,
    )


async def record(connection: "asyncpg.Connection[asyncpg.Record]", event: AuditEvent) -> None:
    """Write one of these events, in the caller's transaction.

    Raises:
        SinkUnavailable: there is no partition for it; whoever has it to tell tries again.
    """
    bounds = await connection.fetchrow("SELECT lowest, beyond FROM audit_bounds()")
    if bounds is None or bounds["lowest"] is None:
        raise SinkUnavailable("the store has no partitions")
    row = row_of(encode(event), Bounds(bounds["lowest"], bounds["beyond"]), id_ms(event.event_id))
    if isinstance(row, DeadLetter):
        raise SinkUnavailable(f"the store: an event of its own: {row.error}")
    await connection.execute(INSERT, *row)
