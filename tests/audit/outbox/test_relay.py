"""What empties an outbox: exactly once in the store, whoever dies when."""
# ruff: noqa: S608 - the table's name is ours

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from audit.errors import OutboxUnusable
from audit.metrics import IngestMetrics
from audit.outbox.install import quoted
from audit.sinks import StoreSink
from audit.store import Store
from tests.builders.aged import ask
from tests.builders.outbox import PRODUCER, SCHEMA, WHO, Collecting, Shop
from tests.builders.patience import PATIENCE_S
from tests.servers.postgres import Logins

WITHIN_S = PATIENCE_S
TABLE = f"{quoted(SCHEMA)}.audit_outbox"
CHILD = Path(__file__).with_name("hanging.py")


async def until(true: Callable[[], bool]) -> None:
    """Wait for something."""
    deadline = time.monotonic() + WITHIN_S
    while not true():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


async def sold(shop: Shop, count: int) -> list[str]:
    """Events of so many changes."""
    async with shop.connected() as connection:
        return [await shop.sell(connection, f"o-{number}") for number in range(count)]


async def test_rows_are_delivered_in_order_and_then_gone(shop: Shop) -> None:
    """In batches, also by bytes; every row carries the producer and a number of its own."""
    ids = await sold(shop, 25)
    sink = Collecting()
    relaying = shop.emptied_by(sink, batch_records=10)
    assert await relaying.drain() == 25
    assert [event.event_id for event in sink.events] == ids
    assert sink.batches == [10, 10, 5]
    assert {event.producer.id for event in sink.events} == {PRODUCER}
    assert len({event.producer.seq for event in sink.events}) == 25
    assert await shop.rows() == []
    assert relaying.counted("audit_outbox_relayed_total") == 25
    await sold_more(shop)
    small = shop.emptied_by(sink, batch_bytes=1)
    assert await small.drain() == 3
    assert sink.batches[-3:] == [1, 1, 1]
    await relaying.relay.close()
    await small.relay.close()


async def sold_more(shop: Shop) -> None:
    """Three more."""
    async with shop.connected() as connection:
        for number in range(3):
            await shop.sell(connection, f"more-{number}")


async def test_a_sink_that_is_away_keeps_every_row(shop: Shop) -> None:
    """They are offered again; the locks are given back meanwhile, and how far it is stands in the metrics."""
    await sold(shop, 3)
    sink = Collecting()
    sink.away = True
    relaying = shop.emptied_by(sink)
    for _ in range(3):
        assert await relaying.relay.step() == 1
    assert relaying.counted("audit_outbox_failures_total", of="sink") == 3
    assert (relaying.counted("audit_outbox_pending"), len(await shop.rows())) == (3, 3)
    assert relaying.counted("audit_outbox_oldest_seconds") > 0
    async with shop.connected(shop.relay) as other:  # nobody holds them
        assert len(await other.fetch(f"SELECT FROM {TABLE} FOR UPDATE NOWAIT")) == 3
    sink.away = False
    assert await relaying.drain() == 3
    assert relaying.counted("audit_outbox_pending") == 0
    await relaying.relay.close()


async def test_it_is_well_while_it_gets_on(shop: Shop) -> None:
    """With rows or without; what readiness is told by does not move while nothing is taken."""
    sink = Collecting()
    relaying = shop.emptied_by(sink)
    made_at = relaying.relay.well_at
    await relaying.drain()
    idle_at = relaying.relay.well_at
    assert idle_at > made_at
    await sold(shop, 1)
    sink.away = True
    await relaying.relay.step()
    assert relaying.relay.well_at == idle_at
    sink.away = False
    await relaying.drain()
    assert relaying.relay.well_at > idle_at
    await relaying.relay.close()


async def test_a_sink_that_does_not_answer_has_failed(shop: Shop) -> None:
    """Its rows are given back after a while."""
    await sold(shop, 1)
    sink = Collecting()
    sink.holds = asyncio.Event()
    relaying = shop.emptied_by(sink, deliver_s=0.05)
    assert await relaying.relay.step() == 1
    assert relaying.counted("audit_outbox_failures_total", of="sink") == 1
    assert len(await shop.rows()) == 1
    await relaying.relay.close()


