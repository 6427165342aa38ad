"""What empties an outbox: a batch is locked, delivered, and only then removed, in one transaction.

Any number of relays may work on one outbox: each skips what another has locked. One that dies between delivering and
removing leaves its rows to another, which delivers them again, equal to the byte: duplicates, which the store counts.
"""

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple
from uuid import UUID

import asyncpg
import structlog

from audit.errors import AuditError, OutboxUnusable, SinkUnavailable
from audit.metrics.outbox import OutboxMetrics
from audit.outbox.access import Connect
from audit.outbox.body import Life, Unreadable, record_of
from audit.outbox.horizon import Horizon
from audit.outbox.install import VERSION, quoted
from audit.sinks.port import Sink, Watermark

CHANNEL: Final = "audit_outbox"
_COUNTED: Final = 100_000
_BACKOFF_FIRST_S: Final = 0.05
_DOUBLINGS: Final = 16
_REPORT_S: Final = 1.0
_NOW_MS: Final = "floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint"
_AWAY: Final = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError)

_log = structlog.get_logger("audit.outbox")


class Pace(NamedTuple):
    """How a relay goes.

    Attributes:
        batch_records: Most rows in one batch.
        batch_bytes: Most bytes in one batch; a single row may be larger.
        poll_interval_s: How long it waits for a word that there is something.
        backoff_max_s: Longest pause after failures.
        deliver_s: A sink that takes longer has failed: the rows' locks are given back.
    """

    batch_records: int = 500
    batch_bytes: int = 4 << 20
    poll_interval_s: float = 1.0
    backoff_max_s: float = 5.0
    deliver_s: float = 30.0


class _Row(NamedTuple):
    event_id: UUID
    record: bytes


