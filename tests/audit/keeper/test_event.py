"""The keeper's own events are rows like others, in its transaction."""

import time
from uuid import UUID

import asyncpg

from audit.ids import EventIds
from audit.keeper.event import keeper_event, record
from audit.keeper.jobs import opened
from tests.servers.postgres import Logins

BOTH_SERVERS = True


async def test_an_event_is_there_if_its_transaction_is(migrated_database: Logins) -> None:
    """Rolled back it never was; committed it is a row of no tenant's."""
    ids = EventIds(time.time_ns)
    gone, kept = ids.next(), ids.next()
    async with opened(migrated_database.keeper) as connection:
        transaction = connection.transaction()
        await transaction.start()
        await record(connection, keeper_event("audit.purge.completed", gone, {"count": 1}))
        await transaction.rollback()
        async with connection.transaction():
            await record(
                connection,
                keeper_event(
                    "audit.purge.completed", kept, {"count": 2, "deleted_from": [], "dropped": [], "kept_days": 30}
                ),
            )
    owner = await asyncpg.connect(migrated_database.owner)
    try:
        [row] = await owner.fetch("SELECT event_id, tenant_id, body->'details'->>'count' AS count FROM audit_events")
        assert (row["event_id"], row["tenant_id"], row["count"]) == (UUID(kept), "-", "2")
    finally:
        await owner.close()


async def test_a_keeper_reads_no_event(migrated_database: Logins) -> None:
    """It writes its own and sees none."""
    async with opened(migrated_database.keeper) as connection:
        try:
            await connection.fetch("SELECT * FROM audit_events")
        except asyncpg.InsufficientPrivilegeError:
            return
    raise AssertionError
