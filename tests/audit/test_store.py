"""Tests of `audit.store`."""

import math
import time
import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import asyncpg
import msgspec
import pytest

from audit import insert
from audit.codec import digest, encode
from audit.errors import Fenced, SinkUnavailable, WrongRole
from audit.event import AuditEvent, Phase, Severity
from audit.ids import EventIds
from audit.ingest import DeadLetter, Row
from audit.store import Offset, Store
from tests.builders.audit import make_event
from tests.servers.postgres import Logins

BOTH_SERVERS = True

IDS = EventIds()


async def rows(migrated_database: Logins, query: str, *args: object) -> list[asyncpg.Record]:
    """What the owner sees."""
    connection = await asyncpg.connect(migrated_database.owner)
    try:
        return list(await connection.fetch(query, *args))
    finally:
        await connection.close()


def event(**fields: object) -> AuditEvent:
    """An event with a fresh id."""
    return make_event(event_id=IDS.next(), **fields)


async def test_events_become_rows(migrated_database: Logins) -> None:
    """Every typed column and the whole body are stored."""
    given = event(tenant_id="acme", severity=Severity.SECURITY)
    store = Store(migrated_database.writer)
    written = await store.write([encode(given)])
    await store.close()
    assert (written.rows, written.duplicates, written.conflicts, list(written.dead)) == (1, 0, 0, [])
    [row] = await rows(migrated_database, "SELECT * FROM audit_events")
    assert str(row["event_id"]) == given.event_id
    assert row["tenant_id"] == "acme"
    assert row["severity"] == 5
    assert row["actor_id"] == given.actor.id if given.actor else None
    assert row["service"] == "order"
    assert row["decision"] == "allow"
    assert (row["producer_id"], row["producer_epoch"], row["producer_seq"]) == ("test", 1, 1)
    assert row["payload_hash"] == digest(encode(given))
    assert digest(row["body"].encode()) == row["payload_hash"]
    assert msgspec.json.decode(row["body"], type=AuditEvent) == given


async def test_the_same_record_again_is_a_duplicate(migrated_database: Logins) -> None:
    """A record that is there already changes nothing, in one batch and over two."""
    payload = encode(event())
    store = Store(migrated_database.writer)
    first = await store.write([payload, payload])
    second = await store.write([payload, encode(event())])
    await store.close()
    assert (first.rows, first.duplicates) == (1, 1)
    assert (second.rows, second.duplicates, second.conflicts) == (1, 1, 0)
    assert len(await rows(migrated_database, "SELECT 1 FROM audit_events")) == 2


async def test_another_content_under_the_same_key_is_kept_apart(migrated_database: Logins) -> None:
    """A conflict is counted and kept, in one batch and over two; the first content stands."""
    given = event(action="order:read")
    forged = msgspec.structs.replace(given, action="order:delete")
    store = Store(migrated_database.writer)
    first = await store.write([encode(given), encode(forged)])
    second = await store.write([encode(forged)])
    await store.close()
    assert (first.rows, first.conflicts) == (1, 1)
    assert (second.rows, second.conflicts, second.duplicates) == (0, 1, 0)
    [row] = await rows(migrated_database, "SELECT action FROM audit_events")
    assert row["action"] == "order:read"
    [apart] = await rows(migrated_database, "SELECT payload FROM audit_conflicts")
    assert b"order:delete" in apart["payload"]


async def test_two_phases_of_an_event_are_two_rows(migrated_database: Logins) -> None:
    """The dedupe key is the id together with the phase."""
    decided = event(phase=Phase.DECIDED)
    store = Store(migrated_database.writer)
    written = await store.write([encode(decided), encode(msgspec.structs.replace(decided, phase=Phase.COMPLETED))])
    await store.close()
    assert (written.rows, written.conflicts) == (2, 0)


async def test_poison_is_set_apart_and_the_rest_goes_on(migrated_database: Logins) -> None:
    """Each kind of record that cannot become a row ends in the dead letters with its reason; the good ones are rows."""
    ahead = EventIds(lambda: int((datetime.now(UTC) + timedelta(minutes=6)).timestamp() * 1e9)).next()
    ancient = EventIds(lambda: 1_000_000_000_000_000_000).next()
    batch = [
        encode(event()),
        b"not json",
        b'{"event_id":"x"}',
        encode(make_event(event_id=str(uuid.uuid4()))),
        encode(make_event(event_id=ahead)),
        encode(make_event(event_id=ancient)),
        encode(event(tenant_id="")),
        encode(event()),
    ]
    store = Store(migrated_database.writer)
    written = await store.write(batch)
    await store.write(batch)
    await store.close()
    assert written.rows == 2
    assert sorted(letter.reason for letter in written.dead) == [
        "malformed", "out_of_range", "out_of_range", "schema", "schema", "schema",
    ]  # fmt: skip
    assert len(await rows(migrated_database, "SELECT 1 FROM audit_dead_letters")) == 6


