"""The reader's login and its transactions: no SQL reaches another tenant, no setting outlives its reader."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID

import asyncpg
import pytest

from audit.event import Phase
from audit.ids import EventIds
from query import sql
from query.access import Scope
from query.errors import NotFit, Overloaded, StoreUnavailable
from query.filters import Filter, Order
from query.reader import Reader
from query.sql import Statement
from tests.builders.audit import make_event
from tests.builders.query_api import Write
from tests.servers.ports import free_port
from tests.servers.postgres import Logins

BOTH_SERVERS = True

LATEST = EventIds()


async def connected(
    dsn: str, *, statement_timeout_s: float = 30.0, acquire_timeout_s: float = 10.0, connect_timeout_s: float = 10.0
) -> Reader:
    """A reader with one connection, so that every read uses the same."""
    return await Reader.connect(
        dsn,
        pool_count=1,
        statement_timeout_s=statement_timeout_s,
        acquire_timeout_s=acquire_timeout_s,
        connect_timeout_s=connect_timeout_s,
    )


@pytest.fixture
async def reader(migrated_database: Logins) -> AsyncIterator[Reader]:
    """A reader over the test's own store."""
    made = await connected(migrated_database.reader)
    yield made
    await made.close()


def everything(*tenants: str) -> Statement:
    """All rows of these tenants, as far as SQL may say."""
    return sql.page(Filter(), Scope(tenants[0], tenants), Order.DESC, after=None, until=None, limit=100)


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT tenant_id FROM audit_events",
        "SELECT tenant_id FROM audit_events WHERE tenant_id = 'globex'",
        "SELECT tenant_id FROM audit_events WHERE true OR tenant_id = 'globex'",
        "SELECT a.tenant_id FROM audit_events a, audit_events b",
        "SELECT tenant_id FROM (SELECT * FROM audit_events OFFSET 0) x",
        "WITH x AS MATERIALIZED (SELECT * FROM audit_events) SELECT tenant_id FROM x",
        "SELECT body->>'tenant_id' FROM audit_events WHERE body @> '{\"tenant_id\": \"globex\"}'",
        "TABLE audit_events",
        "SELECT tenant_id FROM ONLY audit_events",
        "SELECT most_common_vals::text FROM pg_stats WHERE tablename LIKE 'audit_events%' AND attname = 'tenant_id'",
        "SET LOCAL row_security = off ;; SELECT tenant_id FROM audit_events",
        "SET SESSION AUTHORIZATION postgres ;; SELECT tenant_id FROM audit_events",
        "SET ROLE audit_owner ;; SELECT tenant_id FROM audit_events",
        "SET ROLE audit_writer ;; SELECT tenant_id FROM audit_events",
        "RESET ROLE ;; SELECT tenant_id FROM audit_events",
        "ALTER TABLE audit_events DISABLE ROW LEVEL SECURITY",
        "CREATE POLICY p ON audit_events USING (true)",
        "GRANT audit_owner TO audit_reader",
        "COPY audit_events TO PROGRAM 'cat'",
        "SELECT event_id::text FROM audit_hashes(ARRAY[$id$]::uuid[], ARRAY['single'])",
        "SELECT payload::text FROM audit_conflicts",
        "SELECT payload::text FROM audit_dead_letters",
        "UPDATE audit_events SET tenant_id = 'acme'",
        "DELETE FROM audit_events",
        "CREATE FUNCTION spy(text) RETURNS bool LANGUAGE plpgsql AS 'BEGIN RAISE NOTICE ''%'', $1; RETURN true; END'",
    ],
)  # fmt: skip
async def test_no_sql_of_this_login_sees_another_tenant(
    migrated_database: Logins, write: Write, statement: str
) -> None:
    """Whatever SQL the query process's login runs for acme, nothing of globex comes out of it."""
    theirs = make_event(event_id=LATEST.next(), tenant_id="globex", details={"mark": "globex-mark"})
    await write(theirs, make_event(event_id=LATEST.next(), tenant_id="acme"))
    owner = await asyncpg.connect(migrated_database.owner)
    await owner.execute("ANALYZE audit_events")
    await owner.close()

    connection = await asyncpg.connect(migrated_database.reader)
    said: list[str] = []
    connection.add_log_listener(lambda _, message: said.append(str(message)))
    try:
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute(sql.TENANT, "acme")
        *before, last = statement.replace("$id$", f"'{theirs.event_id}'").split(" ;; ")
        try:
            for each in before:
                await connection.execute(each)
            rows = await connection.fetch(last)
        except (asyncpg.InsufficientPrivilegeError, asyncpg.InvalidParameterValueError) as refused:
            said.append(str(refused))
            rows = []
        await transaction.rollback()
    finally:
        await connection.close()
    text = " ".join(str(value) for row in rows for value in row.values()) + " ".join(said)
    assert "globex" not in text
    assert theirs.event_id not in text


