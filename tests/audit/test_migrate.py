"""Tests of `audit.migrate`."""

import asyncio

import asyncpg
import pytest

from audit.errors import MigrationFailed
from audit.migrate import Migration, migrate, migrations, pending
from tests.servers.postgres import READER_PASSWORD, WRITER_PASSWORD, Logins

BOTH_SERVERS = True

EXTRA = Migration(len(migrations()) + 1, "9999_extra.sql", "CREATE TABLE extra (x int)")


async def query(dsn: str, statement: str) -> list[asyncpg.Record]:
    """Rows of a statement."""
    connection = await asyncpg.connect(dsn)
    try:
        return list(await connection.fetch(statement))
    finally:
        await connection.close()


async def test_an_empty_database_is_brought_forward(database: str) -> None:
    """All migrations are applied once; the second time there is nothing to do."""
    names = [migration.name for migration in migrations()]
    assert await pending(database) == names
    assert await migrate(database) == names
    assert await migrate(database) == []
    assert await pending(database) == []
    [bounds] = await query(database, "SELECT * FROM audit_bounds()")
    [reach] = await query(
        database,
        "SELECT audit_id_floor(now() - interval '35 days') >= lowest AS behind,"
        " audit_id_floor(now() + interval '7 days') < beyond AS ahead FROM audit_bounds()",
    )
    assert bounds["lowest"] < bounds["beyond"]
    assert (reach["behind"], reach["ahead"]) == (True, True)


async def test_from_many_places_at_once(database: str) -> None:
    """Five migrations that start together apply each file exactly once and all succeed."""
    applied = await asyncio.gather(
        *(migrate(database, writer_password=WRITER_PASSWORD, reader_password=READER_PASSWORD) for _ in range(5))
    )
    assert sorted(name for names in applied for name in names) == [migration.name for migration in migrations()]


async def test_a_file_that_changed_is_refused(database: str) -> None:
    """An applied migration is never edited: the checksum is compared."""
    await migrate(database)
    changed = [Migration(1, migrations()[0].name, "SELECT 1")]
    with pytest.raises(MigrationFailed, match="has changed since"):
        await migrate(database, steps=changed)


async def test_a_database_ahead_of_the_program_is_refused(database: str) -> None:
    """An older program does not touch what a newer one has made."""
    await migrate(database, steps=[*migrations(), EXTRA])
    with pytest.raises(MigrationFailed, match="ahead of this program"):
        await migrate(database)


async def test_a_failing_migration_leaves_nothing(database: str) -> None:
    """A file is applied whole or not at all, and the error says what is wrong."""
    broken = Migration(EXTRA.number, EXTRA.name, "CREATE TABLE half (x int); SELECT no_such_function()")
    with pytest.raises(MigrationFailed, match="no_such_function"):
        await migrate(database, steps=[*migrations(), broken])
    [found] = await query(database, "SELECT to_regclass('half') AS half")
    assert found["half"] is None
    assert await migrate(database, steps=[*migrations(), EXTRA]) == [EXTRA.name]


async def test_everything_belongs_to_a_role_that_logs_in_nowhere(migrated_database: Logins) -> None:
    """No table is owned by a login, and no function runs with a superuser's rights."""
    [owners] = await query(
        migrated_database.owner,
        "SELECT array_agg(DISTINCT pg_get_userbyid(relowner)::text) AS names FROM pg_class WHERE relname LIKE 'audit%'",
    )
    assert owners["names"] == ["audit_owner"]
    functions = await query(
        migrated_database.owner,
        "SELECT proname FROM pg_proc WHERE prosecdef AND pronamespace = 'public'::regnamespace"
        " AND (pg_get_userbyid(proowner) <> 'audit_owner' OR proconfig IS NULL)",
    )
    assert functions == []
    [role] = await query(migrated_database.owner, "SELECT rolcanlogin FROM pg_roles WHERE rolname = 'audit_owner'")
    assert role["rolcanlogin"] is False


async def test_passwords_are_scram_and_work(migrated_database: Logins) -> None:
    """The server keeps a verifier that never stood as text in a statement, and it lets the login in."""
    [stored] = await query(migrated_database.owner, "SELECT rolpassword FROM pg_authid WHERE rolname = 'audit_reader'")
    assert stored["rolpassword"].startswith("SCRAM-SHA-256$")
    [who] = await query(migrated_database.reader, "SELECT current_user::text AS name")
    assert who["name"] == "audit_reader"
    with pytest.raises(asyncpg.InvalidPasswordError):
        await query(migrated_database.reader.replace("audit_reader:", "audit_reader:not-"), "SELECT 1")
