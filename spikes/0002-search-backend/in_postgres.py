"""The study's questions to PostgreSQL: our schema, our writer, our reader's statements, row-level security and all."""

import asyncio
import json
import multiprocessing
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID

import asyncpg
import msgspec
from prometheus_client import CollectorRegistry
from questions import GRAVE, PAGE, SECURITY, Name, Question, answer
from stream import START, TENANTS, WEEKS, kept, tenant

from audit.ingest import COLUMNS, Bounds, DeadLetter, row_of
from audit.insert import Connection
from audit.keeper.retention import purge
from audit.metrics import PurgeMetrics
from audit.migrate import KEEPER, OWNER, READER, WRITER, migrate
from audit.settings import RetentionSettings
from audit.store import Store
from lychgate.postgres import PostgresServer
from query import sql
from query.access import Scope
from query.filters import Filter, Order
from query.reader import session

_PASSWORD = "of-a-server-that-is-gone-at-the-end"  # noqa: S105 - as it says
_STATEMENT_S = 600.0
_BOUNDS = Bounds(UUID(int=0), UUID(int=(1 << 128) - 1))
_SETTINGS = {"shared_buffers": "512MB", "max_wal_size": "4GB", "checkpoint_timeout": "15min", "jit": "off"}
_Answer = TypeVar("_Answer")
_EXPORT_ROWS = 10_000
_PATIENCE = 20


class Postgres:
    """See `engine.Engine`."""

    own_way = "`Store.write`, 1,000 records a transaction, as the relay and the consumer do"

    def __init__(self, folder: Path, *, quick: bool = False) -> None:
        folder.chmod(0o711)
        settings = _SETTINGS | {"shared_buffers": "64MB", "fsync": "off"} if quick else _SETTINGS
        self._server = PostgresServer(folder / "postgres", options=settings, sync=not quick)
        self._server.start()
        self.pid = self._server.pid or 0
        self._loop = asyncio.new_event_loop()
        self._run(self._begin())

    def _run(self, work: Coroutine[Any, Any, _Answer]) -> _Answer:
        return self._loop.run_until_complete(work)

    async def _begin(self) -> None:
        owner = self._server.dsn()
        passwords = dict.fromkeys(("writer_password", "reader_password", "keeper_password"), _PASSWORD)
        await migrate(owner, **passwords)
        self._owner = await asyncpg.connect(owner)
        await self._owner.execute(f"SET ROLE {OWNER}")
        await self._owner.execute("SELECT audit_make_partitions($1, $2)", START, START + timedelta(weeks=WEEKS, days=1))
        await self._owner.execute("RESET ROLE")
        self.version = str(await self._owner.fetchval("SELECT current_setting('server_version')"))
        self._reader = await asyncpg.connect(self._dsn(READER), server_settings=session(_STATEMENT_S))
        self._store = Store(self._dsn(WRITER))

    def _dsn(self, user: str) -> str:
        parts = urlsplit(self._server.dsn())
        return urlunsplit(parts._replace(netloc=f"{user}:{_PASSWORD}@{parts.netloc.rpartition('@')[2]}"))

    def write(self, records: list[bytes]) -> None:
        """As the relay does."""
        for first in range(0, len(records), 1000):
            written = self._run(self._store.write(records[first : first + 1000]))
            assert not written.dead, written.dead[0].error

    def load(self, folder: Path, first: int, beyond: int) -> None:
        """COPY straight into the table, as a superuser, from two processes that make rows with `row_of`."""
        tasks = [(self._server.dsn(), folder, number) for number in range(first, beyond)]
        if len(tasks) < 4:
            for task in tasks:
                self._run(_copied_by(task))
            return
        with multiprocessing.get_context("spawn").Pool(2) as pool:
            for _ in pool.imap_unordered(_copied, tasks):
                pass

    def settled(self) -> None:
        """VACUUM ANALYZE, which autovacuum would do."""
        self._run(self._owner.execute("VACUUM ANALYZE audit_events"))

    def ask(self, question: Question) -> str:
        """In a transaction that says whose rows it is about."""
        return self._run(_ask(self._reader, question))

    @contextmanager
    def reader(self) -> Iterator[Callable[[Question], str]]:
        """A connection of a thread's own, with a loop of its own."""
        with asyncio.Runner() as runner:
            connection = runner.run(asyncpg.connect(self._dsn(READER), server_settings=session(_STATEMENT_S)))
            try:
                yield lambda question: runner.run(_ask(connection, question))
            finally:
                runner.run(connection.close())

    def seen(self, tenant: str, event_id: str) -> bool:
        """The newest of a tenant, as a page."""
        found = self._run(_page(self._reader, Filter(), Scope(tenant, (tenant,)), limit=1))
        return bool(found) and str(found[0]["event_id"]) == event_id

    def disk(self) -> int:
        """The table's partitions with their indexes; the log of what was written is not counted."""
        return int(
            self._run(
                self._owner.fetchval(
                    "SELECT sum(pg_total_relation_size(inhrelid)) FROM pg_inherits"
                    " WHERE inhparent = 'audit_events'::regclass"
                )
            )
        )

    def drop_week(self) -> int:
        """A partition, taken out and dropped by the keeper's functions."""
        return self._run(self._dropped())

    async def _dropped(self) -> int:
        await self._store.report([("study", 1, -1, 1, int(time.time() * 1000), False)])
        floors = json.dumps({"*": str(sql.floor(START + timedelta(days=7)))})
        keeper = await asyncpg.connect(self._dsn(KEEPER))
        try:
            await _patiently(keeper, "SELECT audit_purge_detach($1, $2)", f"audit_events_{START:%Y%m%d}", floors)
            await _patiently(keeper, "SELECT audit_purge_drop()")
        finally:
            await keeper.close()
        return int(await self._owner.fetchval("SELECT count(*) FROM audit_events"))

    def drop_tenant(self, tenant: str) -> int:
        """By the keeper's own purge: of this tenant, everything older than a day goes."""
        return self._run(self._purged(tenant))

    async def _purged(self, tenant: str) -> int:
        keeper = await asyncpg.connect(self._dsn(KEEPER))
        try:
            settings = RetentionSettings.model_validate({"days": 3650, "tenants": {tenant: 1}})
            await purge(keeper, settings, PurgeMetrics(CollectorRegistry()))
        finally:
            await keeper.close()
        of_it = "SELECT count(*) FROM audit_events WHERE tenant_id = $1 AND kind = 'decision'"  # not that it was purged
        return int(await self._owner.fetchval(of_it, tenant))

    def stop(self) -> None:
        """The server, and who spoke to it."""
        self._run(self._reader.close())
        self._run(self._store.close())
        self._run(self._owner.close())
        self._loop.close()
        self._server.stop()