async def test_two_relays_share_an_outbox_and_deliver_each_row_once(shop: Shop) -> None:
    """What one has locked the other skips, and does not wait for."""
    ids = await sold(shop, 40)
    one, two = Collecting(), Collecting()
    one.holds = asyncio.Event()
    first, second = shop.emptied_by(one, batch_records=10), shop.emptied_by(two, batch_records=10)
    async with asyncio.timeout(WITHIN_S), asyncio.TaskGroup() as tasks:
        held = tasks.create_task(first.relay.step())
        await one.entered.wait()
        assert await second.drain() == 30
        one.holds.set()
    assert held.result() == 10
    assert sorted(event.event_id for event in [*one.events, *two.events]) == ids
    assert await shop.rows() == []
    await first.relay.close()
    await second.relay.close()


async def test_rows_that_are_no_events_hold_nobody_up(shop: Shop) -> None:
    """They are set apart with a word, counted, and offered again when somebody says so."""
    ids = await sold(shop, 2)
    async with shop.connected() as connection:
        await connection.execute(f"INSERT INTO {TABLE} (body) VALUES ('{{}}'), ('nonsense')")
    more = await sold_last(shop)
    sink = Collecting()
    relaying = shop.emptied_by(sink)
    assert await relaying.drain() == 5
    assert [event.event_id for event in sink.events] == [*ids, more]
    assert [row["refused"] for row in await shop.rows()] == ["malformed", "malformed"]
    assert relaying.counted("audit_outbox_refused_total", reason="malformed") == 2
    assert (relaying.counted("audit_outbox_refused_pending"), relaying.counted("audit_outbox_pending")) == (2, 0)
    await relaying.relay.close()


async def sold_last(shop: Shop) -> str:
    """One more."""
    async with shop.connected() as connection:
        return await shop.sell(connection, "last")


async def test_a_row_the_sink_fails_on_is_found_among_the_others(shop: Shop) -> None:
    """One by one; but where it fails on all, it is the sink, and no row is given up."""
    ids = await sold(shop, 5)
    sink = Collecting()
    sink.broken = b'"o-3"'
    relaying = shop.emptied_by(sink)
    await relaying.drain()
    assert [event.event_id for event in sink.events] == [*ids[:3], ids[4]]
    assert [row["refused"] for row in await shop.rows()] == ["sink"]
    await sold_more(shop)
    sink.broken = b"order"
    assert await relaying.relay.step() == 1
    assert relaying.counted("audit_outbox_failures_total", of="sink") == 1
    assert len([row for row in await shop.rows() if row["refused"] is None]) == 3
    await relaying.relay.close()


async def test_a_commit_wakes_the_relay(shop: Shop) -> None:
    """It need not look every moment."""
    sink = Collecting()
    relaying = shop.emptied_by(sink, poll_interval_s=1000.0)
    task = asyncio.ensure_future(relaying.relay.run())
    try:
        await until(lambda: relaying.relay._connection is not None and relaying.counted("audit_outbox_pending") == 0)
        await asyncio.sleep(0.1)  # it waits now
        await sold(shop, 1)
        await until(lambda: len(sink.events) == 1)
    finally:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_the_watermark_waits_for_whoever_may_still_commit(shop: Shop) -> None:
    """It passes no row that is not delivered, nor a transaction that is open; and it goes on when they are over."""
    sink = Collecting()
    relaying = shop.emptied_by(sink)
    async with shop.connected() as slow, shop.connected() as quick:
        opened = slow.transaction()
        await opened.start()
        event_id = await shop.outbox.emit(slow, "a.b.c", action="order:update", **WHO)
        id_ms = int(event_id[:8] + event_id[9:13], 16)
        for number in range(5):
            await asyncio.sleep(0.005)
            await shop.sell(quick, f"q-{number}")
            await relaying.drain()
        assert len(sink.events) == 5
        assert all(mark.at_ms <= id_ms for mark in sink.marks)
        await opened.commit()
    sink.away = True
    for _ in range(3):
        await relaying.relay.step()
    assert all(mark.at_ms <= id_ms for mark in sink.marks)
    sink.away = False
    await relaying.drain()
    deadline = time.monotonic() + WITHIN_S
    while not sink.marks or sink.marks[-1].at_ms <= id_ms:
        assert time.monotonic() < deadline
        await relaying.relay.step()
        await asyncio.sleep(0.01)
    assert {(mark.producer, mark.ended) for mark in sink.marks} == {(PRODUCER, False)}
    await relaying.relay.close()