async def test_no_partition_can_be_read_directly(migrated_database: Logins, write: Write) -> None:
    """The partitions behind the table are closed to the login: they would be past the table's policies."""
    await write(make_event(event_id=LATEST.next()))
    connection = await asyncpg.connect(migrated_database.reader)
    try:
        parts = await connection.fetch(
            "SELECT inhrelid::regclass::text AS name FROM pg_inherits WHERE inhparent = 'audit_events'::regclass"
        )
        assert len(parts) > 2
        for part in parts:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.fetch(f"SELECT 1 FROM {part['name']}")  # noqa: S608 - a name from the catalogue
    finally:
        await connection.close()


async def test_the_floor_holds_when_the_filter_is_wrong(reader: Reader, write: Write) -> None:
    """A statement that asks for another tenant's rows gets none: the transaction says whose they are."""
    await write(make_event(event_id=LATEST.next(), tenant_id="globex"))
    assert (await reader.read("acme", lambda _: everything("acme", "globex"))).rows == []
    assert len((await reader.read("globex", lambda _: everything("globex"))).rows) == 1


async def test_only_the_platform_sees_what_belongs_to_nobody(reader: Reader, write: Write) -> None:
    """Row-level security itself gives events without a tenant to the platform alone."""
    await write(make_event(event_id=LATEST.next(), tenant_id="-"))
    assert len((await reader.read("platform", lambda _: everything("platform", "-"))).rows) == 1
    assert (await reader.read("acme", lambda _: everything("acme", "-"))).rows == []


async def test_a_tenant_ends_with_its_transaction(reader: Reader, write: Write) -> None:
    """The next read on the same connection starts without a tenant, also after one that failed."""
    await write(make_event(event_id=LATEST.next(), tenant_id="acme"))
    assert len((await reader.read("acme", lambda _: everything("acme"))).rows) == 1
    with pytest.raises(asyncpg.UndefinedTableError):
        await reader.read("acme", lambda _: Statement("SELECT * FROM nowhere", ()))
    async with reader._pool.acquire() as connection:
        assert not await connection.fetchval("SELECT current_setting('app.tenant_id', true)")
        assert await connection.fetch("SELECT 1 FROM audit_events") == []


async def test_a_reader_cannot_write(reader: Reader) -> None:
    """Every transaction is read-only."""
    with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
        await reader.read("acme", lambda _: Statement("CREATE TEMPORARY TABLE t (a int)", ()))


async def test_a_completion_of_another_tenant_is_not_joined(reader: Reader, write: Write) -> None:
    """Two tenants cannot meet in one event, even under one id."""
    decided = make_event(event_id=LATEST.next(), phase=Phase.DECIDED)
    await write(decided, make_event(event_id=decided.event_id, phase=Phase.COMPLETED, tenant_id="globex", status=500))
    [row] = (await reader.read("acme", lambda _: sql.one(UUID(decided.event_id), Scope("acme", ("acme",))))).rows
    assert row.completion is None


