"""Rows into PostgreSQL: as `audit_writer`, in bulk, with the consumer's offsets in the same transaction."""

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

import asyncpg
import structlog
from prometheus_client import CollectorRegistry

from audit.driver import DRIVER_ERRORS, described
from audit.errors import Fenced, SinkUnavailable
from audit.ids import id_ms
from audit.ingest import Bounds, DeadLetter, DeadReason, Row, ingest
from audit.insert import Connection, insert, prepare
from audit.late import declare_late, late_among
from audit.login import check_role
from audit.metrics import IngestMetrics

_CONNECT_TIMEOUT_S = 5.0
_COMMAND_TIMEOUT_S = 30.0
_HOUSE_INTERVAL_S = 60.0
_LAST_RESORT = timedelta(days=1)
_NO_PARTITIONS = "the store has no partitions: run `lychgate migrate`"

_DEAD = (
    "INSERT INTO audit_dead_letters (reason, error, payload, payload_hash, source) VALUES ($1, $2, $3, $4, $5)"
    " ON CONFLICT DO NOTHING"
)
# A consumer whose epoch or offset has been passed gets no row back: somebody else owns the partition by now.
_OFFSET = """
UPDATE audit_consumer_offsets SET next_offset = $4, anchor = $6, updated_at = clock_timestamp()
WHERE topic = $1 AND partition = $2 AND group_id = $3 AND epoch = $5 AND next_offset <= $4 RETURNING epoch
"""
_MOVE_TO = """
UPDATE audit_consumer_offsets SET next_offset = $4, anchor = NULL, updated_at = clock_timestamp()
WHERE topic = $1 AND partition = $2 AND group_id = $3 AND epoch = $5 RETURNING epoch
"""
_CLAIM = """
INSERT INTO audit_consumer_offsets AS o (topic, partition, group_id, next_offset, epoch) VALUES ($1, $2, $3, 0, 1)
ON CONFLICT (topic, partition, group_id) DO UPDATE SET epoch = o.epoch + 1, updated_at = clock_timestamp()
RETURNING next_offset, epoch, anchor
"""
_REPORT = "SELECT audit_report($1, $2, $3, $4, $5, $6)"
_ADVANCE = "SELECT audit_advance()"

_log = structlog.get_logger("audit.store")


@dataclass(frozen=True, slots=True)
class Offset:
    """How far a consumer has come in one partition, under the epoch of its assignment.

    Attributes:
        next_offset: Where it goes on.
        epoch: Rises with each claim; whoever has an older one is fenced.
        anchor: What the record before `next_offset` was, see `audit.kafka.position.anchor`; None if there was none.
    """

    topic: str
    partition: int
    group_id: str
    next_offset: int
    epoch: int
    anchor: int | None = None


@dataclass(frozen=True, slots=True)
class Written:
    """What became of a batch."""

    rows: int
    duplicates: int
    conflicts: int
    dead: Sequence[DeadLetter]


Mark = tuple[str, int, int, int, int, bool]
"""Producer, epoch, lane, lanes, milliseconds, ended."""


Tell: TypeAlias = Callable[[Sequence[DeadLetter]], Awaitable[None]]


