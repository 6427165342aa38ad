"""Events that come below what readers were told is complete: taken all the same, and told of in an `audit.late` event.

It should not happen. It does when a producer that was declared lost comes back, or one appears whose clock is behind,
and whoever follows the log must then be told what to read again. Called by `audit.store`, in the rows' transaction.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple, TypeAlias
from uuid import UUID

import asyncpg

from audit.codec import encode, timestamp
from audit.errors import SinkUnavailable
from audit.event import Severity
from audit.ids import id_floor, id_ms
from audit.ingest import Bounds, DeadLetter, Row, row_of
from audit.keeper.event import INSERT, keeper_event
from audit.store_clock import event_id

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

LATE = "audit.late"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Late(NamedTuple):
    """What of a batch is late.

    Attributes:
        through: What readers had been told, milliseconds since the epoch.
        rows: The rows, in key order.
    """

    through: int
    rows: Sequence[Row]

    def __len__(self) -> int:
        """How many rows."""
        return len(self.rows)


NOTHING = Late(0, ())


async def late_among(connection: Connection, rows: Sequence[Row]) -> Late:
    """Those rows that are new and below what readers were told. One look, where there are none.

    Args:
        connection: The writer's, in the transaction that will insert them.
        rows: In key order.
    """
    if not rows:
        return NOTHING
    through: datetime | None = await connection.fetchval("SELECT audit_complete_through()")
    if through is None:
        return NOTHING
    through_ms = int((through - _EPOCH).total_seconds() * 1000)
    below = UUID(id_floor(max(0, through_ms)))
    if rows[0].event_id >= below:
        return NOTHING
    candidates = [row for row in rows if row.event_id < below]
    found = await connection.fetch(
        "SELECT event_id, phase FROM audit_late($1::uuid[], $2::text[])",
        [row.event_id for row in candidates],
        [row.phase for row in candidates],
    )
    keys = {(row["event_id"], row["phase"]) for row in found}
    return Late(through_ms, [row for row in candidates if (row.event_id, row.phase) in keys])


async def declare_late(connection: Connection, late: Late, bounds: Bounds) -> None:
    """Write one `audit.late` event for each tenant, in the transaction of the rows it names.

    Raises:
        SinkUnavailable: there is no partition for this moment; the rows wait with it.
    """
    if not late.rows:
        return
    by_tenant: dict[str, list[Row]] = {}
    for row in late.rows:
        by_tenant.setdefault(row.tenant_id, []).append(row)
    for tenant, rows in by_tenant.items():
        made_id = await event_id(connection)
        event = keeper_event(LATE, made_id, _details(late.through, rows), tenant_id=tenant, severity=Severity.WARN)
        made = row_of(encode(event), bounds, id_ms(made_id))
        if isinstance(made, DeadLetter):
            raise SinkUnavailable(f"the store: an event of its own: {made.error}")
        await connection.execute(INSERT, *made)


def _details(through_ms: int, rows: Sequence[Row]) -> dict[str, Any]:
    """What a reader needs to read again: from the first to the last of them, both included."""
    first, last = rows[0].event_id, rows[-1].event_id
    return {
        "count": len(rows),
        "first_event_id": str(first),
        "last_event_id": str(last),
        "first_at": timestamp(id_ms(str(first)) * 1_000_000),
        "last_at": timestamp(id_ms(str(last)) * 1_000_000),
        "complete_through": timestamp(through_ms * 1_000_000),
        "producers": sorted({row.producer_id for row in rows})[:20],
    }
