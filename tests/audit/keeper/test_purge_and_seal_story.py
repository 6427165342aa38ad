"""What a purge takes while seals are made of it, and what comes again: the store verifies all the while."""

from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from audit.codec import encode
from audit.errors import SinkUnavailable
from audit.ids import id_at
from audit.keeper import seal
from audit.keeper.event import keeper_event, record
from audit.keeper.holds import Scope, place
from audit.keeper.jobs import opened
from audit.keeper.retention import Outcome, purge
from audit.metrics import PurgeMetrics
from audit.settings import RetentionSettings
from audit.store import Store
from tests.builders.aged import aged_id, aged_store, ask, now_ms
from tests.builders.audit import make_event
from tests.builders.seals import RETENTION_DAYS, SealedStore, week
from tests.servers.postgres import Logins

BOTH_SERVERS = True
LONGER = RetentionSettings(days=RETENTION_DAYS, tenants={"globex": 400})
"""Globex' rows keep the weeks, so that acme's are deleted by row."""
_ROWS = "SELECT tenant_id FROM audit_events WHERE event_type NOT LIKE 'audit.%'"


async def run(logins: Logins, settings: RetentionSettings = LONGER) -> Outcome:
    """A purge, as the keeper."""
    async with opened(logins.keeper) as connection:
        return await purge(connection, settings, PurgeMetrics(CollectorRegistry()))


async def write(logins: Logins, *payloads: bytes) -> None:
    """Write records as the writer does."""
    store = Store(logins.writer)
    await store.write(payloads)
    await store.close()


async def test_what_was_deleted_may_come_again_and_go_again(migrated_database: Logins) -> None:
    """From a spool that was away, without seals: its hash is kept already, and the purge does not stop at that."""
    await aged_store(migrated_database, [("globex", 60.0)])
    again = encode(make_event(event_id=aged_id(60.0), tenant_id="acme"))
    for _ in range(2):
        await write(migrated_database, again)
        await ask(migrated_database.owner, "DELETE FROM audit_purge_swept")  # a day later
        assert sum(step.rows for step in (await run(migrated_database)).steps) == 1
    assert len(await ask(migrated_database.owner, "SELECT 1 FROM audit_purged_leaves")) == 1


@pytest.mark.parametrize("sealed", [False, True])
async def test_what_came_again_is_not_signed_as_purged(migrated_database: Logins, tmp_path: Path, sealed: bool) -> None:
    """Deleted, and back before the seals knew of it; whether its week was sealed by then or not."""
    store = SealedStore(migrated_database, tmp_path)
    row = encode(make_event(event_id=aged_id(60.0), tenant_id="acme"))
    await aged_store(migrated_database, [("globex", 60.0)])
    await write(migrated_database, row)
    if sealed:
        await store.seal()
    await run(migrated_database)
    await write(migrated_database, row)
    for _ in range(2):
        await store.seal()
        assert (await store.verify()).findings == []
        await ask(migrated_database.owner, "DELETE FROM audit_purge_swept")  # a day later
        await run(migrated_database)
    await store.seal()
    assert (await store.verify()).findings == []


async def test_what_is_purged_while_seals_are_made_was_old_enough(
    migrated_database: Logins, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Too young when the job began, old enough when it was deleted: what is signed says the time of the deletion."""
    earlier = seal._STATE.replace("SELECT clock_timestamp()", "SELECT clock_timestamp() - interval '1 hour'")
    monkeypatch.setattr(seal, "_STATE", earlier)
    store = SealedStore(migrated_database, tmp_path)
    await aged_store(migrated_database, [("globex", RETENTION_DAYS + 0.02), ("acme", RETENTION_DAYS + 0.02)])
    await store.seal()
    assert sum(step.rows for step in (await run(migrated_database)).steps) == 1
    await store.seal()
    assert store.count("audit_seal_records_total", kind="purge") == 1
    assert (await store.verify()).findings == []


async def test_a_hold_brings_back_what_is_taken_out_and_not_dropped(migrated_database: Logins) -> None:
    """From the return of `hold add` nothing that it names goes, also of a week that a purge has taken out by then."""
    await aged_store(migrated_database, [("acme", 60.0), ("globex", 60.0), ("acme", 75.0)])
    month = RetentionSettings(days=30)
    async with opened(migrated_database.keeper) as connection:
        floors = await connection.fetchval("SELECT audit_purge_floors(30, '{}')")
        for name, *_ in await connection.fetch("SELECT partition FROM audit_purge_partitions($1)", floors):
            await connection.fetchval("SELECT audit_purge_detach($1, $2)", name, floors)
        await place(connection, Scope("globex"), reason="just in time", by="ada")
        outcome = await purge(connection, month, PurgeMetrics(CollectorRegistry()))
    assert sum(step.rows for step in outcome.steps if step.tenant == "globex") == 0
    there = await ask(
        migrated_database.owner, "SELECT tenant_id FROM audit_events WHERE event_type NOT LIKE 'audit.%' ORDER BY 1"
    )
    assert "globex" in [row["tenant_id"] for row in there]
    assert await ask(migrated_database.owner, "SELECT 1 FROM audit_purged_partitions WHERE rows IS NULL") == []
    await write(migrated_database, encode(make_event(event_id=aged_id(60.0), tenant_id="initech")))
    assert await ask(migrated_database.owner, "SELECT 1 FROM audit_dead_letters") == []  # it is a week again


async def test_a_hold_that_takes_long_to_place_postpones_a_drop(migrated_database: Logins) -> None:
    """What has gone by then is told of all the same, and the next run finishes."""
    await aged_store(migrated_database, [("acme", 60.0)], weeks=9)
    month = RetentionSettings(days=30)
    async with opened(migrated_database.keeper) as connection, opened(migrated_database.keeper) as other:
        floors = await connection.fetchval("SELECT audit_purge_floors(30, '{}')")
        parts = [row["partition"] for row in await connection.fetch(
            "SELECT partition FROM audit_purge_partitions($1) WHERE how = 'drop'", floors)]  # fmt: skip
        for name in parts:
            assert await connection.fetchval("SELECT audit_purge_detach($1, $2)", name, floors)
        async with other.transaction():
            await place(other, Scope("acme"), reason="a long story", by="ada")
            outcome = await purge(connection, month, PurgeMetrics(CollectorRegistry()))
        assert {name: outcome.postponed[name] for name in parts} == dict.fromkeys(parts, "lock")
        outcome = await purge(connection, month, PurgeMetrics(CollectorRegistry()))
        assert not set(parts) & set(outcome.postponed)
    assert [row["tenant_id"] for row in await ask(migrated_database.owner, _ROWS)] == ["acme"]


async def test_a_keeper_without_a_partition_for_now_tries_again(migrated_database: Logins) -> None:
    """A store that nobody kept for weeks: the job fails as jobs do, and takes no process with it."""
    await ask(migrated_database.owner, "DROP TABLE audit_events_" + f"{week(0):%Y%m%d}, audit_events_{week(-1):%Y%m%d}")
    async with opened(migrated_database.keeper) as connection:
        with pytest.raises(SinkUnavailable):
            await record(connection, keeper_event("audit.purge.completed", id_at(now_ms(), bytes(10)), {}))