async def _patiently(connection: Connection, statement: str, *values: str) -> None:
    """A keeper's statement, again while somebody else is at the table; the keeper itself waits for its next run."""
    for attempt in range(_PATIENCE):
        try:
            await connection.execute(statement, *values)
        except asyncpg.LockNotAvailableError:
            if attempt == _PATIENCE - 1:
                raise
            await asyncio.sleep(1)
        else:
            return


def _copied(task: tuple[str, Path, int]) -> int:
    """One chunk, in a process of the pool."""
    return asyncio.run(_copied_by(task))


async def _copied_by(task: tuple[str, Path, int]) -> int:
    dsn, folder, number = task
    connection = await asyncpg.connect(dsn)
    try:
        rows = []
        for payload in kept(folder, number):
            made = row_of(payload, _BOUNDS, 1 << 47)
            assert not isinstance(made, DeadLetter), made.error
            rows.append(made)
        await connection.copy_records_to_table("audit_events", records=rows, columns=COLUMNS)
        return len(rows)
    finally:
        await connection.close()


async def _page(
    connection: Connection,
    wanted: Filter,
    scope: Scope,
    *,
    order: Order = Order.DESC,
    after: str = "",
    limit: int = PAGE,
) -> list[asyncpg.Record]:
    """One page of the query API."""
    statement = sql.page(
        wanted,
        scope,
        order,
        after=UUID(after) if after else None,
        until=START + timedelta(weeks=WEEKS, days=1),
        limit=limit,
    )
    async with connection.transaction(readonly=True):
        await connection.execute(sql.TENANT, scope.session_tenant)
        return list(await connection.fetch(statement.text, *statement.args))


