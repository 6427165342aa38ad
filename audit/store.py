"""Rows into PostgreSQL: as `audit_writer`, in bulk, with the consumer's offsets in the same transaction.

COPY cannot skip what is there already, so rows go to a temporary table first and from there into `audit_events` with
`ON CONFLICT DO NOTHING`. What was skipped is a duplicate if the hash agrees and a conflict if not.
"""

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeAlias

import asyncpg
import structlog
from prometheus_client import CollectorRegistry

from audit.errors import Fenced, SinkUnavailable
from audit.ingest import COLUMNS, Bounds, DeadLetter, DeadReason, Row, ingest
from audit.late import declare_late, late_among
from audit.login import check_role
from audit.metrics import IngestMetrics

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

_CONNECT_TIMEOUT_S = 5.0
_COMMAND_TIMEOUT_S = 30.0
_HOUSE_INTERVAL_S = 3600.0  # partitions are made 7 days ahead: an hour's retry is plenty

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
_DEAD = (
    "INSERT INTO audit_dead_letters (reason, error, payload, payload_hash) VALUES ($1, $2, $3, $4)"
    " ON CONFLICT DO NOTHING"
)
# A consumer whose epoch or offset has been passed gets no row back: somebody else owns the partition by now.
_OFFSET = """
UPDATE audit_consumer_offsets SET next_offset = $4, updated_at = clock_timestamp()
WHERE topic = $1 AND partition = $2 AND group_id = $3 AND epoch = $5 AND next_offset <= $4 RETURNING epoch
"""
_CLAIM = """
INSERT INTO audit_consumer_offsets AS o (topic, partition, group_id, next_offset, epoch) VALUES ($1, $2, $3, 0, 1)
ON CONFLICT (topic, partition, group_id) DO UPDATE SET epoch = o.epoch + 1, updated_at = clock_timestamp()
RETURNING next_offset, epoch
"""
_REPORT = "SELECT audit_report($1, $2, $3, $4, $5, $6)"
_ADVANCE = "SELECT audit_advance()"

# InternalClientError: what asyncpg says of a connection that the server has closed under it.
_DRIVER_ERRORS = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)

_log = structlog.get_logger("audit.store")


@dataclass(frozen=True, slots=True)
class Offset:
    """How far a consumer has come in one partition, under the epoch of its assignment."""

    topic: str
    partition: int
    group_id: str
    next_offset: int
    epoch: int


@dataclass(frozen=True, slots=True)
class Written:
    """What became of a batch."""

    rows: int
    duplicates: int
    conflicts: int
    dead: Sequence[DeadLetter]


Mark = tuple[str, int, int, int, int, bool]
"""Producer, epoch, lane, lanes, milliseconds, ended."""


Bury: TypeAlias = Callable[[Sequence[DeadLetter]], Awaitable[None]]


