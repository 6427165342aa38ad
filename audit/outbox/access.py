"""Into a service's database, and what an operator looks at there."""

from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeAlias

import asyncpg

from audit.errors import OutboxUnusable
from audit.outbox.install import quoted
from audit.settings.outbox import OutboxSettings

_CONNECT_S: Final = 5.0
_COMMAND_S: Final = 60.0
_ALIVE: Final = "SET tcp_keepalives_idle = 20; SET tcp_keepalives_interval = 10; SET tcp_keepalives_count = 3"
"""The server asks whether we are still there. A relay whose machine dies says nothing any more, and its rows stay
locked, and `complete_through` with them, until the server notices: by default after two hours. Said here and not at the
login, because a pooler refuses what it does not know there."""
_SHOWN_COUNT: Final = 100

Connect: TypeAlias = Callable[[], Awaitable["asyncpg.Connection[Any]"]]


def connecting(settings: OutboxSettings) -> Connect:
    """How to connect.

    Raises:
        OutboxUnusable: No database is configured, or its file cannot be read.
    """
    try:
        address = settings.address()
    except OSError as exc:
        raise OutboxUnusable(f"audit.outbox.dsn_file: {settings.dsn_file}: cannot be read: {exc.strerror}") from exc
    if not address:
        raise OutboxUnusable("audit.outbox.dsn or audit.outbox.dsn_file must name the service's database")
    if not address.startswith(("postgresql://", "postgres://")):
        raise OutboxUnusable("audit.outbox.dsn is no `postgresql://` URL")

    async def connect() -> "asyncpg.Connection[Any]":
        try:
            connection = await asyncpg.connect(address, timeout=_CONNECT_S, command_timeout=_COMMAND_S)
        except ValueError:  # from None: it quotes the address, where a password may stand in the wrong place
            raise OutboxUnusable("audit.outbox.dsn is no `postgresql://` URL that can be read") from None
        try:
            await connection.execute(_ALIVE)
        except BaseException:
            connection.terminate()
            raise
        return connection

    return connect


async def standing(connection: "asyncpg.Connection[Any]", schema: str) -> dict[str, object]:
    """How an outbox stands: whose it is, what waits, what is set apart."""
    place = quoted(schema)
    row = await connection.fetchrow(
        "SELECT producer, epoch, version,"  # noqa: S608 - quoted
        f" (SELECT count(*) FROM {place}.audit_outbox WHERE refused IS NULL) AS waiting,"
        f" (SELECT count(*) FROM {place}.audit_outbox WHERE refused IS NOT NULL) AS refused"
        f" FROM {place}.audit_outbox_life"
    )
    if row is None:
        raise OutboxUnusable(f"schema {schema}: the outbox has no producer")
    return {"schema": schema, **dict(row)}


async def refused_rows(connection: "asyncpg.Connection[Any]", schema: str) -> list[dict[str, object]]:
    """The first rows that are set apart; never their content, which may be anything."""
    rows = await connection.fetch(
        f"SELECT event_id::text, refused AS reason, octet_length(body) AS bytes FROM {quoted(schema)}.audit_outbox"  # noqa: S608
        f" WHERE refused IS NOT NULL ORDER BY event_id LIMIT {_SHOWN_COUNT}"
    )
    return [dict(row) for row in rows]


async def retry(connection: "asyncpg.Connection[Any]", schema: str) -> int:
    """Offer all rows that are set apart again; how many."""
    done: str = await connection.execute(
        f"UPDATE {quoted(schema)}.audit_outbox SET refused = NULL WHERE refused IS NOT NULL"  # noqa: S608
    )
    return int(done.rpartition(" ")[2])