class Store:
    """One writer's connection. Calls queue up behind each other; a broken connection is made anew at the next call."""

    def __init__(
        self, dsn: str, *, metrics: IngestMetrics | None = None, now_ns: Callable[[], int] | None = None
    ) -> None:
        """Prepare; nothing is connected yet.

        Args:
            dsn: The login of `audit_writer`.
            metrics: Where it counts.
            now_ns: Judges which ids are ahead of time; the store's own clock if not given. This machine's may have
                been set back, and what was taken once must not be refused when it is sent again.
        """
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
        source: Callable[[DeadLetter], str] | None = None,
        tell: Tell | None = None,
    ) -> Written:
        """Make records visible, all or none, exactly once.

        Args:
            records: Encoded events.
            offsets: To be moved in the same transaction.
            marks: Watermarks that hold when the records are visible, in the same transaction.
            source: Where a record came from, for its dead letter.
            tell: Told of the dead letters before the transaction ends, which keeps them.

        Raises:
            SinkUnavailable: nothing was written, or whether it was is unknown; writing it again is harmless.
            Fenced: the offsets are no longer ours; nothing was written.
        """
        began = time.monotonic()
        async with self._lock, _mapped(self):
            connection = await self._ready()
            if self._bounds is None:
                self._house_at = 0.0  # look again next time
                raise SinkUnavailable(_NO_PARTITIONS)
            batch = ingest(records, self._bounds, await self._judged_at(connection))
            async with connection.transaction():
                late = await late_among(connection, batch.rows)
                count, refused, conflicts = await insert(connection, batch.rows, batch.conflicts)
                dead = [*batch.dead, *refused]
                if dead:
                    await self._keep(connection, dead, source)
                    if tell is not None:
                        await tell(dead)
                await declare_late(connection, late, self._bounds)
                await self._report(connection, marks)
                for offset in offsets:
                    await self._move(connection, offset)
            if any(letter.reason is DeadReason.OUT_OF_RANGE for letter in dead):
                self._house_at = 0.0  # the partitions may have changed since we looked
            there = len(batch.rows) - count - len(refused) - (len(conflicts) - len(batch.conflicts))
            written = Written(count, batch.duplicates + there, len(conflicts), dead)
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
                        claimed.append(
                            Offset(topic, partition, group_id, row["next_offset"], row["epoch"], row["anchor"])
                        )
            return claimed

    async def move_to(self, offset: Offset, event: bytes) -> None:
        """Go on elsewhere in a partition, also further back: its records are not what they were.

        Args:
            offset: Where to go on, without an anchor.
            event: Tells of it; written in the same transaction.

        Raises:
            SinkUnavailable: the store cannot be reached.
            Fenced: the partition is no longer ours.
        """
        async with self._lock, _mapped(self):
            connection = await self._ready()
            if self._bounds is None:
                raise SinkUnavailable(_NO_PARTITIONS)
            async with connection.transaction():
                moved = await connection.fetchval(
                    _MOVE_TO, offset.topic, offset.partition, offset.group_id, offset.next_offset, offset.epoch
                )
                if moved is None:
                    raise self._fenced(offset)
                told = ingest([event], self._bounds, await self._judged_at(connection))
                await insert(connection, told.rows)
                await self._keep(connection, told.dead, None)  # dated by a clock that is ahead: not lost for that
            for letter in told.dead:
                self._metrics.dead_letters.labels(letter.reason.value).inc()

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
            except DRIVER_ERRORS:
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
            await prepare(connection)
            self._house_at = 0.0
        if time.monotonic() >= self._house_at:
            await self._keep_house(connection)
        return connection

    async def _keep_house(self, connection: Connection) -> None:
        """Look what partitions there are. Making them is the keeper's; ours only when it has not for days."""
        self._bounds = await _bounds(connection)
        ahead = int((self._now() + _LAST_RESORT).timestamp() * 1000)
        if self._bounds is not None and id_ms(str(self._bounds.beyond)) < ahead:
            try:
                await connection.execute("SELECT audit_premake()")
            except asyncpg.LockNotAvailableError:
                _log.warning("audit_premake_postponed")
            self._bounds = await _bounds(connection)
        self._house_at = time.monotonic() + _HOUSE_INTERVAL_S

    async def _keep(
        self, connection: Connection, letters: Sequence[DeadLetter], source: Callable[[DeadLetter], str] | None
    ) -> None:
        await connection.executemany(
            _DEAD,
            [
                (
                    each.reason,
                    each.error,
                    each.payload,
                    hashlib.sha256(each.payload).digest(),
                    "" if source is None else source(each),
                )
                for each in letters
            ],
        )

    async def _report(self, connection: Connection, marks: Sequence[Mark]) -> None:
        if marks:
            await connection.executemany(_REPORT, marks)
            await connection.execute(_ADVANCE)

    async def _move(self, connection: Connection, offset: Offset) -> None:
        moved = await connection.fetchval(
            _OFFSET, offset.topic, offset.partition, offset.group_id, offset.next_offset, offset.epoch, offset.anchor
        )
        if moved is None:
            raise self._fenced(offset)

    def _fenced(self, offset: Offset) -> Fenced:
        self._metrics.fenced.inc()
        return Fenced(f"partition {offset.partition} of `{offset.topic}` has another consumer")

    async def _judged_at(self, connection: Connection) -> datetime:
        if self._now_ns is not None:
            return self._now()
        now: datetime = await connection.fetchval("SELECT clock_timestamp()")
        return now

    def _now(self) -> datetime:
        return datetime.fromtimestamp((self._now_ns or time.time_ns)() / 1e9, UTC)

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


async def _bounds(connection: Connection) -> Bounds | None:
    row = await connection.fetchrow("SELECT lowest, beyond FROM audit_bounds()")
    return Bounds(row["lowest"], row["beyond"]) if row is not None and row["lowest"] is not None else None


@asynccontextmanager
async def _mapped(store: Store) -> AsyncIterator[None]:
    """The driver's errors as ours; the connection is not used again, for nobody knows what it is in the middle of."""
    try:
        yield
    except DRIVER_ERRORS as exc:
        store.drop()
        store.failed()
        raise SinkUnavailable(f"the store: {described(exc)}") from exc
    except asyncio.CancelledError:
        store.drop()
        raise