class Store:
    """One writer's connection. Calls queue up behind each other; a broken connection is made anew at the next call."""

    def __init__(
        self, dsn: str, *, metrics: IngestMetrics | None = None, now_ns: Callable[[], int] = time.time_ns
    ) -> None:
        self._dsn = dsn
        self._now_ns = now_ns
        self._metrics = metrics or IngestMetrics(CollectorRegistry())
        self._lock = asyncio.Lock()
        self._connection: Connection | None = None
        self._bounds: Bounds | None = None
        self._house_at = 0.0

    async def write(
        self,
        records: Sequence[bytes],
        *,
        offsets: Sequence[Offset] = (),
        marks: Sequence[Mark] = (),
        bury: Bury | None = None,
    ) -> Written:
        """Make records visible, all or none, exactly once.

        Args:
            records: Encoded events.
            offsets: To be moved in the same transaction.
            marks: Watermarks that hold when the records are visible, in the same transaction.
            bury: Where to put what cannot become a row, before the transaction ends; `audit_dead_letters` otherwise.

        Raises:
            SinkUnavailable: nothing was written, or whether it was is unknown; writing it again is harmless.
            Fenced: the offsets are no longer ours; nothing was written.
        """
        began = time.monotonic()
        async with self._lock, _mapped(self):
            connection = await self._ready()
            if self._bounds is None:
                self._house_at = 0.0  # look again next time
                raise SinkUnavailable("the store has no partitions: run `lychgate migrate`")
            batch = ingest(records, self._bounds, self._now())
            async with connection.transaction():
                late = await late_among(connection, batch.rows)
                inserted, refused = await self._insert(connection, batch.rows)
                conflicts = list(batch.conflicts)
                if inserted + len(refused) < len(batch.rows):
                    conflicts += await self._conflicting(connection, batch.rows)
                await self._set_apart(connection, conflicts)
                dead = [*batch.dead, *refused]
                if dead:
                    await (self._bury(connection, dead) if bury is None else bury(dead))
                await declare_late(connection, late, self._bounds)
                await self._report(connection, marks)
                for offset in offsets:
                    await self._move(connection, offset)
            written = Written(
                inserted,
                batch.duplicates + len(batch.rows) - len(refused) - inserted - len(conflicts) + len(batch.conflicts),
                len(conflicts),
                dead,
            )
        self._metrics.late.inc(len(late))
        self._count(written, batch.rows, began)
        return written

    async def report(self, marks: Iterable[Mark]) -> None:
        """Take watermarks.

        Raises:
            SinkUnavailable: they were not taken.
        """
        async with self._lock, _mapped(self):
            await self._report(await self._ready(), list(marks))

    async def claim(self, topic: str, partitions: Iterable[int], group_id: str) -> list[Offset]:
        """Take partitions over: whoever had them before is fenced from now on.

        Returns:
            Where to go on in each, with the epoch to write under.

        Raises:
            SinkUnavailable: the store cannot be reached.
        """
        async with self._lock, _mapped(self):
            connection = await self._ready()
            claimed: list[Offset] = []
            async with connection.transaction():
                for partition in sorted(partitions):
                    row = await connection.fetchrow(_CLAIM, topic, partition, group_id)
                    if row is not None:
                        claimed.append(Offset(topic, partition, group_id, row["next_offset"], row["epoch"]))
            return claimed

    async def ping(self) -> None:
        """Whether the store is there and has its tables: what readiness asks.

        Raises:
            SinkUnavailable: not now.
        """
        async with self._lock, _mapped(self):
            await (await self._ready()).execute("SELECT 1")

    async def close(self) -> None:
        """Give the connection up. Does not wait for a server that does not answer."""
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                await connection.close(timeout=1.0)
            except _DRIVER_ERRORS:
                connection.terminate()

    def drop(self) -> None:
        """Forget a connection that cannot be trusted any more."""
        if self._connection is not None:
            self._connection.terminate()
        self._connection = None

    async def _ready(self) -> Connection:
        """A connection that was checked, with a staging table and known bounds."""
        connection = self._connection
        if connection is None or connection.is_closed():
            connection = await asyncpg.connect(
                self._dsn, timeout=_CONNECT_TIMEOUT_S, command_timeout=_COMMAND_TIMEOUT_S
            )
            self._connection = connection
            await check_role(connection)
            await connection.execute(_STAGING)
            self._house_at = 0.0
        if time.monotonic() >= self._house_at:
            await self._keep_house(connection)
        return connection

    async def _keep_house(self, connection: Connection) -> None:
        """Have the next partitions made, and look what there are."""
        try:
            await connection.execute("SELECT audit_premake()")
        except asyncpg.LockNotAvailableError:
            _log.warning("audit_premake_postponed")
        row = await connection.fetchrow("SELECT lowest, beyond FROM audit_bounds()")
        self._bounds = Bounds(row["lowest"], row["beyond"]) if row is not None and row["lowest"] is not None else None
        self._house_at = time.monotonic() + _HOUSE_INTERVAL_S

    async def _insert(self, connection: Connection, rows: Sequence[Row]) -> tuple[int, list[DeadLetter]]:
        """Insert rows; one that the database refuses is found by halving and set apart, the others stay."""
        if not rows:
            return 0, []
        try:
            async with connection.transaction():
                await connection.copy_records_to_table("audit_staging", records=rows, columns=COLUMNS)
                status: str = await connection.execute(_MOVE)
        except (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError, asyncpg.ProgramLimitExceededError) as exc:
            if len(rows) == 1:
                return 0, [DeadLetter(rows[0].body.encode(), DeadReason.REFUSED, f"{exc}")]
            middle = len(rows) // 2
            left, left_refused = await self._insert(connection, rows[:middle])
            await connection.execute("TRUNCATE pg_temp.audit_staging")
            right, right_refused = await self._insert(connection, rows[middle:])
            return left + right, left_refused + right_refused
        return int(status.rpartition(" ")[2]), []

    async def _conflicting(self, connection: Connection, rows: Sequence[Row]) -> list[Row]:
        """Those rows whose key is there with another hash."""
        found = await connection.fetch(
            "SELECT event_id, phase, payload_hash FROM audit_hashes($1::uuid[], $2::text[])",
            [row.event_id for row in rows],
            [row.phase for row in rows],
        )
        there = {(row["event_id"], row["phase"]): row["payload_hash"] for row in found}
        return [row for row in rows if there.get((row.event_id, row.phase), row.payload_hash) != row.payload_hash]

    async def _set_apart(self, connection: Connection, rows: Sequence[Row]) -> None:
        if rows:
            await connection.executemany(
                _CONFLICT, [(row.event_id, row.phase, row.payload_hash, row.body.encode()) for row in rows]
            )

    async def _bury(self, connection: Connection, letters: Sequence[DeadLetter]) -> None:
        await connection.executemany(
            _DEAD,
            [
                (each.reason, each.error.replace("\0", " "), each.payload, hashlib.sha256(each.payload).digest())
                for each in letters
            ],
        )

    async def _report(self, connection: Connection, marks: Sequence[Mark]) -> None:
        if marks:
            await connection.executemany(_REPORT, marks)
            await connection.execute(_ADVANCE)

    async def _move(self, connection: Connection, offset: Offset) -> None:
        moved = await connection.fetchval(
            _OFFSET, offset.topic, offset.partition, offset.group_id, offset.next_offset, offset.epoch
        )
        if moved is None:
            self._metrics.fenced.inc()
            raise Fenced(f"partition {offset.partition} of `{offset.topic}` has another consumer")

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._now_ns() / 1e9, UTC)

    def _count(self, written: Written, rows: Sequence[Row], began: float) -> None:
        metrics = self._metrics
        metrics.ingested.inc(written.rows)
        metrics.duplicates.inc(written.duplicates)
        metrics.conflicts.inc(written.conflicts)
        for letter in written.dead:
            metrics.dead_letters.labels(letter.reason.value).inc()
        metrics.batch_rows.observe(written.rows)
        metrics.seconds.observe(time.monotonic() - began)
        if written.rows:
            now = self._now()
            metrics.lag.observe(max(0.0, (now - min(row.occurred_at for row in rows)).total_seconds()))
            metrics.last.set(now.timestamp())

    def failed(self) -> None:
        """Count a batch that was not taken."""
        self._metrics.failures.inc()


@asynccontextmanager
async def _mapped(store: Store) -> AsyncIterator[None]:
    """The driver's errors as ours; the connection is not used again, for nobody knows what it is in the middle of."""
    try:
        yield
    except _DRIVER_ERRORS as exc:
        store.drop()
        store.failed()
        raise SinkUnavailable(f"the store: {type(exc).__name__}: {exc}") from exc
    except asyncio.CancelledError:
        store.drop()
        raise
