"""Tests of `audit.dead_letters`."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import timedelta

import asyncpg
import msgspec
import pytest
from prometheus_client import CollectorRegistry

from audit.codec import encode
from audit.dead_letters import Settled, dismiss, letter, letters, replay
from audit.ids import EventIds, id_floor
from audit.ingest import DeadReason
from audit.keeper.jobs import opened
from audit.keeper.retention import purge
from audit.metrics import PurgeMetrics
from audit.settings import RetentionSettings
from audit.store import Store
from tests.builders.aged import aged_id, aged_store
from tests.builders.audit import make_event
from tests.servers.postgres import Logins

AHEAD_MS = 10 * 60_000
EARLY = EventIds(lambda: time.time_ns() + AHEAD_MS * 1_000_000)


@pytest.fixture
async def keeper(migrated_database: Logins) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """The keeper's login."""
    async with opened(migrated_database.keeper) as connection:
        yield connection


async def rows(logins: Logins, query: str) -> list[asyncpg.Record]:
    """What the owner sees."""
    connection = await asyncpg.connect(logins.owner)
    try:
        return list(await connection.fetch(query))
    finally:
        await connection.close()


def early() -> bytes:
    """A record of ten minutes from now: too early today."""
    return encode(make_event(event_id=EARLY.next()))


async def written(logins: Logins, *payloads: bytes) -> None:
    """Put records into the store."""
    store = Store(logins.writer)
    await store.write(payloads)
    await store.close()


def later() -> int:
    """An hour from now, nanoseconds."""
    return time.time_ns() + 3_600_000_000_000


