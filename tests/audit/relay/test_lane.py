"""Tests of `audit.relay.lane`: each sink for itself, whatever the others do."""

import asyncio
import errno
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import structlog
from prometheus_client import CollectorRegistry

from audit.errors import SpoolUnavailable
from audit.metrics import RelayMetrics
from audit.relay import Relay
from audit.relay.folders import Folders
from audit.relay.relay import Beside
from audit.spool import reader as reader_module
from audit.spool.reader import Batch, FolderReader
from audit.spool.segment import LOSS, segments
from tests.audit.test_relay import ListSink, until
from tests.builders.spools import spooled


class Named(ListSink):
    """A sink of that name, which can also hang or break."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        self.hang = False
        self.broken = False
        self.free = asyncio.Event()

    async def deliver(self, records: Sequence[bytes]) -> None:
        """See `Sink`."""
        if self.broken:
            raise ValueError("a fault of ours")
        if self.hang:
            await self.free.wait()
        await super().deliver(records)

    @property
    def numbers(self) -> dict[str, list[int]]:
        """Sequence numbers by producer, in the order they came."""
        found: dict[str, list[int]] = {}
        for event in self.events:
            found.setdefault(event.producer.id, []).append(event.producer.seq)
        return found


@asynccontextmanager
async def running(relay: Relay) -> AsyncIterator[Relay]:
    """Relay meanwhile. Afterwards nothing of it runs: a cancelled step leaves its thread, as no dead process does."""
    loop, threads = asyncio.get_running_loop(), ThreadPoolExecutor()
    loop.set_default_executor(threads)
    task = asyncio.ensure_future(relay.run())
    try:
        yield relay
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        threads.shutdown()
        loop.set_default_executor(ThreadPoolExecutor())


def sample(metrics: RelayMetrics, name: str, sink: str) -> float:
    """A metric of a sink."""
    metric: Any = getattr(metrics, name)
    return float(metric.labels(sink)._value.get())


async def test_a_dead_sink_holds_up_no_other(tmp_path: Path) -> None:
    """One refuses, one hangs, one has a fault: the main one and the good one get everything; nothing is unlinked."""
    spooled(tmp_path, "p", 200, segment_bytes=20_000)
    main, good, dead, hung, broken = (Named(name) for name in ("store", "good", "dead", "hung", "broken"))
    dead.down = hung.hang = broken.broken = True
    beside = [Beside(sink, None) for sink in (good, dead, hung, broken)]
    relay = Relay(tmp_path, main, beside=beside, backoff_max_s=0.05)
    with structlog.testing.capture_logs():
        async with running(relay):
            await until(lambda: len(main.records) == len(good.records) == 200)
            before = len(segments(tmp_path / "p"))
            assert before > 3, "the others still need it"
            status = {each.sink: each for each in relay.statuses()}
            assert status["dead"].last_error == "down"
            assert status["broken"].last_error == "ValueError"
            dead.down = broken.broken = False
            hung.free.set()
            await until(lambda: len(dead.records) == len(hung.records) == len(broken.records) == 200)
            await until(lambda: segments(tmp_path / "p") == [])
    for sink in (main, good, dead, hung, broken):
        assert sink.numbers == {"p": list(range(1, 201))}


async def test_the_main_sink_away_holds_up_none_beside_it(tmp_path: Path) -> None:
    """And keeps everything for itself; a fault of ours in it ends the relay, for then nothing is recorded."""
    spooled(tmp_path, "p", 50)
    main, other = Named("store"), Named("ndjson")
    main.down = True
    async with running(Relay(tmp_path, main, beside=[Beside(other, 1000)], backoff_max_s=0.05)):
        await until(lambda: len(other.records) == 50)
    assert len(segments(tmp_path / "p")) == 1
    main.broken = True
    with pytest.raises(ExceptionGroup):
        await Relay(tmp_path, main).run()


async def test_each_goes_on_at_its_own_cursor(tmp_path: Path) -> None:
    """After a restart nobody is given anything twice, and what one lacks is still there."""
    spooled(tmp_path, "p", 60, segment_bytes=8_000)
    main, other = Named("store"), Named("ndjson")
    other.down = True
    assert await Relay(tmp_path, main, beside=[Beside(other, 1 << 20)], batch_records=25).flush(10)
    again, late = Named("store"), Named("ndjson")
    assert await Relay(tmp_path, again, beside=[Beside(late, 1 << 20)]).flush(10)
    assert (main.numbers["p"], again.numbers, late.numbers["p"]) == (list(range(1, 61)), {}, list(range(1, 61)))
    assert segments(tmp_path / "p") == []


async def test_a_sink_that_is_no_longer_configured_holds_nothing(tmp_path: Path) -> None:
    """Its cursor is still there; the segments it lacked go at the next look."""
    spooled(tmp_path, "p", 60, segment_bytes=8_000)
    main, other = Named("store"), Named("ndjson")
    other.down = True
    assert await Relay(tmp_path, main, beside=[Beside(other, 1 << 20)]).flush(10)
    assert len(segments(tmp_path / "p")) > 2
    async with running(Relay(tmp_path, Named("store"))):
        await until(lambda: segments(tmp_path / "p") == [])


async def test_a_new_sink_begins_with_what_is_on_disk(tmp_path: Path) -> None:
    """The oldest record there is, whatever the others have had."""
    spooled(tmp_path, "p", 30, ended=False)
    main = Named("store")
    relay = Relay(tmp_path, main, adopt_after_s=100)
    assert await relay.flush(10)
    new = Named("new")
    assert await Relay(tmp_path, Named("store"), beside=[Beside(new, 1 << 20)], adopt_after_s=100).flush(10)
    assert new.numbers == {"p": list(range(1, 31))}


async def test_a_sink_too_far_behind_is_moved_on_and_what_it_missed_is_named(tmp_path: Path) -> None:
    """Oldest first, no more than must be; told, counted, and the rest arrives when it is back."""
    spooled(tmp_path, "p", 300, segment_bytes=10_000, ended=False)
    metrics = RelayMetrics(CollectorRegistry())
    main, other = Named("store"), Named("ndjson")
    other.down = True
    told: list[dict[str, Any]] = []

    async def tell(details: dict[str, Any]) -> None:
        if not told and relay.lanes[1].failures < 3:
            raise SpoolUnavailable("full")
        told.append(details)

    relay = Relay(
        tmp_path,
        main,
        beside=[Beside(other, 50_000)],
        batch_records=7,
        backoff_max_s=0.05,
        adopt_after_s=100,
        metrics=metrics,
    )
    relay.tell(tell)
    with structlog.testing.capture_logs() as logs:
        async with running(relay):
            await until(lambda: len(main.records) == 300)
            await until(lambda: len(told) > 5)
            held = sum((tmp_path / "p" / name.text()).stat().st_size for name in segments(tmp_path / "p"))
            assert 40_000 < held < 70_000, "as much as the bound, and the open segment"
            other.down = False
            await until(lambda: bool(other.records) and other.numbers["p"][-1] == 300)
    named = {n for details in told for first, last in details["missing"] for n in range(first, last + 1)}
    assert named | set(other.numbers["p"]) == set(range(1, 301))
    assert not named & set(other.numbers["p"])
    assert sum(details["count"] for details in told) == len(named) == sample(metrics, "sink_skipped", "ndjson")
    for details in told:
        assert (details["sink"], details["producer"], details["epoch"]) == ("ndjson", "p", 1)
        assert details["from"] <= details["until"]
    assert [entry for entry in logs if entry["event"] == "audit_sink_skipped"]
    assert sample(metrics, "sink_up", "ndjson") == 1


async def test_what_was_missed_is_told_by_the_next_if_this_one_dies_before(tmp_path: Path) -> None:
    """It stands in the cursor until it is recorded."""
    spooled(tmp_path, "p", 100, segment_bytes=10_000, ended=False)
    other = Named("ndjson")
    other.down = True
    with structlog.testing.capture_logs():
        async with running(Relay(tmp_path, Named("store"), beside=[Beside(other, 1)], backoff_max_s=0.05)):
            cursor = tmp_path / "p" / "cursor-ndjson.json"
            await until(lambda: cursor.exists() and b'"missing"' in cursor.read_bytes())
    told: list[dict[str, Any]] = []

    async def tell(details: dict[str, Any]) -> None:
        told.append(details)

    back = Named("ndjson")
    relay = Relay(tmp_path, Named("store"), beside=[Beside(back, 1 << 20)])
    relay.tell(tell)

    def missed() -> list[int]:
        return [n for details in told for first, last in details["missing"] for n in range(first, last + 1)]

    async with running(relay):
        await until(lambda: len(back.records) + len(missed()) >= 100)
    assert missed() + back.numbers["p"] == list(range(1, 101))


async def test_a_dead_sink_does_not_hold_folders_it_has_never_read(tmp_path: Path) -> None:
    """Made while it was dead with a batch in hand: its bound holds for them as for the others."""
    spooled(tmp_path, "p", 10)
    main, other = Named("store"), Named("ndjson")
    other.down = True
    relay = Relay(tmp_path, main, beside=[Beside(other, 20_000)], backoff_max_s=0.05)

    def held(name: str) -> int:
        total = 0
        for each in segments(tmp_path / name):
            with suppress(FileNotFoundError):  # unlinked in this moment
                total += (tmp_path / name / each.text()).stat().st_size
        return total

    with structlog.testing.capture_logs():
        async with running(relay):
            await until(lambda: relay.lanes[1].failures >= 1)
            spooled(tmp_path, "q", 100, segment_bytes=10_000)
            await until(lambda: main.numbers.get("q", []) == list(range(1, 101)))
            await until(lambda: held("q") <= 20_000)
            assert 0 < held("p") <= 20_000, "its batch is in hand still"


async def test_a_fault_of_ours_while_reading_passes_nothing_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was read before it, of other folders and this one, is read again; also where the disk fails half-way."""
    for name in ("a", "b", "c"):
        spooled(tmp_path, name, 60, segment_bytes=8_000)
    read, header = FolderReader.read, reader_module.read_header
    calls = {"read": 0, "header": 0}

    def faulty(self: FolderReader, max_records: int, max_bytes: int) -> Batch | None:
        calls["read"] += 1
        if calls["read"] % 5 == 0:
            raise ValueError("a fault of ours")
        return read(self, max_records, max_bytes)

    def failing(path: Path) -> Any:
        calls["header"] += 1
        if calls["header"] % 2:
            raise OSError(5, "Input/output error")
        return header(path)

    monkeypatch.setattr(FolderReader, "read", faulty)
    monkeypatch.setattr(reader_module, "read_header", failing)
    main, other = Named("store"), Named("ndjson")
    main.hang = True
    relay = Relay(tmp_path, main, beside=[Beside(other, None)], batch_records=30, backoff_max_s=0.01)
    lane = asyncio.ensure_future(relay.lanes[1].run())
    with structlog.testing.capture_logs():
        await until(
            lambda: {name: set(got) for name, got in other.numbers.items()} == {n: set(range(1, 61)) for n in "abc"}
        )
    lane.cancel()
    await asyncio.gather(lane, return_exceptions=True)
    assert calls["header"] > 3
    assert other.numbers == {name: list(range(1, 61)) for name in "abc"}