async def test_the_watermark_waits_for_rows_that_are_not_delivered(shop: Shop) -> None:
    """Whoever has them in hand: what is visible and there has not arrived."""
    [event_id] = await sold(shop, 1)
    id_ms = int(event_id[:8] + event_id[9:13], 16)
    sink = Collecting()
    relaying = shop.emptied_by(sink)
    connection, life = await relaying.relay._ready()
    deadline = time.monotonic() + WITHIN_S
    while len(sink.marks) < 3:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)
        await relaying.relay._report(connection, life)
    assert all(mark.at_ms <= id_ms for mark in sink.marks)
    assert relaying.counted("audit_outbox_pending") == 1
    assert relaying.counted("audit_outbox_oldest_seconds") > 0
    await relaying.drain()
    while sink.marks[-1].at_ms <= id_ms:
        assert time.monotonic() < deadline
        await relaying.relay.step()
    await relaying.relay.close()


async def test_a_database_that_goes_away_is_waited_for(shop: Shop) -> None:
    """The connection is made anew, and the listener with it."""
    sink = Collecting()
    relaying = shop.emptied_by(sink)
    await relaying.drain()
    async with shop.connected(shop.owner) as owner:
        await owner.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename LIKE 'relay_%'"
            " AND datname = current_database()"
        )
    await sold(shop, 1)
    await until_drained(relaying, sink)
    await relaying.relay.close()


async def until_drained(relaying: object, sink: Collecting) -> None:
    """Relay until the one row is there."""
    deadline = time.monotonic() + WITHIN_S
    while not sink.events:
        assert time.monotonic() < deadline
        await relaying.relay.step()  # type: ignore[attr-defined]


async def test_without_an_outbox_or_with_another_release_s_nothing_is_done(database: str, shop: Shop) -> None:
    """It is said, not guessed at."""
    async with shop.connected(shop.owner) as owner:
        await owner.execute(f"UPDATE {TABLE}_life SET version = 99")
    relaying = shop.emptied_by(Collecting())
    with pytest.raises(OutboxUnusable, match="version"):
        await relaying.relay.step()
    await relaying.relay.close()
    async with shop.connected(shop.owner) as owner:
        await owner.execute(f"DROP TABLE {TABLE}_life")
    absent = shop.emptied_by(Collecting())
    with pytest.raises(OutboxUnusable, match="no outbox"):
        await absent.relay.step()
    await absent.relay.close()


async def test_a_relay_killed_between_delivering_and_removing_costs_nothing(
    shop: Shop, migrated_database: Logins
) -> None:
    """The rows are delivered again, equal to the byte: each event is in the store once, and none is a conflict."""
    ids = await sold(shop, 30)
    child = subprocess.Popen(  # noqa: ASYNC220 - it is killed, not awaited
        [sys.executable, str(CHILD), shop.relay, SCHEMA, migrated_database.writer],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
    )
    assert child.stdout is not None
    try:
        assert await asyncio.to_thread(child.stdout.readline) == b"delivered\n"
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdout.close()
    count = "SELECT count(*) FROM audit_events"
    assert [row["count"] for row in await ask(migrated_database.owner, count)] == [10]
    assert len(await shop.rows()) == 30
    registry = CollectorRegistry()
    sink = StoreSink(Store(migrated_database.writer, metrics=IngestMetrics(registry)))
    relaying = shop.emptied_by(sink)
    deadline = time.monotonic() + WITHIN_S
    while await shop.rows():  # the server notices the dead connection in a moment
        assert time.monotonic() < deadline
        await relaying.drain()
    await relaying.relay.close()
    await sink.close()
    stored = await ask(migrated_database.owner, "SELECT event_id::text FROM audit_events ORDER BY event_id")
    assert [row["event_id"] for row in stored] == ids
    assert registry.get_sample_value("audit_duplicates_total") == 10
    assert await ask(migrated_database.owner, "SELECT FROM audit_conflicts") == []


async def test_the_store_s_completeness_counts_on_the_outbox(shop: Shop, migrated_database: Logins) -> None:
    """What readers are told is complete includes every event that was committed, and moves on."""
    sink = StoreSink(Store(migrated_database.writer))
    relaying = shop.emptied_by(sink)
    event_id = (await sold(shop, 1))[0]
    deadline = time.monotonic() + WITHIN_S
    passed = "SELECT audit_complete_through() > to_timestamp($1::float8) AS passed"
    at_s = int(event_id[:8] + event_id[9:13], 16) / 1000
    while not (await ask(migrated_database.owner, passed, at_s))[0]["passed"]:
        assert time.monotonic() < deadline
        await relaying.relay.step()
    found = await ask(migrated_database.owner, "SELECT event_id::text FROM audit_events")
    assert [row["event_id"] for row in found] == [event_id]
    await relaying.relay.close()
    await sink.close()
