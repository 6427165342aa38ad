"""The purge against a real PostgreSQL: what goes, what stays, what is told of it, and what it does to others."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest
from prometheus_client import CollectorRegistry

from audit.codec import encode
from audit.keeper.holds import Scope, place, release
from audit.keeper.jobs import Connection, opened
from audit.keeper.retention import Outcome, Step, plan, purge
from audit.metrics import PurgeMetrics
from audit.settings import RetentionSettings
from audit.store import Store
from tests.builders.aged import aged_id, aged_store, ask, now_ms
from tests.builders.audit import make_event
from tests.servers.postgres import Logins

ROOT = Path(__file__).parents[3]
MONTH = RetentionSettings(days=30)
WHAT_IS_THERE = "SELECT tenant_id, count(*) AS rows FROM audit_events WHERE event_type NOT LIKE 'audit.%' GROUP BY 1"
TOLD = """
SELECT tenant_id, body->'details' AS details FROM audit_events WHERE event_type = 'audit.purge.completed'
ORDER BY event_id
"""


@pytest.fixture
async def keeper(migrated_database: Logins) -> AsyncIterator[Connection]:
    """The keeper's connection."""
    async with opened(migrated_database.keeper) as connection:
        yield connection


async def run(connection: Connection, settings: RetentionSettings = MONTH) -> Outcome:
    """A purge whose counting nobody looks at."""
    return await purge(connection, settings, PurgeMetrics(CollectorRegistry()))


async def left(logins: Logins) -> dict[str, int]:
    """Tenant to the rows that are there, but for the keeper's own."""
    return {row["tenant_id"]: row["rows"] for row in await ask(logins.owner, WHAT_IS_THERE)}


async def partitions(logins: Logins) -> set[str]:
    """The names of those there are."""
    found = await ask(
        logins.owner,
        "SELECT inhrelid::regclass::text AS name FROM pg_inherits WHERE inhparent = 'audit_events'::regclass",
    )
    return {row["name"] for row in found}


def by_tenant(steps: list[Step]) -> dict[str | None, int]:
    """Tenant to rows, of some steps."""
    found: Counter[str | None] = Counter()
    for step in steps:
        found[step.tenant] += step.rows
    return {tenant: rows for tenant, rows in found.items() if rows}


async def test_whole_weeks_are_dropped_and_the_rest_deleted(migrated_database: Logins, keeper: Connection) -> None:
    """Past the retention nothing is left; weeks that lie wholly behind it are gone as tables; the younger is untouched.

    What the dry run says is what the run does, and the events say the same.
    """
    rows = [("acme", 60.0), ("acme", 45.5), ("globex", 60.1), ("acme", 30.2), ("globex", 30.01), ("-", 31.0)]
    await aged_store(migrated_database, [*rows, ("acme", 29.9), ("globex", 1.0), ("-", 2.0)])
    before = await partitions(migrated_database)
    planned = await plan(keeper, MONTH)
    outcome = await run(keeper)
    assert await left(migrated_database) == {"acme": 1, "globex": 1, "-": 1}
    assert by_tenant(outcome.steps) == {"acme": 3, "globex": 2, "-": 1} == by_tenant(planned)
    assert sorted(step for step in planned if step.rows) == sorted(step for step in outcome.steps if step.rows)
    dropped = before - await partitions(migrated_database)
    assert len(dropped) >= 6
    purged = await ask(migrated_database.owner, "SELECT name, rows FROM audit_purged_partitions")
    assert {row["name"] for row in purged} == dropped
    assert sum(row["rows"] for row in purged) == sum(step.rows for step in outcome.steps if step.how == "drop")
    assert await plan(keeper, MONTH) == []
    told = [(row["tenant_id"], json.loads(row["details"])) for row in await ask(migrated_database.owner, TOLD)]
    own = {tenant: details["count"] for tenant, details in told if not details.get("all_tenants")}
    [(_, everything)] = [each for each in told if each[1].get("all_tenants")]
    assert own == {"acme": 3, "globex": 2, "-": 1}
    assert (everything["count"], everything["tenants"], set(everything["dropped"])) == (6, 3, dropped)


