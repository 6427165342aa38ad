"""Rows into `audit_events` within the caller's transaction: COPY to a staging table, insert from there.

COPY cannot skip what is there already and is refused where row-level security holds, so rows go to a temporary table
of the connection's own and from there into the events with `ON CONFLICT DO NOTHING`. What was skipped is a duplicate if
the hash agrees and a conflict if not.
"""

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import asyncpg

from audit.driver import described
from audit.ingest import COLUMNS, DeadLetter, DeadReason, Row

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

_LIST = ", ".join(COLUMNS)
_STAGING = """
CREATE TEMPORARY TABLE IF NOT EXISTS audit_staging ON COMMIT DELETE ROWS AS
  SELECT NULL::uuid AS event_id, NULL::text AS phase, NULL::text AS tenant_id, NULL::text AS event_type,
         NULL::text AS kind, NULL::timestamptz AS occurred_at, NULL::text AS producer_id,
         NULL::bigint AS producer_epoch, NULL::bigint AS producer_seq, NULL::text AS actor_type,
         NULL::text AS actor_id, NULL::text AS actor_issuer, NULL::text AS action, NULL::text AS resource_type,
         NULL::text AS resource_id, NULL::text AS service, NULL::text AS decision, NULL::text AS outcome,
         NULL::smallint AS status, NULL::smallint AS severity, NULL::text AS trace_id, NULL::bytea AS payload_hash,
         NULL::jsonb AS body
  WITH NO DATA
"""
_MOVE = f"INSERT INTO audit_events ({_LIST}) SELECT {_LIST} FROM pg_temp.audit_staging ON CONFLICT DO NOTHING"  # noqa: S608  # names of ours
_CONFLICT = (
    "INSERT INTO audit_conflicts (event_id, phase, payload_hash, payload) VALUES ($1, $2, $3, $4)"
    " ON CONFLICT DO NOTHING"
)
_REFUSALS = (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError, asyncpg.ProgramLimitExceededError)


class Inserted(NamedTuple):
    """What became of some rows.

    Attributes:
        rows: Rows that are new.
        refused: Rows the database does not take.
        conflicts: Rows whose key is there with another hash; kept apart in `audit_conflicts`.
    """

    rows: int
    refused: list[DeadLetter]
    conflicts: list[Row]


async def prepare(connection: Connection) -> None:
    """Make the connection's staging table."""
    await connection.execute(_STAGING)


async def insert(connection: Connection, rows: Sequence[Row], apart: Sequence[Row] = ()) -> Inserted:
    """Insert rows, in the caller's transaction.

    Args:
        connection: One that was prepared.
        rows: In key order, no key twice.
        apart: Rows already known to be conflicts.
    """
    count, refused = await _halved(connection, rows)
    conflicts = list(apart)
    if count + len(refused) < len(rows):
        conflicts += await _conflicting(connection, rows)
    if conflicts:
        await connection.executemany(
            _CONFLICT, [(row.event_id, row.phase, row.payload_hash, row.body.encode()) for row in conflicts]
        )
    return Inserted(count, refused, conflicts)


async def _halved(connection: Connection, rows: Sequence[Row]) -> tuple[int, list[DeadLetter]]:
    """Insert rows; one that the database refuses is found by halving and set apart, the others stay."""
    if not rows:
        return 0, []
    try:
        async with connection.transaction():
            await connection.copy_records_to_table("audit_staging", records=rows, columns=COLUMNS)
            status: str = await connection.execute(_MOVE)
    except _REFUSALS as exc:
        if len(rows) == 1:
            return 0, [_refused(rows[0], exc)]
        middle = len(rows) // 2
        left, left_refused = await _halved(connection, rows[:middle])
        await connection.execute("TRUNCATE pg_temp.audit_staging")
        right, right_refused = await _halved(connection, rows[middle:])
        return left + right, left_refused + right_refused
    return int(status.rpartition(" ")[2]), []


def _refused(row: Row, exc: Exception) -> DeadLetter:
    """A violated check without a name is a row without a partition: it was dropped after we last looked."""
    if isinstance(exc, asyncpg.CheckViolationError) and not exc.constraint_name:
        return DeadLetter(row.body.encode(), DeadReason.OUT_OF_RANGE, f"event_id `{row.event_id}` has no partition now")
    return DeadLetter(row.body.encode(), DeadReason.REFUSED, described(exc))


async def _conflicting(connection: Connection, rows: Sequence[Row]) -> list[Row]:
    """Those rows whose key is there with another hash."""
    found = await connection.fetch(
        "SELECT event_id, phase, payload_hash FROM audit_hashes($1::uuid[], $2::text[])",
        [row.event_id for row in rows],
        [row.phase for row in rows],
    )
    there = {(row["event_id"], row["phase"]): row["payload_hash"] for row in found}
    return [row for row in rows if there.get((row.event_id, row.phase), row.payload_hash) != row.payload_hash]