async def test_each_letter_ends_as_it_must(
    migrated_database: Logins, keeper: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    """A row, a duplicate, a conflict, expired, or still dead; all of it told in one event of the same transaction."""
    now, twin = early(), early()
    forged = msgspec.json.encode({**msgspec.json.decode(twin), "action": "other"})
    ancient = encode(make_event(event_id=id_floor(1_000_000_000_000)))
    await written(migrated_database, now, twin, forged, ancient, b"poison")
    assert [row["reason"] for row in await letters(keeper)] == ["malformed", *["out_of_range"] * 4]
    again = now.replace(b'{"', b'{ "', 1)  # the same event, spelled otherwise
    await written(migrated_database, again)

    tried = await replay(keeper, dry_run=True, now_ns=later)
    assert await rows(migrated_database, "SELECT 1 FROM audit_events") == []
    done = await replay(keeper, now_ns=later)
    assert tried == done
    assert done.counts == {"replayed": 2, "duplicate": 1, "conflict": 1, "expired": 1, "pending": 1}
    stored = await rows(migrated_database, "SELECT event_id::text AS id, event_type, body FROM audit_events")
    assert {row["event_type"] for row in stored} == {"authz.decision.evaluated", "audit.dead_letters.replayed"}
    assert len(stored) == 3
    [told] = [row for row in stored if row["event_type"] == "audit.dead_letters.replayed"]
    assert msgspec.json.decode(told["body"])["details"] == {**done.counts, "count": 6, "reason": "any"}
    assert len(await rows(migrated_database, "SELECT 1 FROM audit_conflicts")) == 1

    assert [(row["reason"], row["attempts"]) for row in await letters(keeper)] == [("malformed", 1)]
    ended = await letters(keeper, with_ended=True)
    assert len(ended) == 6
    assert all((row["outcome"] is None) == (row["ended_at"] is None) for row in ended)
    assert (await replay(keeper, now_ns=later)).counts["pending"] == 1  # and none of the others twice


async def test_what_is_chosen_is_replayed(
    migrated_database: Logins, keeper: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    """By id or by reason; the others stay as they are."""
    await written(migrated_database, early(), early(), b"poison")
    [poison, second, first] = [row["id"] for row in await letters(keeper)]
    assert [row["id"] for row in await letters(keeper, newest=1)] == [poison]
    assert [row["id"] for row in await letters(keeper, reason="out_of_range")] == [second, first]
    assert (await replay(keeper, ids=[first], now_ns=later)).letters == [Settled(first, "replayed")]
    assert (await replay(keeper, ids=[first, 999], now_ns=later)).letters == []
    assert (await replay(keeper, reason="malformed", now_ns=later)).letters == [
        Settled(poison, "pending", "malformed", "JSON is malformed at byte 0")
    ]
    assert (await replay(keeper, ids=[second])).letters[0].outcome == "pending"  # it is still early
    assert (await letter(keeper, 999)) is None
    found = await letter(keeper, second)
    assert found is not None
    assert found["payload"].startswith(b"{")
    assert found["attempts"] == 1


async def test_what_nobody_will_replay_is_dismissed(
    migrated_database: Logins, keeper: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    """It is pending no more, stays in the store, and the event has the reason; only what was pending."""
    await written(migrated_database, b"poison", b"another")
    [kept, gone] = [row["id"] for row in await letters(keeper)]
    assert await dismiss(keeper, [gone, 999], "a test") == [gone]
    assert await dismiss(keeper, [gone], "a test") == []
    assert [row["id"] for row in await letters(keeper)] == [kept]
    assert (await replay(keeper, ids=[gone])).letters == []
    found = await letter(keeper, gone)
    assert found is not None
    assert (found["outcome"], found["attempts"], found["payload"]) == ("dismissed", 0, b"poison")
    [told] = await rows(migrated_database, "SELECT body FROM audit_events")
    assert msgspec.json.decode(told["body"])["details"] == {"ids": [gone], "count": 1, "why": "a test"}


async def test_many_are_replayed_and_two_at_once_share_them(
    migrated_database: Logins, keeper: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    """More than one transaction's worth; each letter is settled by exactly one of the two."""
    await written(migrated_database, *(early() for _ in range(450)))
    async with opened(migrated_database.keeper) as other:
        one, two = await asyncio.gather(replay(keeper, now_ns=later), replay(other, now_ns=later))
    settled = [each.id for each in one.letters + two.letters]
    assert len(settled) == len(set(settled)) == 450
    [there] = await rows(
        migrated_database, "SELECT count(*) FILTER (WHERE kind = 'decision') AS decisions FROM audit_events"
    )
    assert there["decisions"] == 450
    assert await letters(keeper) == []


async def test_beyond_the_partitions_and_in_when_they_are_made(
    migrated_database: Logins, keeper: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    """Sunday, just before midnight, and the next week cannot be made: a record of a clock that is ahead waits."""
    owner = await asyncpg.connect(migrated_database.owner)
    beyond = await owner.fetchval("SELECT max(until) FROM audit_partitions()")
    sunday_ns = int((beyond - timedelta(minutes=2)).timestamp() * 1e9)
    payload = encode(make_event(event_id=id_floor(int((beyond + timedelta(minutes=1)).timestamp() * 1000))))
    async with owner.transaction():
        await owner.execute("LOCK TABLE audit_events IN SHARE UPDATE EXCLUSIVE MODE")
        store = Store(migrated_database.writer, now_ns=lambda: sunday_ns)
        dead = (await store.write([payload])).dead
        assert [each.reason for each in dead] == [DeadReason.OUT_OF_RANGE]
        assert (await replay(keeper, now_ns=lambda: sunday_ns)).counts["pending"] == 1
    await owner.execute("SELECT audit_make_partitions($1, $1)", beyond)
    assert (await replay(keeper, now_ns=lambda: sunday_ns)).counts["replayed"] == 1
    await store.close()
    await owner.close()


async def test_what_comes_back_below_what_is_complete_is_told_of(
    migrated_database: Logins, keeper: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    """Whoever follows the log was told that nothing earlier comes: `audit.late` says what to read again."""
    await written(migrated_database, early(), early())
    told = "UPDATE audit_completeness SET through = now() + interval '15 minutes' RETURNING 1"
    assert await rows(migrated_database, told)
    assert (await replay(keeper, now_ns=later)).counts["replayed"] == 2
    [late] = await rows(
        migrated_database, "SELECT body->'details'->>'count' AS rows FROM audit_events WHERE event_type = 'audit.late'"
    )
    assert late["rows"] == "2"


async def test_what_comes_for_a_dropped_week_has_expired(
    migrated_database: Logins, keeper: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    """Also where an older week is still there, because somebody's rows are kept longer."""
    await aged_store(migrated_database, [("globex", 75.0), ("acme", 60.0)])
    settings = RetentionSettings(days=30, tenants={"globex": 400})
    await purge(keeper, settings, PurgeMetrics(CollectorRegistry()))
    await written(migrated_database, encode(make_event(event_id=aged_id(60.0))))
    assert (await replay(keeper)).counts["expired"] == 1


async def test_nobody_else_may(migrated_database: Logins) -> None:
    """The reader has no way to the letters, the writer only puts them in, the keeper reads no table."""
    for dsn, statement in (
        (migrated_database.reader, "SELECT * FROM audit_dead_letters_list(1, true, NULL)"),
        (migrated_database.writer, "SELECT * FROM audit_dead_letter(1)"),
        (migrated_database.writer, "SELECT * FROM audit_dead_letters_take(0, 1, NULL, NULL)"),
        (migrated_database.keeper, "SELECT * FROM audit_dead_letters"),
        (migrated_database.keeper, "DELETE FROM audit_dead_letters"),
        (migrated_database.keeper, "UPDATE audit_dead_letters SET outcome = 'replayed'"),
    ):
        connection = await asyncpg.connect(dsn)
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)
        await connection.close()
