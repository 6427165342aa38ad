"""The decisions in the store, read as any reader reads them: one tenant at a time, under row-level security.

There is no login that sees every tenant, and a replay is no reason to make one (ADR 0125).
"""

from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from contextlib import aclosing
from datetime import datetime
from typing import TYPE_CHECKING, Final
from uuid import UUID

import asyncpg

from audit.errors import WrongRole
from audit.login import check_role
from audit.settings import StoreSettings
from lychgate.errors import ConfigurationError, PostgresFailed
from query.sql import TENANT, floor
from roles.model import NO_TENANT, PLATFORM_TENANT

if TYPE_CHECKING:
    from gateway.settings import IssuerSettings

_CONNECT_S: Final = 10.0
_FETCH_ROWS: Final = 2_000
_ANY: Final = "*"
_LEAST, _GREATEST = UUID(int=0), UUID(int=2**128 - 1)
_DECISIONS: Final = """
SELECT body::text FROM audit_events
WHERE tenant_id = $1 AND event_id >= $2 AND event_id < $3 AND kind = 'decision' AND decision IS NOT NULL
ORDER BY event_id DESC LIMIT $4
"""


def tenants_of(issuers: Iterable["IssuerSettings"], named: Sequence[str]) -> list[str]:
    """Whose decisions are read: those that were named, or every tenant that an issuer of the configuration may assert.

    Raises:
        ConfigurationError: None was named, and an issuer may assert any.
    """
    if named:
        return list(dict.fromkeys(named))
    found = {tenant for issuer in issuers for tenant in issuer.tenants}
    if _ANY in found or not found:
        raise ConfigurationError("the configuration does not list the tenants: name each with --tenant")
    return sorted({*found, PLATFORM_TENANT, NO_TENANT})


async def decisions(
    store: StoreSettings, tenants: Iterable[str], since: datetime | None, until: datetime | None, limit: int | None
) -> AsyncIterator[bytes]:
    """Recorded decisions as JSON, the newest of each tenant first.

    Args:
        store: Its reader's login is used.
        tenants: Whose; `-` for events that belong to no tenant, which the platform's readers see.
        since: From, inclusive; None for the first there is.
        until: To, exclusive.
        limit: At most so many of each tenant.

    Raises:
        PostgresFailed: The store cannot be reached or read.
        ConfigurationError: The login is not one that row-level security holds.
    """
    try:
        connection = await asyncpg.connect(store.dsn(store.reader), timeout=_CONNECT_S)
        try:
            await check_role(connection)
            for tenant in tenants:
                first, beyond = floor(since) if since else _LEAST, floor(until) if until else _GREATEST
                async with aclosing(_of(connection, tenant, first, beyond, limit)) as rows:
                    async for row in rows:
                        yield row
        finally:
            await connection.close(timeout=1.0)
    except WrongRole as exc:
        raise ConfigurationError(str(exc)) from exc
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as exc:
        where = f"{store.host}:{store.port}/{store.database}"
        raise PostgresFailed(f"the store {where} cannot be read: {exc or type(exc).__name__}") from exc


async def _of(
    connection: "asyncpg.Connection[asyncpg.Record]", tenant: str, first: UUID, beyond: UUID, limit: int | None
) -> AsyncGenerator[bytes, None]:
    async with connection.transaction(readonly=True):
        await connection.execute(TENANT, PLATFORM_TENANT if tenant == NO_TENANT else tenant)
        async for row in connection.cursor(_DECISIONS, tenant, first, beyond, limit, prefetch=_FETCH_ROWS):
            body: str = row["body"]
            yield body.encode()