async def test_a_row_the_database_refuses_is_found_by_halving(migrated_database: Logins) -> None:
    """One refused row among many is set apart alone, at any place in the batch."""
    connection = await asyncpg.connect(migrated_database.owner)
    await connection.execute("ALTER TABLE audit_events ADD CHECK (action <> 'refused')")
    await connection.close()
    for place in (0, 3, 8):
        events = [event() for _ in range(9)]
        events[place] = event(action="refused")
        store = Store(migrated_database.writer)
        written = await store.write([encode(each) for each in events])
        await store.close()
        assert written.rows == 8
        assert [letter.reason for letter in written.dead] == ["refused"]


@pytest.mark.parametrize(("bad", "of"), [(1, 2000), (50, 2000), (40, 40)])
async def test_many_refused_rows_cost_little_and_nobody_else_anything(
    migrated_database: Logins, monkeypatch: pytest.MonkeyPatch, bad: int, of: int
) -> None:
    """Each bad row is found in as many steps as halving takes, and the rest is in the store."""
    connection = await asyncpg.connect(migrated_database.owner)
    await connection.execute("ALTER TABLE audit_events ADD CONSTRAINT no_such_action CHECK (action <> 'hunter2')")
    every = of // bad
    records = [encode(event(action="hunter2" if place % every == every // 2 else "a")) for place in range(of)]
    store = Store(migrated_database.writer)
    steps, halved = [], insert._halved

    async def counted(
        within: "asyncpg.Connection[asyncpg.Record]", some: Sequence[Row]
    ) -> tuple[int, list[DeadLetter]]:
        steps.append(len(some))
        return await halved(within, some)

    monkeypatch.setattr(insert, "_halved", counted)
    written = await store.write(records)
    assert bad < len(steps) <= 2 * bad * (math.ceil(math.log2(of / bad)) + 1) + 1
    await store.close()
    assert written.rows == of - bad
    assert len(written.dead) == bad
    letters = await connection.fetch("SELECT reason, error FROM audit_dead_letters")
    assert {tuple(row) for row in letters} == {("refused", "CheckViolationError (23514): constraint `no_such_action`")}
    assert len(letters) == bad
    await connection.close()


async def test_a_partition_that_was_dropped_meanwhile_is_no_refusal(migrated_database: Logins) -> None:
    """The store looked before it was gone; its records are out of range, and the store looks again."""
    connection = await asyncpg.connect(migrated_database.owner)
    oldest = await connection.fetchrow("SELECT name, lowest FROM audit_partitions() LIMIT 1")
    assert oldest is not None
    store = Store(migrated_database.writer)
    await store.write([encode(event())])
    await connection.execute(f"DROP TABLE {oldest['name']}")
    late = encode(make_event(event_id=str(oldest["lowest"])))
    for said in ("has no partition now", "is outside the partitions"):  # the second time it knows
        written = await store.write([late, encode(event())])
        [letter] = written.dead
        assert (letter.reason, letter.error) == ("out_of_range", f"event_id `{oldest['lowest']}` {said}")
        assert written.rows == 1
    await store.close()
    await connection.close()


async def test_partitions_are_the_keepers_until_the_last_day(migrated_database: Logins) -> None:
    """The writer makes none while there is a day left, and the next ones when nobody else has."""
    connection = await asyncpg.connect(migrated_database.owner)

    async def ends() -> datetime:
        return await connection.fetchval("SELECT max(until) FROM audit_partitions()")  # type: ignore[no-any-return]

    await connection.execute(
        "DO $$ DECLARE p record; BEGIN FOR p IN SELECT name FROM audit_partitions() WHERE since > now() LOOP"
        " EXECUTE format('DROP TABLE %I', p.name); END LOOP; END $$"
    )
    before = await ends()
    for left, made in ((timedelta(hours=25), False), (timedelta(hours=23), True)):
        store = Store(migrated_database.writer, now_ns=lambda left=left: int((before - left).timestamp() * 1e9))  # type: ignore[misc]
        await store.ping()
        await store.close()
        assert (await ends() > before) is made
    await connection.close()


async def test_a_letter_says_where_it_came_from_and_others_are_told(migrated_database: Logins) -> None:
    """Its place and, before the transaction ends, whoever follows them; if that fails nothing is kept."""
    store = Store(migrated_database.writer)
    told: list[bytes] = []

    async def tell(letters: Sequence[DeadLetter]) -> None:
        told.extend(letter.payload for letter in letters)
        if len(told) == 1:
            raise SinkUnavailable("not now")

    with pytest.raises(SinkUnavailable):
        await store.write([b"poison", encode(event())], source=lambda _: "here", tell=tell)
    assert await rows(migrated_database, "SELECT 1 FROM audit_events") == []
    await store.write([b"poison", encode(event())], source=lambda letter: f"{letter.reason}/1", tell=tell)
    await store.close()
    assert told == [b"poison"] * 2
    [letter] = await rows(migrated_database, "SELECT source, outcome, attempts FROM audit_dead_letters")
    assert tuple(letter) == ("malformed/1", None, 0)


async def test_an_offset_keeps_its_anchor_and_moves_back_only_when_told(migrated_database: Logins) -> None:
    """The next claim gets the anchor; going back writes the event that tells of it, and only for the owner."""
    store = Store(migrated_database.writer)
    [mine] = await store.claim("topic", [0], "group")
    assert mine.anchor is None
    await store.write([], offsets=[replace(mine, next_offset=7, anchor=1 << 62)])
    with pytest.raises(Fenced):
        await store.write([], offsets=[replace(mine, next_offset=3)])
    [again] = await store.claim("topic", [0], "group")
    assert (again.next_offset, again.anchor) == (7, 1 << 62)
    with pytest.raises(Fenced):
        await store.move_to(replace(mine, next_offset=2), encode(event()))
    assert await rows(migrated_database, "SELECT 1 FROM audit_events") == []
    await store.move_to(replace(again, next_offset=2), encode(event()))
    [last] = await store.claim("topic", [0], "group")
    assert (last.next_offset, last.anchor) == (2, None)
    assert len(await rows(migrated_database, "SELECT 1 FROM audit_events")) == 1
    await store.close()


async def test_no_value_of_a_record_is_in_an_error(migrated_database: Logins) -> None:
    """What fails the whole batch is said by kind; PostgreSQL's own text has the row in it."""
    connection = await asyncpg.connect(migrated_database.owner)
    await connection.execute("ALTER TABLE audit_producers ADD CHECK (producer_id <> 'hunter2')")
    await connection.close()
    store = Store(migrated_database.writer)
    with pytest.raises(SinkUnavailable) as failed:
        await store.write([encode(event())], marks=[("hunter2", 1, -1, 1, 1, False)])
    await store.close()
    assert str(failed.value) == (
        "the store: CheckViolationError (23514): constraint `audit_producers_producer_id_check`"
    )


async def test_odd_text_is_stored(migrated_database: Logins) -> None:
    """A NUL, an emoji and a very long id neither fail the batch nor get lost."""
    given = event(details={"a\0b": "x\0y", "emoji": "\U0001f6d2", "number": 1e300, "small": 1e-7, "whole": 2.0})
    long = event(resource=msgspec.convert({"type": "Order", "id": "x" * 9000}, type(given.resource)))
    store = Store(migrated_database.writer)
    written = await store.write([encode(given), encode(long)])
    again = await store.write([encode(given), encode(long)])
    await store.close()
    assert (written.rows, list(written.dead)) == (2, [])
    assert again.duplicates == 2
    for row in await rows(migrated_database, "SELECT body, payload_hash FROM audit_events"):
        assert digest(row["body"].encode()) == row["payload_hash"]


async def test_a_record_of_sixteen_megabytes_is_a_record(migrated_database: Logins) -> None:
    """A row if it is an event, a letter if not; its neighbours do not notice."""
    large = event(details={"text": "x" * (16 << 20)})
    store = Store(migrated_database.writer)
    written = await store.write([encode(event()), encode(large), b"{" + b" " * (16 << 20), encode(event())])
    await store.close()
    assert (written.rows, len(written.dead)) == (3, 1)
    [letter] = await rows(migrated_database, "SELECT octet_length(payload) AS bytes FROM audit_dead_letters")
    assert letter["bytes"] == (16 << 20) + 1


async def test_offsets_move_with_the_rows_or_not_at_all(migrated_database: Logins) -> None:
    """A consumer that was superseded writes nothing: its epoch is fenced."""
    old, new = Store(migrated_database.writer), Store(migrated_database.writer)
    [mine] = await old.claim("topic", [0], "group")
    assert mine.next_offset == 0
    moved = Offset("topic", 0, "group", 1, mine.epoch)
    await old.write([encode(event())], offsets=[moved])
    [theirs] = await new.claim("topic", [0], "group")
    assert (theirs.next_offset, theirs.epoch) == (1, mine.epoch + 1)
    with pytest.raises(Fenced):
        await old.write([encode(event())], offsets=[Offset("topic", 0, "group", 2, mine.epoch)])
    assert len(await rows(migrated_database, "SELECT 1 FROM audit_events")) == 1
    await new.write([encode(event())], offsets=[Offset("topic", 0, "group", 2, theirs.epoch)])
    assert len(await rows(migrated_database, "SELECT 1 FROM audit_events")) == 2
    await old.close()
    await new.close()


async def test_the_store_comes_back_after_its_connection_was_cut(migrated_database: Logins) -> None:
    """A failure is a retriable error, and the next call works on a new connection."""
    store = Store(migrated_database.writer)
    await store.write([encode(event())])
    await rows(
        migrated_database,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE usename = 'audit_writer' AND datname = current_database()",
    )
    with suppress(SinkUnavailable):  # unless the driver has noticed already
        await store.write([encode(event())])
    assert (await store.write([encode(event())])).rows == 1
    await store.close()


async def test_a_login_that_may_do_more_is_refused(migrated_database: Logins) -> None:
    """The owner's login is not used for writing, however well it would work."""
    store = Store(migrated_database.owner)
    with pytest.raises(WrongRole, match="superuser"):
        await store.write([encode(event())])
    await store.close()


async def test_watermarks_make_complete_through(migrated_database: Logins) -> None:
    """`complete_through` is the least watermark of those that have not ended; a killed one's next epoch replaces it.

    What was answered once is answered again while somebody who is new has not spoken in all lanes.
    """
    store = Store(migrated_database.writer)

    async def complete_through() -> float | None:
        [row] = await rows(migrated_database, "SELECT extract(epoch FROM audit_complete_through())::float8 AS at")
        return row["at"]  # type: ignore[no-any-return]

    assert await complete_through() is None
    await store.report([("a", 1, -1, 1, 5_000, False), ("b", 1, -1, 1, 9_000, False)])
    assert await complete_through() == 5
    await store.report([("a", 1, -1, 1, 4_000, False)])  # never backwards
    assert await complete_through() == 5
    await store.report([("a", 1, -1, 1, 7_000, True)])
    assert await complete_through() == 9
    await store.report([("b", 2, -1, 1, 12_000, False)])
    assert await complete_through() == 12
    await store.report([("c", 1, 0, 2, 20_000, False)])  # one of two lanes has reported
    await store.report([("b", 2, -1, 1, 15_000, False)])
    assert await complete_through() == 12
    await store.report([("c", 1, 1, 2, 14_000, False)])
    assert await complete_through() == 14
    [gone] = await rows(
        migrated_database,
        "SELECT audit_producer_gone('b', 1) AS b1, audit_producer_gone('b', 2) AS b2,"
        " audit_producer_gone('a', 1) AS a1, audit_producer_gone('x', 1) AS x1",
    )
    assert tuple(gone.values()) == (True, False, True, False)
    await store.close()


async def test_it_is_the_stores_clock_that_judges(migrated_database: Logins, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine whose clock was set back sends again what it sent before: a duplicate, and no dead letter."""
    store = Store(migrated_database.writer)
    payload = encode(make_event(event_id=EventIds(time.time_ns).next()))
    assert (await store.write([payload])).rows == 1
    back_ns = time.time_ns() - 3600 * 10**9
    monkeypatch.setattr("audit.store.time.time_ns", lambda: back_ns)
    written = await store.write([payload])
    assert (written.rows, written.duplicates, list(written.dead)) == (0, 1, [])
    await store.close()


async def test_what_tells_of_a_move_is_kept_also_when_it_is_ahead_of_time(migrated_database: Logins) -> None:
    """A consumer whose clock is an hour ahead says where it went on: a letter that can be replayed, not nothing."""
    store = Store(migrated_database.writer)
    [mine] = await store.claim("topic", [0], "group")
    ahead = make_event(event_id=EventIds(lambda: time.time_ns() + 3600 * 10**9).next())
    await store.move_to(replace(mine, next_offset=2), encode(ahead))
    await store.close()
    [letter] = await rows(migrated_database, "SELECT reason, payload FROM audit_dead_letters")
    assert (letter["reason"], letter["payload"]) == ("out_of_range", encode(ahead))