@pytest.mark.parametrize("login", ["owner", "attribute", "member"])
async def test_a_login_that_could_see_more_is_refused(migrated_database: Logins, login: str) -> None:
    """A superuser, a login with BYPASSRLS or one that may become the owner does not start the process."""
    owner = await asyncpg.connect(migrated_database.owner)
    name = f"too_mighty_{login}_{LATEST.next()[-12:]}"
    try:
        if login == "owner":
            dsn = migrated_database.owner
        else:
            await owner.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'x' {'BYPASSRLS' if login == 'attribute' else ''}")
            if login == "member":
                await owner.execute(f"GRANT audit_owner TO {name}")
            parts = urlsplit(migrated_database.owner)
            dsn = urlunsplit(parts._replace(netloc=f"{name}:x@{parts.netloc.rpartition('@')[2]}"))
        with pytest.raises(NotFit, match="use audit_reader"):
            await connected(dsn)
    finally:
        await owner.execute(f"DROP ROLE IF EXISTS {name}")
        await owner.close()


async def test_a_wrong_password_is_named_and_not_shown(migrated_database: Logins) -> None:
    """A login the store refuses is a configuration error, told without the password."""
    parts = urlsplit(migrated_database.reader)
    host = parts.netloc.rpartition("@")[2]
    with pytest.raises(NotFit) as refused:
        await connected(urlunsplit(parts._replace(netloc=f"audit_reader:s3cret@{host}")))
    assert "refuses the reader's login" in str(refused.value)
    assert "s3cret" not in str(refused.value)


async def test_a_store_that_does_not_come_is_given_up() -> None:
    """Nobody there: the process gives up after its time, and says so."""
    with pytest.raises(StoreUnavailable):
        await connected(f"postgresql://audit_reader:x@127.0.0.1:{free_port()}/none", connect_timeout_s=0.5)


async def test_a_slow_statement_is_cut_by_the_server(migrated_database: Logins) -> None:
    """A statement beyond its time is `overloaded`, and the connection is good for the next read."""
    reader = await connected(migrated_database.reader, statement_timeout_s=1.0)
    try:
        with pytest.raises(Overloaded):
            await reader.read("acme", lambda _: Statement("SELECT pg_sleep(30)", ()))
        assert (await reader.read("acme", lambda _: everything("acme"))).rows == []
    finally:
        await reader.close()


async def test_a_full_pool_is_overload(migrated_database: Logins) -> None:
    """Who waits too long for a connection is told to come back, not kept."""
    reader = await connected(migrated_database.reader, acquire_timeout_s=0.2)
    owner = await asyncpg.connect(migrated_database.owner)
    async with asyncio.TaskGroup() as tasks:
        await owner.execute("SELECT pg_advisory_lock(1)")
        waits = Statement("SELECT pg_advisory_xact_lock(1) OFFSET 1", ())
        tasks.create_task(reader.read("acme", lambda _: waits))
        async with asyncio.timeout(10):
            while reader._pool.get_idle_size():  # noqa: ASYNC110 - the pool tells nobody that it is empty
                await asyncio.sleep(0.01)
        with pytest.raises(Overloaded):
            await reader.read("acme", lambda _: everything("acme"))
        await owner.close()  # and with it goes the lock
    await reader.close()


async def test_a_store_that_is_cut_off_is_unavailable_and_comes_back(
    migrated_database: Logins, reader: Reader, write: Write
) -> None:
    """A connection the server ends is one failed read at most; the pool makes another."""
    await write(make_event(event_id=LATEST.next()))
    assert await reader.ready()
    owner = await asyncpg.connect(migrated_database.owner)
    try:
        await owner.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'lychgate-query' AND datname = current_database()"
        )
    finally:
        await owner.close()
    with suppress(StoreUnavailable):
        await reader.read("acme", lambda _: everything("acme"))
    assert len((await reader.read("acme", lambda _: everything("acme"))).rows) == 1


async def test_an_unmigrated_store_is_not_ready(database: str) -> None:
    """Readiness asks for the schema, not just for a server."""
    unmigrated = await asyncpg.create_pool(database, min_size=1, max_size=1)
    reader = Reader(unmigrated, acquire_timeout_s=1.0)
    assert not await reader.ready()
    await reader.close()