_STATS = """
SELECT extract(epoch FROM date_trunc('hour', e.occurred_at, 'UTC'))::bigint, e.action, count(*)
FROM audit_events e
WHERE e.tenant_id = $1 AND e.event_id >= $2 AND e.event_id < $3 AND e.occurred_at >= $4 AND e.occurred_at < $5
  AND e.phase <> 'completed'
GROUP BY 1, 2
"""
_ACTORS = """
SELECT DISTINCT e.actor_id FROM audit_events e
WHERE e.tenant_id = $1 AND e.event_id >= $2 AND e.event_id < $3 AND e.occurred_at >= $4 AND e.occurred_at < $5
  AND e.phase <> 'completed' AND e.actor_id IS NOT NULL
"""
# Words are found by reading a tenant's rows from the newest: our schema has no index for them.
_TEXT = """
SELECT e.event_id, e.body FROM audit_events e
WHERE e.tenant_id = $1 AND e.phase <> 'completed'
  AND to_tsvector('simple', e.body #>> '{details,note}') @@ plainto_tsquery('simple', $2)
ORDER BY e.event_id DESC LIMIT 50
"""


async def _ask(connection: Connection, question: Question) -> str:  # noqa: C901 - a case for each question
    of = Scope(question.tenant, (question.tenant,))
    match question.name:
        case Name.TEXT | Name.STATS | Name.ACTORS:
            return answer(await _plain(connection, question))
        case Name.EXPORT:
            return answer(await _export(connection, question))
        case Name.SECURITY:
            return answer(await _of_all(connection))
        case Name.TRACE:
            found = await _page(connection, Filter(trace_id=question.trace), of, order=Order.ASC)
        case Name.DEEP:
            found = await _page(connection, Filter(), of, after=question.after)
        case Name.NEWEST:
            found = await _page(connection, Filter(), of)
        case Name.ACTOR:
            found = await _page(connection, Filter(actor=question.actor), of)
        case Name.RESOURCE:
            type_, id_ = question.resource
            found = await _page(connection, Filter(resource_type=type_, resource_id=id_), of)
        case Name.DENIALS:
            window = Filter(decision="deny", since=question.since, until=question.until)
            found = await _page(connection, window, of)
        case Name.GRAVE:
            found = await _page(connection, Filter(severity_gte=GRAVE), of)
    return answer([str(row["event_id"]) for row in found])


async def _plain(connection: Connection, question: Question) -> list[Any]:
    """What the query API does not have yet, by the same login and under the same policy."""
    async with connection.transaction(readonly=True):
        await connection.execute(sql.TENANT, question.tenant)
        if question.name is Name.TEXT:
            found = await connection.fetch(_TEXT, question.tenant, " ".join(question.words))
            return [str(row["event_id"]) for row in found]
        await connection.execute("SET LOCAL enable_sort = on")  # groups, not pages
        slack = sql.CLOCK_SLACK
        stretch = (sql.floor(question.since - slack), sql.floor(question.until + slack), question.since, question.until)
        statement = _STATS if question.name is Name.STATS else _ACTORS
        rows = [tuple(row) for row in await connection.fetch(statement, question.tenant, *stretch)]
    return sorted(rows) if question.name is Name.STATS else sorted(str(row[0]) for row in rows)


async def _export(connection: Connection, question: Question) -> list[str]:
    """All of a day, oldest first, page by page, contents and all."""
    wanted = Filter(since=question.since, until=question.until)
    ids: list[str] = []
    after = ""
    while True:
        page = await _page(
            connection,
            wanted,
            Scope(question.tenant, (question.tenant,)),
            order=Order.ASC,
            after=after,
            limit=_EXPORT_ROWS,
        )
        for row in page:
            msgspec.json.decode(row["body"])
            ids.append(str(row["event_id"]))
        if len(page) < _EXPORT_ROWS:
            return ids
        after = ids[-1]


async def _of_all(connection: Connection) -> list[str]:
    """The policy shows one tenant at a time, so it is one page a tenant, and the newest of them all."""
    ids: list[str] = []
    for rank in range(TENANTS):
        found = await _page(connection, Filter(severity_gte=SECURITY), Scope(tenant(rank), (tenant(rank),)))
        ids += [str(row["event_id"]) for row in found]
    return sorted(ids, reverse=True)[:PAGE]
