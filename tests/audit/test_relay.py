"""Tests of `audit.relay`: from the spool of one process into a real store, through everything that can go wrong."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path

import asyncpg
import msgspec

from audit.emit import Emitter
from audit.errors import SinkUnavailable
from audit.event import AuditEvent
from audit.limits import SpoolLimits
from audit.relay import Relay
from audit.relay.ways import REGISTERED_MS
from audit.sinks import StoreSink, Watermark
from audit.spool.folder import peek
from audit.spool.segment import segments
from audit.store import Store
from tests.builders.audit import make_event
from tests.builders.patience import PATIENCE_S
from tests.servers.postgres import Logins


class ListSink:
    """A sink of our own port: keeps what it is given, fails when told."""

    name = "list"

    def __init__(self) -> None:
        self.records: list[bytes] = []
        self.marks: list[Watermark] = []
        self.down = False
        self.attempts = 0

    async def deliver(self, records: Sequence[bytes]) -> None:
        """See `Sink`."""
        self.attempts += 1
        if self.down:
            raise SinkUnavailable("down")
        self.records += records

    async def report(self, marks: Sequence[Watermark]) -> None:
        """See `Sink`."""
        if self.down:
            raise SinkUnavailable("down")
        self.marks += marks

    async def ping(self) -> None:
        """See `Sink`."""

    async def close(self) -> None:
        """See `Sink`."""

    @property
    def events(self) -> list[AuditEvent]:
        """What it was given, decoded."""
        return [msgspec.json.decode(payload, type=AuditEvent) for payload in self.records]


async def until(condition: Callable[[], bool | Awaitable[bool]], within_s: float = PATIENCE_S) -> None:
    """Poll until a condition holds."""
    deadline = time.monotonic() + within_s
    while True:
        held = condition()
        if held if isinstance(held, bool) else await held:
            return
        assert time.monotonic() < deadline, "the condition did not come true in time"
        await asyncio.sleep(0.01)


def stamped(emitter: Emitter, **fields: object) -> AuditEvent:
    """An event of this emitter."""
    stamp = emitter.stamp()
    return make_event(event_id=stamp.event_id, producer=stamp.producer, **fields)


async def test_what_is_emitted_becomes_rows(tmp_path: Path, migrated_database: Logins) -> None:
    """Buffered and durable records of two producers arrive in the store, once, while the producers go on."""
    one, two = Emitter(tmp_path / "one", "one"), Emitter(tmp_path / "two", "two")
    store = Store(migrated_database.writer)
    relay = Relay(tmp_path, StoreSink(store))
    task = asyncio.ensure_future(relay.run())
    for _ in range(50):
        one.emit(stamped(one))
        await two.emit_durable(stamped(two))
    connection = await asyncpg.connect(migrated_database.owner)

    async def arrived() -> bool:
        return await connection.fetchval("SELECT count(*) FROM audit_events") == 100  # type: ignore[no-any-return]

    await until(arrived)
    await one.aclose()
    await two.aclose()
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert await relay.flush(5)
    assert segments(tmp_path / "one") == []
    producers = await connection.fetch("SELECT producer_id, ended FROM audit_producers ORDER BY 1")
    assert [tuple(row.values()) for row in producers] == [("one", True), ("two", True)]
    await connection.close()
    await store.close()


async def test_a_sink_that_is_down_costs_nothing(tmp_path: Path) -> None:
    """While the sink is down records wait on disk; when it is back they arrive in order, and the pause was used."""
    emitter = Emitter(tmp_path / "p", "p")
    sink = ListSink()
    sink.down = True
    relay = Relay(tmp_path, sink, backoff_max_s=0.05)
    task = asyncio.ensure_future(relay.run())
    for _ in range(10):
        await emitter.emit_durable(stamped(emitter))
    await until(lambda: sink.attempts >= 3)
    assert relay.status().failures >= 2
    assert relay.status().last_error == "down"
    sink.down = False
    await until(lambda: len(sink.records) >= 10)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    await emitter.aclose()
    assert [event.producer.seq for event in sink.events] == list(range(1, 11))


async def test_finished_segments_give_their_space_back(tmp_path: Path) -> None:
    """Small segments are unlinked as they are delivered; the active one stays until the epoch ends."""
    limits = SpoolLimits(segment_bytes=2000, write_delay_s=0.0)
    emitter = Emitter(tmp_path / "p", "p", limits=limits)
    sink = ListSink()
    relay = Relay(tmp_path, sink, batch_records=3)
    for _ in range(40):
        await emitter.emit_durable(stamped(emitter))
    assert len(segments(tmp_path / "p")) > 10
    assert await relay.flush(10)
    assert len(sink.records) == 40
    assert len(segments(tmp_path / "p")) == 1
    await emitter.aclose()
    assert await relay.flush(10)
    assert segments(tmp_path / "p") == []


async def test_a_restarted_relay_goes_on_where_it_was(tmp_path: Path) -> None:
    """The cursor is kept on disk; without it everything that is still there is delivered again, and nothing is lost."""
    emitter = Emitter(tmp_path / "p", "p")
    first, second, third = ListSink(), ListSink(), ListSink()
    for _ in range(5):
        await emitter.emit_durable(stamped(emitter))
    assert await Relay(tmp_path, first).flush(5)
    for _ in range(5):
        await emitter.emit_durable(stamped(emitter))
    assert await Relay(tmp_path, second).flush(5)
    assert [event.producer.seq for event in second.events] == [6, 7, 8, 9, 10]
    (tmp_path / "p" / "cursor-list.json").write_bytes(b"{")
    assert await Relay(tmp_path, third).flush(5)
    assert len(third.records) == 10
    await emitter.aclose()
    assert await Relay(tmp_path, third).flush(5)


async def test_watermarks_follow_what_was_delivered(tmp_path: Path) -> None:
    """A producer's watermark never passes a number that was taken and not emitted, and ends with the epoch."""
    emitter = Emitter(tmp_path / "p", "p")
    sink = ListSink()
    relay = Relay(tmp_path, sink)
    held = emitter.stamp()
    held_ms = int(held.event_id[:8] + held.event_id[9:13], 16)
    await emitter.emit_durable(stamped(emitter))

    async def reported() -> bool:
        await relay.flush(5)
        return any(mark.at_ms > 0 for mark in sink.marks)

    await until(reported)
    await asyncio.sleep(0.7)  # beyond a heartbeat: the floor has had time to pass the number, if it would
    await relay.flush(5)
    assert max(mark.at_ms for mark in sink.marks) <= held_ms
    emitter.emit(make_event(event_id=held.event_id, producer=held.producer))

    async def passed() -> bool:
        await relay.flush(5)
        return sink.marks[-1].at_ms > held_ms

    await until(passed)
    assert not sink.marks[-1].ended
    await emitter.aclose()
    await relay.flush(5)
    assert sink.marks[-1].ended
    assert (sink.marks[-1].producer, sink.marks[-1].epoch) == ("p", emitter.epoch)