async def test_a_required_sink_is_never_moved_on(tmp_path: Path) -> None:
    """It holds the spool, as the main one does."""
    spooled(tmp_path, "p", 100, segment_bytes=10_000)
    other = Named("ndjson")
    other.down = True
    relay = Relay(tmp_path, Named("store"), beside=[Beside(other, None)], backoff_max_s=0.02)
    assert not await relay.flush(2.5)
    assert relay.lanes[1].failures > 3
    other.down = False
    assert await relay.flush(10)
    assert other.numbers["p"] == list(range(1, 101))


async def test_a_dead_sink_that_is_not_required_makes_no_stop_longer(tmp_path: Path) -> None:
    """One try, and its records stay on disk."""
    spooled(tmp_path, "p", 10)
    other = Named("ndjson")
    other.down = True
    began = asyncio.get_running_loop().time()
    assert await Relay(tmp_path, Named("store"), beside=[Beside(other, 1 << 20)]).flush(30)
    assert asyncio.get_running_loop().time() - began < 5
    assert segments(tmp_path / "p") != []


async def test_a_damaged_segment_is_set_aside_once_and_every_sink_is_told_the_same(tmp_path: Path) -> None:
    """One loss with one id, counted once."""
    folder = spooled(tmp_path, "p", 9)
    [name] = segments(folder)
    data = bytearray((folder / name.text()).read_bytes())
    data[len(data) // 2] ^= 0xFF
    (folder / name.text()).write_bytes(bytes(data))
    metrics = RelayMetrics(CollectorRegistry())
    main, other = Named("store"), Named("ndjson")
    with structlog.testing.capture_logs() as logs:
        assert await Relay(tmp_path, main, beside=[Beside(other, 1 << 20)], metrics=metrics).flush(10)
    assert main.records == other.records
    [loss] = [event for event in main.events if event.event_type == LOSS]
    assert loss.details is not None
    assert loss.details["count"] == 1
    assert metrics.quarantined._value.get() == 1
    assert metrics.lost.labels("damaged")._value.get() == 1
    assert [entry["event"] for entry in logs].count("audit_segment_set_aside") == 1
    assert [path.suffix for path in folder.glob("*seg*")] == [".quarantine"]


async def test_what_was_read_ahead_outlives_a_step_that_was_cancelled(tmp_path: Path) -> None:
    """A cancelled step is taken up by the next one: nothing is passed over, nothing comes out of order."""
    spooled(tmp_path, "p", 400)
    sink = Named("store")
    relay = Relay(tmp_path, sink, batch_records=10)
    for turn in range(400):
        if sink.numbers and sink.numbers["p"][-1] == 400:
            break
        step = asyncio.ensure_future(relay.step())
        await asyncio.sleep(0.0005 * (turn % 5))
        step.cancel()
        await asyncio.gather(step, return_exceptions=True)
    assert await relay.flush(10)
    seen = list(dict.fromkeys(sink.numbers["p"]))
    assert seen == list(range(1, 401))


async def test_a_worker_with_a_large_backlog_starves_no_other(tmp_path: Path) -> None:
    """While one has thousands, what ten others write arrives with the next batches, in equal parts."""
    spooled(tmp_path, "big", 5_000, group=500)
    sink = Named("store")
    relay = Relay(tmp_path, sink, batch_records=100)
    for _ in range(3):
        await relay.step()
    for at in range(10):
        spooled(tmp_path, f"small{at}", 50, group=50)
    before = len(sink.records)
    while sum(len(sink.numbers.get(f"small{at}", ())) for at in range(10)) < 500:
        await relay.step()
    came = Counter(event.producer.id for event in sink.events[before:])
    assert came["big"] < 700, "the large one got its share, and no more"
    assert await relay.flush(10)
    assert sink.numbers["big"] == list(range(1, 5_001))


async def test_a_folder_that_cannot_be_read_stops_no_other(tmp_path: Path) -> None:
    """A counter that is a folder: said once, the others go on, and nothing of it is unlinked until it is well."""
    spooled(tmp_path, "good", 20)
    bad = spooled(tmp_path, "bad", 5)
    (bad / "counter").rename(tmp_path / "kept")
    (bad / "counter").mkdir()
    (bad / "cursor-main.json").write_text('{"epoch":1,"n":1,"offset":0}')
    (spooled(tmp_path, "odd", 5) / "cursor-main.json").mkdir()  # counts as none
    sink = Named("store")
    with structlog.testing.capture_logs() as logs:
        relay = Relay(tmp_path, sink)
        for _ in range(20):
            await relay.step()
    assert sink.numbers["good"] == list(range(1, 21))
    assert sink.numbers["odd"] == [1, 2, 3, 4, 5]
    assert segments(bad) != []
    assert len([entry for entry in logs if entry["event"] == "audit_spool_unreadable"]) == 1
    (bad / "counter").rmdir()
    (tmp_path / "kept").rename(bad / "counter")
    assert await relay.flush(10)
    assert sink.numbers["bad"] == [1, 2, 3, 4, 5]


async def test_the_next_batch_is_read_while_the_sink_has_this_one(tmp_path: Path) -> None:
    """One ahead and no more."""
    spooled(tmp_path, "p", 100)
    sink = Named("store")
    sink.hang = True
    relay = Relay(tmp_path, sink, batch_records=20)
    step = asyncio.ensure_future(relay.step())
    ways = relay.main._ways
    await until(lambda: len(ways.pending) == 2)
    sink.free.set()
    await step
    assert len(sink.records) == 19, "with the segment's header"
    assert len(ways.pending) == 1
    assert await relay.flush(10)
    assert sink.numbers["p"] == list(range(1, 101))


async def test_a_sink_that_takes_too_long_has_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside the main one; the batch comes again."""
    spooled(tmp_path, "p", 5)
    main, other = Named("store"), Named("ndjson")
    other.hang = True
    relay = Relay(tmp_path, main, beside=[Beside(other, 1 << 20)], deliver_s=0.1, backoff_max_s=0.02)
    async with running(relay):
        await until(lambda: relay.lanes[1].failures >= 2)
        assert relay.lanes[1].last_error == "ndjson: no answer in 0.1 s"
        other.hang = False
        await until(lambda: len(other.records) == 5)


async def test_gauges_say_how_far_behind_each_is(tmp_path: Path) -> None:
    """By sink; the age grows while it waits."""
    spooled(tmp_path, "p", 50)
    metrics = RelayMetrics(CollectorRegistry())
    main, other = Named("store"), Named("ndjson")
    other.down = True
    async with running(Relay(tmp_path, main, beside=[Beside(other, 1 << 20)], backoff_max_s=0.02, metrics=metrics)):
        await until(lambda: sample(metrics, "sink_lag_bytes", "ndjson") > 10_000)
        await until(lambda: sample(metrics, "sink_oldest_seconds", "ndjson") > 0.1)
        assert (sample(metrics, "sink_up", "store"), sample(metrics, "sink_up", "ndjson")) == (1, 0)
        other.down = False
        await until(lambda: sample(metrics, "sink_lag_bytes", "ndjson") == 0)
        await until(lambda: sample(metrics, "sink_oldest_seconds", "ndjson") == 0)
        assert sample(metrics, "sink_up", "ndjson") == 1
        assert sample(metrics, "relayed", "ndjson") == sample(metrics, "relayed", "store") == 50


async def test_a_spool_that_cannot_be_looked_through_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Too many open files for a moment: no lane ends, the main one neither, and nothing is passed over."""
    spooled(tmp_path, "p", 5)
    main, other = Named("store"), Named("ndjson")
    other.broken = True
    relay = Relay(tmp_path, main, beside=[Beside(other, 1 << 20)], backoff_max_s=0.02)

    def fails(_self: Folders) -> list[str]:
        raise OSError(errno.EMFILE, "Too many open files")

    with structlog.testing.capture_logs():
        async with running(relay):
            await until(lambda: len(main.records) == 5 and relay.lanes[1].failures >= 1)
            with monkeypatch.context() as patched:
                patched.setattr(Folders, "_find", fails)
                await until(lambda: relay.main.failures >= 3)
                assert relay.main.last_error == "store: the spool cannot be read: Too many open files"
                assert not relay.main.caught_up
                await asyncio.sleep(1.1)  # the house is kept meanwhile
            spooled(tmp_path, "q", 5)
            other.broken = False
            await until(lambda: len(main.records) == len(other.records) == 10)
