"""The database and what the module keeps."""

from contextlib import asynccontextmanager

import asyncpg
from pyee.asyncio import AsyncIOEventEmitter

ITEMS = {"views": 0}
events = AsyncIOEventEmitter()


@asynccontextmanager
async def connection():
    conn = await asyncpg.connect()
    try:
        yield conn
    finally:
        await conn.close()
