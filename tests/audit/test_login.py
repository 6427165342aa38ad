"""Tests of `audit.login`, and of the walls between tenants that the logins stand behind."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from audit.codec import encode
from audit.errors import WrongRole
from audit.event import NO_TENANT
from audit.ids import EventIds
from audit.login import check_role
from audit.store import Store
from tests.builders.audit import make_event
from tests.servers.postgres import Logins

BOTH_SERVERS = True

IDS = EventIds()
SET_TENANT = "SELECT set_config('app.tenant_id', $1, true)"


@pytest.fixture
async def filled(migrated_database: Logins) -> Logins:
    """A store with events of two tenants and of none."""
    store = Store(migrated_database.writer)
    tenants = ["acme", "acme", "globex", "globex", "globex", NO_TENANT]
    await store.write([encode(make_event(event_id=IDS.next(), tenant_id=tenant)) for tenant in tenants])
    await store.close()
    return migrated_database


@pytest.fixture
async def reader(filled: Logins) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """The query process's login."""
    connection = await asyncpg.connect(filled.reader)
    yield connection
    await connection.close()


async def seen(connection: "asyncpg.Connection[asyncpg.Record]", tenant: str | None) -> set[str]:
    """The tenants whose rows a reader sees."""
    async with connection.transaction():
        if tenant is not None:
            await connection.execute(SET_TENANT, tenant)
        return {row["tenant_id"] for row in await connection.fetch("SELECT tenant_id FROM audit_events")}


async def test_a_reader_sees_its_tenant_only(reader: "asyncpg.Connection[asyncpg.Record]") -> None:
    """Each tenant its own, the platform also what belongs to none, nobody anything without saying who."""
    assert await seen(reader, "acme") == {"acme"}
    assert await seen(reader, "globex") == {"globex"}
    assert await seen(reader, "platform") == {NO_TENANT}
    assert await seen(reader, None) == set()
    assert await seen(reader, "") == set()
    assert await seen(reader, "acme' OR '1'='1") == set()
    assert await seen(reader, "%") == set()
    assert await seen(reader, NO_TENANT) == {NO_TENANT}  # never set by the query API: no tenant has that name


async def test_the_setting_ends_with_its_transaction(reader: "asyncpg.Connection[asyncpg.Record]") -> None:
    """The connection goes back to the pool without a tenant."""
    assert await seen(reader, "acme") == {"acme"}
    assert await seen(reader, None) == set()


ATTEMPTS = [
    "SET ROLE audit_owner",
    "SET ROLE audit_writer",
    "SET SESSION AUTHORIZATION audit_owner",
    "ALTER TABLE audit_events DISABLE ROW LEVEL SECURITY",
    "ALTER TABLE audit_events NO FORCE ROW LEVEL SECURITY",
    "DROP POLICY reader_reads_its_tenant ON audit_events",
    "CREATE POLICY mine ON audit_events TO audit_reader USING (true)",
    "ALTER ROLE audit_reader BYPASSRLS",
    "GRANT audit_owner TO audit_reader",
    "CREATE VIEW public.all_events AS SELECT * FROM audit_events",
    "CREATE FUNCTION public.peep(text) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN RETURN true; END'",
    "SELECT * FROM audit_hashes((SELECT array_agg(event_id) FROM audit_events), ARRAY['single'])",
    "SELECT audit_make_partitions(now(), now())",
    "SELECT audit_premake()",
    "SELECT * FROM audit_conflicts",
    "SELECT * FROM audit_dead_letters",
    "SELECT * FROM audit_producers",
    "SELECT * FROM audit_consumer_offsets",
    "INSERT INTO audit_events SELECT * FROM audit_events",
    "UPDATE audit_events SET tenant_id = 'acme'",
    "DELETE FROM audit_events",
    "TRUNCATE audit_events",
    "COPY audit_events TO PROGRAM 'cat'",
    "COPY audit_events TO '/tmp/events'",
    "SELECT pg_read_file('pg_hba.conf')",
    "SELECT lo_import('/etc/passwd')",
    "SELECT rolpassword FROM pg_authid",
    "SET row_security = off; SELECT * FROM audit_events",
    "SELECT * FROM pg_statistic",
]


@pytest.mark.parametrize("attempt", ATTEMPTS)
async def test_no_statement_gets_round_the_policy(reader: "asyncpg.Connection[asyncpg.Record]", attempt: str) -> None:
    """Becoming somebody else, taking the policy away, writing, other tables, files: all refused by the server."""
    with pytest.raises(asyncpg.PostgresError) as refused:
        await reader.execute(attempt)
    assert isinstance(refused.value, asyncpg.InsufficientPrivilegeError), refused.value