class OutboxRelay:
    """Empties one outbox into one sink.

    Args:
        connect: Connects to the service's database, as a role that may read and remove.
        schema: Where the table is.
        sink: Where to.
        pace: How.
        metrics: Where it counts.
        dice: From 0 to 1.

    Attributes:
        well_at: When the last round went well, monotonic seconds.
    """

    def __init__(
        self,
        connect: Connect,
        schema: str,
        sink: Sink,
        *,
        metrics: OutboxMetrics,
        pace: Pace = Pace(),  # noqa: B008 - an immutable value
        dice: Callable[[], float] = random.random,
    ) -> None:
        self._connect = connect
        self._schema = schema
        self._sink = sink
        self._metrics = metrics
        self._pace = pace
        self._dice = dice
        self._connection: asyncpg.Connection[Any] | None = None
        self._life: Life | None = None
        self._horizon = Horizon()
        self._woken = asyncio.Event()
        self._failures = 0
        self.well_at = time.monotonic()
        self._reported_at = self._measured_at = -1e9
        table = f"{quoted(schema)}.audit_outbox"
        self._find = (
            f"SELECT event_id, octet_length(body) AS size FROM {table} WHERE refused IS NULL"  # noqa: S608 - quoted
            " ORDER BY event_id LIMIT $1 FOR UPDATE SKIP LOCKED"
        )
        self._read = f"SELECT event_id, seq, body FROM {table} WHERE event_id = ANY($1) ORDER BY event_id"  # noqa: S608
        self._remove = f"DELETE FROM {table} WHERE event_id = ANY($1)"  # noqa: S608
        self._refuse = f"UPDATE {table} SET refused = $2 WHERE event_id = $1"  # noqa: S608
        self._look = (
            f"SELECT (SELECT event_id FROM {table} WHERE refused IS NULL ORDER BY event_id LIMIT 1) AS oldest,"  # noqa: S608
            f" (SELECT count(*) FROM (SELECT FROM {table} WHERE refused IS NULL LIMIT {_COUNTED}) AS few) AS waiting,"
            f" (SELECT count(*) FROM {table} WHERE refused IS NOT NULL) AS refused, {_NOW_MS} AS now_ms"
        )
        self._whose = f"SELECT producer, epoch, version FROM {quoted(schema)}.audit_outbox_life"  # noqa: S608

    async def run(self) -> None:
        """Relay until cancelled.

        Raises:
            OutboxUnusable: There is none, or one of another release.
            AuditError: The sink cannot be used as it is configured.
        """
        try:
            while True:
                went = await self.step()
                if not went:
                    await self._wait()
        finally:
            await self.close()

    async def step(self) -> int:
        """One round: lock, deliver, remove, report.

        Returns:
            Rows that were dealt with. After a failure it returns 1 when the pause is over.

        Raises:
            OutboxUnusable: There is none, or one of another release.
        """
        try:
            connection, life = await self._ready()
            self._woken.clear()
            try:
                went = await self._batch(connection, life)
            except SinkUnavailable:
                if time.monotonic() - self._measured_at >= _REPORT_S:
                    await self._measure(connection)  # now above all somebody wants to know how long rows have waited
                raise
            if not went or time.monotonic() - self._reported_at >= _REPORT_S:
                await self._report(connection, life)
        except SinkUnavailable as exc:
            await self._pause("sink", exc, exc.retry_after_s)
            return 1
        except _AWAY as exc:
            await self.close()
            await self._pause("database", exc, None)
            return 1
        self._failures = 0
        self.well_at = time.monotonic()
        return went

    async def close(self) -> None:
        """Give the connection up. Never hangs."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()

    async def _ready(self) -> tuple["asyncpg.Connection[Any]", Life]:
        if self._connection is None or self._connection.is_closed() or self._life is None:
            self._connection = await self._connect()
            try:
                row = await self._connection.fetchrow(self._whose)
            except asyncpg.UndefinedTableError:
                raise OutboxUnusable(
                    f"schema {self._schema}: there is no outbox; see `lychgate audit outbox sql`"
                ) from None
            if row is None or row["version"] != VERSION:
                raise OutboxUnusable(f"schema {self._schema}: the outbox is not of version {VERSION}")
            self._life = Life(row["producer"], row["epoch"])
            self._horizon = Horizon()
            await self._connection.add_listener(CHANNEL, self._wake)
        return self._connection, self._life

    def _wake(self, _connection: object, _pid: int, _channel: str, schema: object) -> None:
        if schema == self._schema:
            self._woken.set()

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(self._pace.poll_interval_s):
                await self._woken.wait()
        except TimeoutError:
            return

    async def _batch(self, connection: "asyncpg.Connection[Any]", life: Life) -> int:
        async with connection.transaction():
            found = await connection.fetch(self._find, self._pace.batch_records)
            if not found:
                return 0
            rows: list[_Row] = []
            refused: list[tuple[UUID, str]] = []
            for row in await connection.fetch(self._read, _within(found, self._pace.batch_bytes)):
                try:
                    rows.append(_Row(row["event_id"], record_of(row["event_id"], row["seq"], row["body"], life)))
                except Unreadable as exc:
                    refused.append((row["event_id"], str(exc)))
            rows, more = await self._deliver(rows)
            for event_id, reason in (*refused, *more):
                await connection.execute(self._refuse, event_id, reason)
            await connection.execute(self._remove, [row.event_id for row in rows])
        self._metrics.relayed.inc(len(rows))
        for event_id, reason in (*refused, *more):
            self._metrics.refused.labels(reason).inc()
            _log.error("outbox_row_refused", event_id=str(event_id), reason=reason)
        return len(rows) + len(refused) + len(more)

    async def _deliver(self, rows: list[_Row]) -> tuple[list[_Row], list[tuple[UUID, str]]]:
        """Give rows to the sink; what it took, and what it cannot take whatever is done.

        Raises:
            SinkUnavailable: It takes nothing now.
        """
        if not rows:
            return [], []
        try:
            await self._into_sink([row.record for row in rows])
        except AuditError:
            raise
        except Exception:  # noqa: BLE001  # whatever the sink makes of it
            _log.exception("outbox_batch_failed", sink=self._sink.name)
        else:
            return rows, []
        # Not the sink's state but something in the batch: one by one, so that it holds nobody else up.
        taken: list[_Row] = []
        refused: list[tuple[UUID, str]] = []
        last = ""
        for row in rows:
            try:
                await self._into_sink([row.record])
            except AuditError:
                raise
            except Exception as exc:  # noqa: BLE001  # whatever the sink makes of it
                last = type(exc).__name__
                refused.append((row.event_id, "sink"))
            else:
                taken.append(row)
        if not taken:  # then it is the sink after all
            raise SinkUnavailable(f"{self._sink.name}: {last}")
        return taken, refused

    async def _into_sink(self, records: Sequence[bytes]) -> None:
        try:
            async with asyncio.timeout(self._pace.deliver_s):
                await self._sink.deliver(records)
        except TimeoutError:
            raise SinkUnavailable(f"{self._sink.name}: no answer in {self._pace.deliver_s:g} s") from None

    async def _report(self, connection: "asyncpg.Connection[Any]", life: Life) -> None:
        """Say how far it is: to whoever scrapes, and to the store."""
        async with connection.transaction():
            now_ms: int = await connection.fetchval(f"SELECT {_NOW_MS}")
            number: int = await connection.fetchval("SELECT pg_current_xact_id()::text::bigint")
        # Committed: what is open now, is open without us.
        least_open: int = await connection.fetchval("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint")
        through_ms = self._horizon.observe(now_ms, number, least_open)
        oldest_ms = await self._measure(connection)
        self._reported_at = time.monotonic()
        if through_ms is not None:
            at_ms = through_ms if oldest_ms is None else min(through_ms, oldest_ms)
            await self._sink.report([Watermark(life.producer, life.epoch, at_ms, ended=False)])

    async def _measure(self, connection: "asyncpg.Connection[Any]") -> int | None:
        """Count what waits; the time of the oldest, milliseconds since the epoch."""
        seen = await connection.fetchrow(self._look)
        if seen is None:
            raise asyncpg.InterfaceError("no answer")
        oldest_ms: int | None = seen["oldest"].int >> 80 if seen["oldest"] is not None else None
        self._metrics.rows.set(seen["waiting"])
        self._metrics.refused_rows.set(seen["refused"])
        self._metrics.oldest_seconds.set(0.0 if oldest_ms is None else max(0, seen["now_ms"] - oldest_ms) / 1000)
        self._measured_at = time.monotonic()
        return oldest_ms

    async def _pause(self, of: str, exc: Exception, retry_after_s: float | None) -> None:
        self._failures += 1
        self._metrics.failures.labels(of).inc()
        if self._failures & (self._failures - 1) == 0:  # the 1st, 2nd, 4th ...: an outage does not fill the log
            said = str(exc) if isinstance(exc, AuditError) else type(exc).__name__  # a driver's text may hold values
            _log.warning("outbox_waits", of=of, error=said, failures=self._failures)
        if retry_after_s is None:
            ceiling = min(self._pace.backoff_max_s, _BACKOFF_FIRST_S * 2 ** min(self._failures, _DOUBLINGS))
            retry_after_s = ceiling * (0.5 + self._dice() / 2)
        await asyncio.sleep(retry_after_s)


def _within(found: Sequence[Any], batch_bytes: int) -> list[UUID]:
    """The first rows that fit, and one at least."""
    taken: list[UUID] = []
    for row in found:
        batch_bytes -= row["size"]
        if batch_bytes < 0 and taken:
            break
        taken.append(row["event_id"])
    return taken