async def test_a_week_that_was_dropped_is_not_made_again(migrated_database: Logins, keeper: Connection) -> None:
    """Else a partition would come back under the name of one that was sealed; what is late for it is a dead letter."""
    await aged_store(migrated_database, [("acme", 60.0)])
    await run(keeper)
    after = await partitions(migrated_database)
    owner = await asyncpg.connect(migrated_database.owner)
    await owner.execute("SET ROLE audit_owner")
    assert await owner.fetchval("SELECT audit_make_partitions(now() - interval '80 days', now())") == 0
    await owner.close()
    assert await partitions(migrated_database) == after
    store = Store(migrated_database.writer)
    written = await store.write([encode(make_event(event_id=aged_id(60)))])
    await store.close()
    assert [letter.reason for letter in written.dead] == ["out_of_range"]


async def test_each_tenant_keeps_its_own_time(migrated_database: Logins, keeper: Connection) -> None:
    """A tenant that keeps longer keeps its rows, and its week with them; one that keeps less loses them sooner."""
    rows = [(tenant, days) for tenant in ("acme", "globex", "initech") for days in (3.0, 20.0, 60.0)]
    await aged_store(migrated_database, rows)
    settings = RetentionSettings(days=30, tenants={"acme": 400, "initech": 7})
    planned = await plan(keeper, settings)
    outcome = await run(keeper, settings)
    assert await left(migrated_database) == {"acme": 3, "globex": 2, "initech": 1}
    assert by_tenant(outcome.steps) == {"globex": 1, "initech": 2} == by_tenant(planned)
    leaves = await ask(migrated_database.owner, "SELECT event_id FROM audit_purged_leaves")
    assert len(leaves) == 3, "the week of 60 days ago is kept for acme, so the hashes of the others stay"


@pytest.mark.parametrize(
    ("scope", "kept"),
    [
        (Scope("acme"), 3),
        (Scope("globex"), 0),
        (Scope("acme", actor="u-1"), 2),
        (Scope("acme", resource_type="Order", resource_id="o-1"), 2),
        (Scope("acme", resource_type="Payment"), 0),
    ],
)
async def test_what_is_held_stays_until_it_is_released(
    migrated_database: Logins, keeper: Connection, scope: Scope, kept: int
) -> None:
    """A hold keeps what it names and nothing else; released, the next purge takes it."""
    await aged_store(migrated_database, [("acme", 50.0), ("acme", 40.0)])
    await aged_store(migrated_database, [("acme", 45.0)], actor=None, resource=None)
    number = await place(keeper, scope, reason="case 17/26", by="ada")
    planned = await plan(keeper, MONTH)
    outcome = await run(keeper)
    assert await left(migrated_database) == ({"acme": kept} if kept else {})
    assert by_tenant(outcome.steps) == by_tenant(planned) == ({"acme": 3 - kept} if kept < 3 else {})
    assert await release(keeper, number, by="ada")
    assert not await release(keeper, number, by="ada")
    await run(keeper)
    assert await left(migrated_database) == {}


async def test_a_hold_of_a_stretch_of_time_keeps_that_stretch(migrated_database: Logins, keeper: Connection) -> None:
    """From inclusive, to exclusive."""
    await aged_store(migrated_database, [("acme", days) for days in (60.0, 50.0, 40.0)])
    now = datetime.now(UTC)
    scope = Scope("acme", now - timedelta(days=55), now - timedelta(days=45))
    await place(keeper, scope, reason="case", by="ada")
    assert await left(migrated_database) == {"acme": 3}
    await run(keeper)
    assert await left(migrated_database) == {"acme": 1}


async def test_a_hold_from_before_all_time_holds_everything(migrated_database: Logins, keeper: Connection) -> None:
    """Ids begin with 1970; whoever says 1900 means from the first."""
    await aged_store(migrated_database, [("acme", 60.0)])
    await place(keeper, Scope("acme", since=datetime(1900, 1, 1, tzinfo=UTC)), reason="x", by="y")
    await run(keeper)
    assert await left(migrated_database) == {"acme": 1}


