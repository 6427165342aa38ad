"""The store, as the query process may see it. Shell: it executes what `query.sql` wrote, and decides nothing.

Every connection logs in as `audit_reader` and proves, before it is used, that row-level security holds it. Every read
is one read-only transaction that first says whose rows it is about; the setting ends with the transaction, so the next
reader on that connection starts with none, and sees nothing until it says whose.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Self

import asyncpg

from audit.errors import WrongRole
from audit.login import check_role
from query import sql
from query.errors import NotFit, Overloaded, StoreUnavailable
from query.history import Row
from query.sql import Horizon, Statement

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

_RETRY_S = 0.2
_UNREACHABLE = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.InternalClientError,  # the server ended it in the middle of a step of the driver's own
    asyncpg.InterfaceError,  # the pool is closing, or its connection is gone
)


@dataclass(frozen=True, slots=True)
class Rows:
    """What one read brought.

    Attributes:
        rows: In the order asked for.
        complete_through: Every event before this is in the store; None as long as no producer has reported.
    """

    rows: Sequence[Row]
    complete_through: datetime | None


def session(statement_timeout_s: float) -> dict[str, str]:
    """What holds for every connection, kept by the server.

    No plan sorts that can walk an index in order: the planner cannot know how many rows a filter over two records lets
    through, guesses too few, and would then read a tenant's whole log to sort it (ADR 0031).
    """
    limit_ms = str(int(statement_timeout_s * 1000))
    return {
        "application_name": "lychgate-query",
        "default_transaction_read_only": "on",
        "statement_timeout": limit_ms,
        "idle_in_transaction_session_timeout": limit_ms,
        "enable_sort": "off",
    }


class Reader:
    """Reads the store, one tenant at a time."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]", *, acquire_timeout_s: float) -> None:
        self._pool = pool
        self._acquire_timeout_s = acquire_timeout_s

    @classmethod
    async def connect(
        cls,
        dsn: str,
        *,
        pool_count: int,
        statement_timeout_s: float,
        acquire_timeout_s: float,
        connect_timeout_s: float,
    ) -> Self:
        """Open the pool; waits for a store that is just starting.

        Args:
            dsn: The reader's login.
            pool_count: The most connections.
            statement_timeout_s: The longest a statement may take, kept by the server.
            acquire_timeout_s: The longest a read waits for a connection.
            connect_timeout_s: The longest to wait here.

        Raises:
            NotFit: The login is owner, superuser or BYPASSRLS, or is refused.
            StoreUnavailable: Nobody answered in time.
        """
        deadline = asyncio.get_running_loop().time() + connect_timeout_s
        while True:
            try:
                pool = await asyncpg.create_pool(
                    dsn,
                    min_size=1,
                    max_size=pool_count,
                    init=check_role,
                    timeout=connect_timeout_s,
                    server_settings=session(statement_timeout_s),
                )
            except WrongRole as exc:
                raise NotFit(str(exc)) from exc
            except (asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InvalidCatalogNameError) as exc:
                raise NotFit(f"the store refuses the reader's login: {exc}") from exc
            except (*_UNREACHABLE, TimeoutError) as exc:
                if asyncio.get_running_loop().time() >= deadline:
                    raise StoreUnavailable("the store does not answer") from exc
                await asyncio.sleep(_RETRY_S)
            else:
                return cls(pool, acquire_timeout_s=acquire_timeout_s)

    async def close(self) -> None:
        """Give the connections back."""
        await self._pool.close()

    async def ready(self) -> bool:
        """Whether the store answers and is migrated."""
        try:
            async with self._transaction("") as connection:
                await connection.fetchval(sql.COMPLETE_THROUGH)
        except (StoreUnavailable, Overloaded, asyncpg.PostgresError):
            return False
        return True

    async def read(self, tenant: str, statement: Callable[[Horizon], Statement]) -> Rows:
        """Read one page.

        Args:
            tenant: Whose rows the transaction may see.
            statement: Makes the statement, given until when the store is complete and what is held. That is asked
                first: whatever is written meanwhile can only make the page more complete than it says.

        Raises:
            StoreUnavailable: The store does not answer.
            Overloaded: No connection came free, or the statement took too long.
        """
        async with self._transaction(tenant) as connection:
            horizon = sql.horizon(dict(await connection.fetchrow(sql.HORIZON, tenant) or {}), tenant)
            wanted = statement(horizon)
            records = await connection.fetch(wanted.text, *wanted.args)
        return Rows([Row(**record) for record in records], horizon.complete_through)

    @asynccontextmanager
    async def _transaction(self, tenant: str) -> AsyncIterator["PoolConnectionProxy[asyncpg.Record]"]:
        try:
            async with (
                self._pool.acquire(timeout=self._acquire_timeout_s) as connection,
                connection.transaction(readonly=True),
            ):
                await connection.execute(sql.TENANT, tenant)
                yield connection
        except asyncpg.QueryCanceledError as exc:
            raise Overloaded("the statement took too long") from exc
        except TimeoutError as exc:
            raise Overloaded("no connection came free in time") from exc
        except _UNREACHABLE as exc:
            raise StoreUnavailable("the store does not answer") from exc
