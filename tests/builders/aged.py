"""A store with rows of past weeks."""

import os
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import asyncpg

from audit.codec import encode
from audit.ids import id_at
from audit.store import Store
from tests.builders.audit import make_event
from tests.servers.postgres import Logins

DAY_MS = 86_400_000


def now_ms() -> int:
    """Milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


def aged_id(days: float) -> str:
    """An id of so many days ago."""
    return id_at(now_ms() - int(days * DAY_MS), os.urandom(10))


async def aged_store(logins: Logins, rows: Sequence[tuple[str, float]], weeks: int = 12, **fields: object) -> list[str]:
    """Partitions of past weeks, and rows in them: tenant and age in days. Everything is complete until now.

    Returns:
        The rows' ids.
    """
    owner = await asyncpg.connect(logins.owner)
    try:
        await owner.execute("SET ROLE audit_owner")
        since = datetime.now(UTC) - timedelta(weeks=weeks)
        await owner.execute("SELECT audit_make_partitions($1, now())", since)
    finally:
        await owner.close()
    store = Store(logins.writer)
    events = [make_event(event_id=aged_id(days), tenant_id=tenant, **fields) for tenant, days in rows]
    for at in range(0, len(events), 2000):
        written = await store.write([encode(event) for event in events[at : at + 2000]])
        assert written.dead == []
    await store.report([("p", 1, -1, 1, now_ms(), False)])
    await store.close()
    return [event.event_id for event in events]


async def ask(dsn: str, statement: str, *args: object) -> list[asyncpg.Record]:
    """Rows of a statement."""
    connection = await asyncpg.connect(dsn)
    try:
        return list(await connection.fetch(statement, *args))
    finally:
        await connection.close()
