"""What an operator does to the store: as `audit_keeper`, with the driver's errors worded for people."""

import asyncio
import getpass
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import asyncpg

from audit.errors import AuditError, WrongRole
from audit.keeper.jobs import Connection, opened
from lychgate.errors import ConfigurationError, PostgresFailed
from lychgate.settings import Settings, load

T = TypeVar("T")


def as_keeper(config: Path | None, work: Callable[[Connection, Settings], Awaitable[T]]) -> T:
    """Do something with a connection of the keeper's.

    Args:
        config: The configuration file; the usual one if None.
        work: Does it.

    Raises:
        ConfigurationError: The login may do more than it must.
        PostgresFailed: The store cannot be reached, or refuses.
    """
    settings = load(config)
    store = settings.store

    async def run() -> T:
        async with opened(store.dsn(store.keeper)) as connection:
            return await work(connection, settings)

    try:
        return asyncio.run(run())
    except WrongRole as exc:
        raise ConfigurationError(str(exc)) from exc
    except (AuditError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as exc:
        where = f"{store.host}:{store.port}/{store.database}"
        raise PostgresFailed(f"the store {where}: {exc or type(exc).__name__}") from exc


def operator(by: str | None) -> str:
    """Who does it: as said, else who is logged in."""
    return by or getpass.getuser()