async def test_nothing_undelivered_is_purged(migrated_database: Logins, keeper: Connection) -> None:
    """A producer that holds `complete_through` holds the purge too: its week must be there when its records come."""
    await aged_store(migrated_database, [])
    await ask(migrated_database.owner, "UPDATE audit_completeness SET through = now() - interval '50 days' RETURNING 1")
    store = Store(migrated_database.writer)
    await store.write([encode(make_event(event_id=aged_id(days), tenant_id="acme")) for days in (60, 45, 40)])
    await store.close()
    await run(keeper)
    assert await left(migrated_database) == {"acme": 2}


async def test_without_a_report_nothing_is_purged(migrated_database: Logins, keeper: Connection) -> None:
    """Nobody knows what is still under way."""
    store = Store(migrated_database.writer)
    await store.write([encode(make_event(event_id=aged_id(33)))])
    await store.close()
    assert await run(keeper) == Outcome([], {})
    assert await left(migrated_database) == {"acme": 1}


async def test_the_keeper_cannot_take_what_is_young_or_held(migrated_database: Logins, keeper: Connection) -> None:
    """The login may call the purge, not delete; a retention below a day is refused by the store itself."""
    await aged_store(migrated_database, [("acme", 0.5)])
    for attempt in (
        "DELETE FROM audit_events",
        "DELETE FROM audit_legal_holds",
        "UPDATE audit_legal_holds SET released_at = now(), released_by = 'me'",
        "DELETE FROM audit_purged_leaves",
        "UPDATE audit_completeness SET through = now()",
        "SELECT audit_make_partitions(now(), now())",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await keeper.execute(attempt)
    with pytest.raises(asyncpg.InvalidParameterValueError):
        await keeper.fetchval("SELECT audit_purge_floors(0, '{}')")
    with pytest.raises(asyncpg.InvalidParameterValueError):
        await keeper.fetchval("SELECT audit_purge_floors(30, '{\"acme\": 0}')")
    with pytest.raises(asyncpg.InvalidParameterValueError):
        await keeper.fetchval("SELECT audit_purge_aside(0)")
    old, young = json.dumps({"*": aged_id(2)}), json.dumps({"*": aged_id(2), "acme": aged_id(0.2)})
    with pytest.raises(asyncpg.UndefinedTableError):
        await keeper.fetchval("SELECT gone FROM audit_purge_batch('audit_migrations', $1, NULL, 1)", old)
    for forged in (young, json.dumps({"acme": aged_id(2)})):
        for name in await partitions(migrated_database):
            with pytest.raises(asyncpg.InvalidParameterValueError):
                await keeper.fetchval("SELECT gone FROM audit_purge_batch($1, $2, NULL, 9)", name, forged)
            with pytest.raises(asyncpg.InvalidParameterValueError):
                await keeper.fetchval("SELECT audit_purge_detach($1, $2)", name, forged)


async def test_a_week_that_is_not_sealed_waits(migrated_database: Logins, keeper: Connection) -> None:
    """Where weeks are sealed, what is not is not dropped, and the purge says so; sealed, it goes."""
    await aged_store(migrated_database, [("acme", 60.0)])
    owner = await asyncpg.connect(migrated_database.owner)
    seal = "INSERT INTO audit_seals (seq, kind, partition, record, signature) VALUES ($1, 'seal', $2, '', '')"
    await owner.execute(seal, 1, "another")
    outcome = await run(keeper)
    assert set(outcome.postponed.values()) == {"unsealed"}
    assert await left(migrated_database) == {"acme": 1}
    assert {step.how for step in await plan(keeper, MONTH)} == {"unsealed"}
    for number, name in enumerate(outcome.postponed, 2):
        await owner.execute(seal, number, name)
    await owner.close()
    assert (await run(keeper)).postponed == {}
    assert await left(migrated_database) == {}


async def test_a_long_query_postpones_the_drop_and_nothing_else(migrated_database: Logins, keeper: Connection) -> None:
    """The purge gives up after its two seconds and says so; rows of other weeks have gone; the next run finishes."""
    both = [(tenant, days) for tenant in ("acme", "globex") for days in (60.0, 31.0)]  # no week of theirs can go whole
    await aged_store(migrated_database, both)
    reader = await asyncpg.connect(migrated_database.owner)
    transaction = reader.transaction()
    await transaction.start()
    await reader.fetch("SELECT count(*) FROM audit_events")
    one_week = RetentionSettings(days=30, tenants={"globex": 400})
    outcome = await run(keeper, one_week)
    assert set(outcome.postponed.values()) == {"lock"}
    assert by_tenant(outcome.steps) == {"acme": 2}, "deleting rows needs no such lock"
    assert await keeper.fetchval("SELECT 1") == 1
    await transaction.rollback()
    await reader.close()
    assert (await run(keeper, one_week)).postponed == {}


async def test_readers_and_writers_go_on(migrated_database: Logins, keeper: Connection) -> None:
    """While rows and weeks go, new events are written and read; none is lost and none comes twice."""
    stays = [("globex", 28.0 + days) for days in range(35)]  # so that no week can go whole
    await aged_store(migrated_database, [*(("acme", 20.01 + index / 50) for index in range(2000)), *stays])
    store = Store(migrated_database.writer)
    reader = await asyncpg.connect(migrated_database.reader)
    written = 0
    done = asyncio.Event()

    async def write() -> None:
        nonlocal written
        while not done.is_set():
            written += (await store.write([encode(make_event(event_id=aged_id(0))) for _ in range(5)])).rows

    async def read() -> None:
        while not done.is_set():
            async with reader.transaction():
                await reader.execute("SELECT set_config('app.tenant_id', 'acme', true)")
                assert await reader.fetchval("SELECT count(*) FROM audit_events") >= 500

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(write())
        tasks.create_task(read())
        outcome = await run(keeper, RetentionSettings(days=30, tenants={"globex": 400}, batch_rows=100))
        done.set()
    await store.close()
    await reader.close()
    gone = sum(step.rows for step in outcome.steps)
    assert (gone, outcome.postponed) == (1500, {})
    assert await left(migrated_database) == {"acme": 2000 - gone + written, "globex": 35}


async def test_a_killed_purge_is_finished_and_told_of_later(migrated_database: Logins, keeper: Connection) -> None:
    """SIGKILL in the middle: what has gone is told of once, all of it, and the rest goes."""
    await aged_store(
        migrated_database,
        [*(("acme", 31 + index / 500) for index in range(3000)), *(("globex", 31 + days) for days in range(7))],
    )
    child = subprocess.Popen(  # noqa: ASYNC220  # it is killed before anything else happens
        [sys.executable, "-m", "tests.audit.keeper.purging", migrated_database.keeper], cwd=ROOT
    )
    try:
        for _ in range(2000):
            gone = await ask(migrated_database.owner, "SELECT count(*) AS rows FROM audit_purged_leaves")
            if gone[0]["rows"] >= 100:
                break
            await asyncio.sleep(0.01)
        os.kill(child.pid, signal.SIGKILL)
    finally:
        child.wait()
    halfway = 3000 - (await left(migrated_database))["acme"]
    assert 100 <= halfway < 3000
    assert await ask(migrated_database.owner, TOLD) == []
    outcome = await run(keeper, RetentionSettings(days=30, tenants={"globex": 400}))
    assert await left(migrated_database) == {"globex": 7}
    assert by_tenant(outcome.steps) == {"acme": 3000}
    told = await ask(migrated_database.owner, TOLD)
    assert len(told) == 2
    assert await ask(migrated_database.owner, "SELECT * FROM audit_purge_tally") == []


async def test_a_week_that_was_taken_out_and_not_dropped_is_finished(
    migrated_database: Logins, keeper: Connection
) -> None:
    """Killed between the two steps of a drop: the next run counts, drops and tells."""
    await aged_store(migrated_database, [("acme", 60.0), ("globex", 60.0)])
    floors = await keeper.fetchval("SELECT audit_purge_floors(30, '{}')")
    [name] = [step.partition for step in await plan(keeper, MONTH) if step.tenant == "acme"]
    assert await keeper.fetchval("SELECT audit_purge_detach($1, $2)", name, floors)
    outcome = await run(keeper)
    assert by_tenant(outcome.steps) == {"acme": 1, "globex": 1}
    [gone] = await ask(migrated_database.owner, "SELECT to_regclass($1) AS name", name)
    assert gone["name"] is None


async def test_what_a_hold_names_is_looked_for_again_under_the_lock(
    migrated_database: Logins, keeper: Connection
) -> None:
    """A hold placed after the purge has chosen the week, and before it takes it, is kept to."""
    await aged_store(migrated_database, [("acme", 60.0)])
    floors = await keeper.fetchval("SELECT audit_purge_floors(30, '{}')")
    [name] = [step.partition for step in await plan(keeper, MONTH) if step.tenant == "acme"]
    await place(keeper, Scope("acme"), reason="just in time", by="ada")
    assert not await keeper.fetchval("SELECT audit_purge_detach($1, $2)", name, floors)
    assert await left(migrated_database) == {"acme": 1}


async def test_the_hashes_of_deleted_rows_are_those_of_the_rows(migrated_database: Logins, keeper: Connection) -> None:
    """A seal over the partition can still be checked; they go with the partition."""
    [first, _] = await aged_store(migrated_database, [("acme", 60.0), ("globex", 60.0)])
    [row] = await ask(migrated_database.owner, "SELECT payload_hash FROM audit_events WHERE event_id = $1", UUID(first))
    longer = RetentionSettings(days=30, tenants={"globex": 400})
    await run(keeper, longer)
    [leaf] = await ask(migrated_database.owner, "SELECT * FROM audit_purged_leaves")
    assert (leaf["event_id"], leaf["phase"], leaf["payload_hash"]) == (UUID(first), "single", row["payload_hash"])
    await run(keeper)
    assert await ask(migrated_database.owner, "SELECT * FROM audit_purged_leaves") == []


async def test_nothing_else_grows_for_ever(migrated_database: Logins, keeper: Connection) -> None:
    """Old conflicts, dead letters, past openings and abandoned offsets go; what is young, or still holds, stays."""
    owner = await asyncpg.connect(migrated_database.owner)
    await owner.execute(
        """
        INSERT INTO audit_conflicts (event_id, phase, payload_hash, payload, received_at)
          SELECT gen_random_uuid(), 'single', '', '', now() - d * interval '1 day' FROM unnest(ARRAY[1, 31]) d;
        INSERT INTO audit_dead_letters (reason, error, payload, payload_hash, received_at)
          SELECT 'schema', '', '', d::text::bytea, now() - d * interval '1 day' FROM unnest(ARRAY[1, 31]) d;
        INSERT INTO audit_consumer_offsets (topic, partition, group_id, next_offset, updated_at)
          SELECT 't', d, 'g', 1, now() - d * interval '1 day' FROM unnest(ARRAY[1, 31]) d;
        INSERT INTO audit_producers (producer_id, producer_epoch, lane, watermark, ended, reported_at)
        VALUES ('ended', 1, -1, now() - interval '31 days', true, now() - interval '31 days'),
               ('lost', 1, -1, now() - interval '31 days', false, now() - interval '31 days'),
               ('again', 1, -1, now() - interval '31 days', false, now() - interval '31 days'),
               ('again', 2, -1, now(), false, now());
        """
    )
    await run(keeper)
    assert await owner.fetchval("SELECT count(*) FROM audit_conflicts") == 1
    assert await owner.fetchval("SELECT count(*) FROM audit_dead_letters") == 1
    assert await owner.fetchval("SELECT array_agg(partition) FROM audit_consumer_offsets") == [1]
    found = await owner.fetch("SELECT producer_id, producer_epoch FROM audit_producers ORDER BY 1")
    assert [tuple(row) for row in found] == [("again", 2), ("lost", 1)]
    await owner.close()


async def test_it_is_measured(migrated_database: Logins, keeper: Connection) -> None:
    """Rows by how they went, when it ended, how long it took."""
    await aged_store(migrated_database, [("acme", 60.0), ("globex", 60.0), ("acme", 50.0)])
    registry = CollectorRegistry()
    settings = RetentionSettings(days=30, tenants={"globex": 400})
    began = now_ms() / 1000
    await purge(keeper, settings, PurgeMetrics(registry))
    assert registry.get_sample_value("audit_purged_events_total", {"how": "delete"}) == 1
    assert registry.get_sample_value("audit_purged_events_total", {"how": "drop"}) == 1
    assert (registry.get_sample_value("audit_purge_last_run_timestamp_seconds") or 0) >= began
    assert registry.get_sample_value("audit_purge_duration_seconds")