LOOKS = [
    "SELECT tenant_id FROM audit_events",
    "SELECT tenant_id FROM audit_events WHERE tenant_id = 'globex'",
    "SELECT tenant_id FROM audit_events WHERE true OR tenant_id = 'globex'",
    "SELECT a.tenant_id FROM audit_events a JOIN audit_events b ON b.tenant_id <> a.tenant_id",
    "SELECT tenant_id FROM audit_events WHERE 1 / (CASE WHEN tenant_id = 'globex' THEN 0 ELSE 1 END) = 1",
    "SELECT most_common_vals::text AS tenant_id FROM pg_stats WHERE tablename LIKE 'audit_events%'",
    "SELECT body->>'tenant_id' AS tenant_id FROM audit_events WHERE body @> '{}'",
    "WITH RECURSIVE r AS (SELECT tenant_id FROM audit_events) SELECT tenant_id FROM r",
    "SELECT (SELECT max(tenant_id) FROM audit_events) AS tenant_id",
    "SELECT tenant_id FROM ONLY audit_events",
]


@pytest.mark.parametrize("look", LOOKS)
async def test_no_query_shows_another_tenants_row(
    reader: "asyncpg.Connection[asyncpg.Record]", filled: Logins, look: str
) -> None:
    """As `acme`, whatever is asked, nothing of `globex` comes out: no row, no error that tells, no statistics."""
    owner = await asyncpg.connect(filled.owner)
    await owner.execute("ANALYZE audit_events")
    await owner.close()
    async with reader.transaction():
        await reader.execute(SET_TENANT, "acme")
        rows = await reader.fetch(look)
    assert "globex" not in str(rows)


async def test_partitions_cannot_be_read_past_the_policy(
    reader: "asyncpg.Connection[asyncpg.Record]",
) -> None:
    """Nothing is granted on a partition: its parent's policies would not hold there."""
    parts = await reader.fetch(
        "SELECT inhrelid::regclass::text AS name FROM pg_inherits WHERE inhparent = 'audit_events'::regclass"
    )
    tables = [row["name"] for row in parts]
    assert tables
    for table in tables:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await reader.fetch(f"SELECT * FROM {table}")  # noqa: S608  # names from the catalogue


async def test_a_leaky_function_is_not_run_on_other_tenants_rows(
    reader: "asyncpg.Connection[asyncpg.Record]",
) -> None:
    """A temporary function that tells what it is given, cheap enough to be tried first, is given nothing foreign."""
    await reader.execute(
        "CREATE FUNCTION pg_temp.peep(text) RETURNS boolean LANGUAGE plpgsql COST 0.0000001 AS"
        " $$ BEGIN RAISE NOTICE 'saw %', $1; RETURN true; END $$"
    )
    told: list[str] = []
    reader.add_log_listener(lambda _, message: told.append(str(message)))
    async with reader.transaction():
        await reader.execute(SET_TENANT, "acme")
        await reader.fetch("SELECT 1 FROM audit_events WHERE pg_temp.peep(tenant_id)")
    assert any("acme" in line for line in told)
    assert not any("globex" in line for line in told)


async def test_the_writer_writes_and_reads_nothing(filled: Logins) -> None:
    """The writer's login cannot read, change or remove an event."""
    connection = await asyncpg.connect(filled.writer)
    for attempt in (
        "SELECT * FROM audit_events",
        "UPDATE audit_events SET action = 'x'",
        "DELETE FROM audit_events",
        "TRUNCATE audit_events",
        "SELECT * FROM audit_conflicts",
        "SET ROLE audit_owner",
        "SET ROLE audit_reader",
        "SELECT audit_make_partitions(now(), now())",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(attempt)
    await connection.close()


async def test_logins_are_checked(filled: Logins) -> None:
    """The two narrow logins pass; a superuser, an owner, BYPASSRLS, or one who may become such, does not."""
    for dsn in (filled.reader, filled.writer):
        connection = await asyncpg.connect(dsn)
        await check_role(connection)
        await connection.close()
    owner = await asyncpg.connect(filled.owner)
    with pytest.raises(WrongRole, match="is a superuser"):
        await check_role(owner)
    for attribute, word in (
        ("BYPASSRLS", "has BYPASSRLS"),
        ("IN ROLE audit_owner", "owns the events"),
        ("IN ROLE pass_by", "may become"),
    ):
        transaction = owner.transaction()
        await transaction.start()
        await owner.execute("CREATE ROLE pass_by BYPASSRLS NOLOGIN")
        await owner.execute(f"CREATE ROLE probe {attribute}")
        await owner.execute("SET LOCAL SESSION AUTHORIZATION probe")
        with pytest.raises(WrongRole, match=word):
            await check_role(owner)
        await transaction.rollback()
    await owner.close()
