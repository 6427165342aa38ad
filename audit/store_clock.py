"""The store's own clock: what its own events are dated by, whichever machine writes them."""

import os
from typing import TypeAlias

import asyncpg

from audit.ids import id_at

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

_FILL_BYTES = 10


async def event_id(connection: Connection) -> str:
    """A UUIDv7 of this moment on the store's clock. Mint it last: a long transaction would make it late."""
    ms = await connection.fetchval("SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint")
    return id_at(ms, os.urandom(_FILL_BYTES))