async def test_a_new_producer_is_seen_at_once_and_in_the_first_report_after_it(tmp_path: Path) -> None:
    """Else the others' watermarks could pass its first events before anyone knew of it."""
    old = Emitter(tmp_path / "old", "old")
    sink = ListSink()
    relay = Relay(tmp_path, sink)
    assert await relay.flush(5)
    new = Emitter(tmp_path / "new", "new")
    await new.emit_durable(stamped(new))
    await relay.step()
    assert [event.producer.id for event in sink.events] == ["new"]
    sink.marks.clear()
    await relay.flush(5)
    assert {mark.producer: mark.at_ms > 0 for mark in sink.marks}.get("new")
    await old.aclose()
    await new.aclose()


async def test_a_watermark_goes_on_under_a_load_that_never_lets_up(tmp_path: Path) -> None:
    """There is always something more on disk, and readers are told all the same how far it is delivered."""
    emitter = Emitter(tmp_path / "p", "p")
    sink = ListSink()
    relay = Relay(tmp_path, sink, batch_records=50)
    told: list[int] = []
    for _ in range(60):
        for _ in range(100):  # twice as much as is delivered
            emitter.emit(stamped(emitter))
        await emitter.emit_durable(stamped(emitter))  # all of it is on disk
        await asyncio.sleep(0.03)
        assert await relay.step(), "it has caught up: this tests nothing"
        relay.main._reported_at = -1e9
        told = [mark.at_ms for mark in sink.marks]
    assert len(set(told)) > 2
    assert told == sorted(told)
    delivered = {event.event_id for event in sink.events}
    assert await relay.flush(20)
    late = [event.event_id for event in sink.events if event.event_id not in delivered]
    assert min(int(each[:8] + each[9:13], 16) for each in late) >= told[-1]
    await emitter.aclose()


async def test_a_producer_with_a_backlog_is_known_from_its_first_batch(tmp_path: Path) -> None:
    """The store waits for it before its backlog has passed, and not only then."""
    emitter = Emitter(tmp_path / "p", "p")
    for _ in range(30):
        await emitter.emit_durable(stamped(emitter))
    sink = ListSink()
    relay = Relay(tmp_path, sink, batch_records=10)
    while not sink.records:
        assert await relay.step()
    assert 0 < len(sink.records) <= 10
    [mark] = sink.marks
    assert (mark.producer, mark.epoch, mark.at_ms, mark.ended) == ("p", emitter.epoch, 1, False)
    await emitter.aclose()


async def test_what_does_not_move_is_reported_all_the_same(tmp_path: Path) -> None:
    """A producer that waits for a number it has taken lives; one that has ended is reported once."""
    held, ended = Emitter(tmp_path / "held", "held"), Emitter(tmp_path / "ended", "ended")
    await held.emit_durable(stamped(held))
    held.stamp()
    await ended.aclose()
    sink = ListSink()
    relay = Relay(tmp_path, sink)
    assert await relay.flush(10)
    for _ in range(3):
        relay.main._reported_at = -1e9
        await relay.step()
    by_name = {name: [mark for mark in sink.marks if mark.producer == name] for name in ("held", "ended")}
    assert len(by_name["held"]) >= 4
    assert len([mark for mark in by_name["ended"] if mark.ended]) == 1
    await held.aclose()


async def test_a_watermark_stays_behind_the_look_for_folders(tmp_path: Path) -> None:
    """However long a look takes: who came after it is not among those that are waited for yet."""
    looked_ns = time.time_ns()
    emitter = Emitter(tmp_path / "p", "p")
    await emitter.emit_durable(stamped(emitter))
    sink = ListSink()
    relay = Relay(tmp_path, sink, now_ns=lambda: looked_ns)  # the look began then, and the counter is read much later
    await until(lambda: (view := peek(tmp_path / "p")) is not None and view.floor_ms > looked_ns // 1_000_000)
    assert await relay.flush(5)
    assert max(mark.at_ms for mark in sink.marks) == looked_ns // 1_000_000 - REGISTERED_MS
    await emitter.aclose()
