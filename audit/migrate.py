"""Bringing the store forward: numbered SQL files, forward only, safe to repeat and from two places at once.

Runs as the owner's login, which may make roles. Everything it makes belongs to `audit_owner`, who logs in nowhere, so
that a function that runs with its owner's rights runs with that role's and not with a superuser's.
"""

import hashlib
import os
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.resources import files

import asyncpg

from audit.errors import MigrationFailed
from audit.scram import SALT_BYTES, verifier

OWNER, WRITER, READER, KEEPER = "audit_owner", "audit_writer", "audit_reader", "audit_keeper"
MINIMUM_VERSION = 15
_LOCK_KEY = 0x6C79636867  # "lychg": one migration at a time in a database
_NAME = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")
_ROLE_ATTEMPTS = 10
_CONNECT_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered file."""

    number: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        """SHA-256 of its text, hex."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


def migrations() -> list[Migration]:
    """The files of `audit/sql`, in order.

    Raises:
        MigrationFailed: a number is used twice or left out.
    """
    found = [
        Migration(int(match[1]), file.name, file.read_text(encoding="utf-8"))
        for file in files("audit").joinpath("sql").iterdir()
        if (match := _NAME.fullmatch(file.name)) is not None
    ]
    found.sort(key=lambda migration: migration.number)
    if [migration.number for migration in found] != list(range(1, len(found) + 1)):
        raise MigrationFailed("the numbers in audit/sql are not 0001, 0002, ...")
    return found


async def migrate(
    dsn: str,
    *,
    writer_password: str | None = None,
    reader_password: str | None = None,
    keeper_password: str | None = None,
    premake_days: int = 7,
    keep_days: int = 35,
    steps: Sequence[Migration] | None = None,
) -> list[str]:
    """Bring a database forward.

    Args:
        dsn: The owner's login.
        writer_password: If given, `audit_writer` logs in with it.
        reader_password: The same for `audit_reader`.
        keeper_password: The same for `audit_keeper`.
        premake_days: Partitions ahead.
        keep_days: Partitions behind.
        steps: The migrations, for tests; all of `audit/sql` otherwise.

    Returns:
        The names of the migrations that were applied now; empty if all were there.

    Raises:
        MigrationFailed: the server is too old, a file has changed since it was applied, or a statement fails.
        OSError: the server cannot be reached.
    """
    connection = await asyncpg.connect(dsn, timeout=_CONNECT_TIMEOUT_S)
    try:
        await connection.execute("SELECT pg_advisory_lock($1)", _LOCK_KEY)
        _check_version(connection)
        await _make_roles(connection, {WRITER: writer_password, READER: reader_password, KEEPER: keeper_password})
        applied = await _apply(connection, migrations() if steps is None else steps)
        await _as_owner(connection)
        await connection.execute(
            "SELECT audit_make_partitions(now() - make_interval(days => $1), now() + make_interval(days => $2))",
            keep_days,
            premake_days,
        )
    except (asyncpg.PostgresError, ValueError) as exc:
        raise MigrationFailed(f"{exc}") from exc
    else:
        return applied
    finally:
        await connection.close()  # gives the advisory lock back


async def pending(dsn: str) -> list[str]:
    """The migrations that a database still lacks; what readiness asks.

    Raises:
        OSError: the server cannot be reached.
    """
    connection = await asyncpg.connect(dsn, timeout=_CONNECT_TIMEOUT_S)
    try:
        done: set[int] = set()
        with suppress(asyncpg.UndefinedTableError):
            done = {row["number"] for row in await connection.fetch("SELECT number FROM audit_migrations")}
        return [migration.name for migration in migrations() if migration.number not in done]
    finally:
        await connection.close()


def _check_version(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    major = connection.get_server_version().major
    if major < MINIMUM_VERSION:
        raise MigrationFailed(f"PostgreSQL {major} is too old: {MINIMUM_VERSION} or later is needed")


async def _make_roles(connection: "asyncpg.Connection[asyncpg.Record]", passwords: dict[str, str | None]) -> None:
    """Make the roles if they are missing. They belong to the whole server: other databases may do the same now."""
    for role, attributes in ((OWNER, "NOLOGIN"), (WRITER, "LOGIN"), (READER, "LOGIN"), (KEEPER, "LOGIN")):
        if await connection.fetchval("SELECT NOT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)", role):
            with suppress(asyncpg.DuplicateObjectError, asyncpg.UniqueViolationError):
                await connection.execute(f"CREATE ROLE {role} {attributes} NOSUPERUSER NOBYPASSRLS NOINHERIT")
    for role, password in passwords.items():
        if password is not None:
            await _repeated(connection, f"ALTER ROLE {role} PASSWORD '{verifier(password, os.urandom(SALT_BYTES))}'")
    if not await connection.fetchval("SELECT pg_has_role(current_user, $1, 'MEMBER')", OWNER):
        await _repeated(connection, f"GRANT {OWNER} TO CURRENT_USER")
    await connection.execute(f"GRANT USAGE, CREATE ON SCHEMA public TO {OWNER}")
    await connection.execute(f"GRANT USAGE ON SCHEMA public TO {WRITER}, {READER}, {KEEPER}")
    database = await connection.fetchval("SELECT quote_ident(current_database())")
    await connection.execute(f"GRANT CONNECT, TEMPORARY ON DATABASE {database} TO {WRITER}, {KEEPER}")
    await connection.execute(f"GRANT CONNECT ON DATABASE {database} TO {READER}")


async def _repeated(connection: "asyncpg.Connection[asyncpg.Record]", statement: str) -> None:
    """Run a statement on the server's own catalogue; two databases that do so at once make one of them fail."""
    for attempt in range(_ROLE_ATTEMPTS):
        try:
            await connection.execute(statement)
        except asyncpg.InternalServerError:  # "tuple concurrently updated"
            if attempt == _ROLE_ATTEMPTS - 1:
                raise
        else:
            return


async def _as_owner(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    await connection.execute(f"SET ROLE {OWNER}")
    await connection.execute("SET search_path = public")


async def _apply(connection: "asyncpg.Connection[asyncpg.Record]", steps: Sequence[Migration]) -> list[str]:
    await _as_owner(connection)
    await connection.execute(
        "CREATE TABLE IF NOT EXISTS audit_migrations (number integer PRIMARY KEY, name text NOT NULL,"
        " checksum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT clock_timestamp())"
    )
    done = {row["number"]: row for row in await connection.fetch("SELECT * FROM audit_migrations")}
    applied: list[str] = []
    for step in steps:
        if (before := done.get(step.number)) is not None:
            if before["checksum"] != step.checksum:
                raise MigrationFailed(f"`{step.name}` has changed since it was applied as `{before['name']}`")
            continue
        async with connection.transaction():
            await connection.execute(step.sql)
            await connection.execute(
                "INSERT INTO audit_migrations (number, name, checksum) VALUES ($1, $2, $3)",
                step.number,
                step.name,
                step.checksum,
            )
        applied.append(step.name)
    if unknown := set(done) - {step.number for step in steps}:
        raise MigrationFailed(f"the database is ahead of this program: migration {min(unknown):04d} is not known here")
    return applied
