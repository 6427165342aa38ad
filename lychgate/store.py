"""The store's own upkeep: the database made, the logins' passwords known, the migrations applied."""

import asyncio
from collections.abc import Iterable
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from audit.errors import AuditError
from audit.migrate import migrate
from audit.settings import StoreSettings
from lychgate.errors import PostgresFailed


def bring_forward(store: StoreSettings) -> list[str]:
    """Bring the store forward, as its owner; makes the database when it is missing.

    Returns:
        The names of the migrations applied now.

    Raises:
        PostgresFailed: It cannot be reached, or a migration does not apply.
    """
    return asyncio.run(_bring_forward(store))


async def _bring_forward(store: StoreSettings) -> list[str]:
    try:
        owner = store.dsn(store.owner)
        await _make_database(owner, store.database)
        return await migrate(
            owner,
            writer_password=store.writer.secret() or None,
            reader_password=store.reader.secret() or None,
            keeper_password=store.keeper.secret() or None,
            premake_days=store.premake_days,
            keep_days=store.keep_days,
        )
    except (AuditError, asyncpg.PostgresError, OSError) as exc:
        where = f"{store.host}:{store.port}/{store.database}"
        raise PostgresFailed(f"the store {where} cannot be brought forward: {exc}") from exc


async def _make_database(owner: str, name: str) -> None:
    """Make the database when there is none of that name and the owner may make one."""
    maintenance = urlunsplit(urlsplit(owner)._replace(path="/postgres"))
    connection = await asyncpg.connect(maintenance, timeout=10)
    try:
        if await connection.fetchval("SELECT NOT EXISTS (SELECT FROM pg_database WHERE datname = $1)", name):
            quoted = await connection.fetchval("SELECT quote_ident($1)", name)
            await connection.execute(f"CREATE DATABASE {quoted}")
    except asyncpg.DuplicateDatabaseError:
        return  # somebody was quicker
    finally:
        await connection.close()


def described(applied: Iterable[str]) -> str:
    """What was done, in one line."""
    names = list(applied)
    return f"applied {', '.join(names)}" if names else "the store is up to date"
