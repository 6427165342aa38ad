"""A spool on a disk of three megabytes that is really full: what is refused, what goes on, and how it comes back."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from audit.emit import Emitter
from audit.errors import SpoolUnavailable
from audit.fold import FoldKey
from audit.limits import SpoolLimits
from audit.metrics import EmitMetrics
from audit.relay import Relay
from audit.spool.reserve import RESERVE_FILE
from audit.spool.segment import segments
from tests.audit.test_relay import ListSink, stamped, until
from tests.builders.audit import make_event
from tests.builders.spool import check
from tests.servers.disk import SmallDisk

ROOT = Path(__file__).parents[3]
SMALL = 200_000
HUGE = 64 << 20
"""More than the disk holds: the running segment is never closed by its size."""


def limits(segment_bytes: int = SMALL, **more: float) -> SpoolLimits:
    """A spool that may fill the whole disk."""
    return SpoolLimits(
        segment_bytes=segment_bytes,
        tenant_share=1.0,
        buffered_share=1.0,
        min_free_bytes=int(more.get("min_free_bytes", 0)),
        reserve_bytes=int(more.get("reserve_bytes", 64 << 10)),
        write_delay_s=0.002,
        gather_s=0.0,
        lock_wait_s=0.2,
    )


class Client:
    """Emits, and remembers what it was told."""

    def __init__(self, emitter: Emitter) -> None:
        self.emitter = emitter
        self.kept: list[int] = []
        self.refused: list[int] = []

    async def durable(self, note: str = "x" * 20_000) -> bool:
        """One durable record; returns whether it was kept."""
        event = stamped(self.emitter, details={"note": note})
        try:
            await self.emitter.emit_durable(event)
        except SpoolUnavailable:
            self.refused.append(event.producer.seq)
            return False
        self.kept.append(event.producer.seq)
        return True

    async def until_refused(self, note: str = "x" * 20_000) -> None:
        """Until the disk is full."""
        for _ in range(5000):
            if not await self.durable(note):
                return
        raise AssertionError("the disk never filled")


@pytest.mark.parametrize(("segment_bytes", "note"), [(SMALL, 20_000), (HUGE, 700)])
async def test_a_full_disk_drains_refuses_sheds_and_comes_back(
    small_disk: SmallDisk, segment_bytes: int, note: int
) -> None:
    """Full by our own doing, the sink away: durable is refused, buffered shed and named; drained, it works again."""
    registry = CollectorRegistry()
    folder = small_disk.path / "p"
    emitter = Emitter(folder, "p", limits=limits(segment_bytes), metrics=EmitMetrics(registry))
    client, sink = Client(emitter), ListSink()
    sink.down = True
    relay = Relay(small_disk.path, sink, backoff_max_s=0.01)
    await client.until_refused("x" * note)
    assert len(client.kept) > 100
    assert not await client.durable()
    assert emitter.emit(stamped(emitter, details={"note": "x" * 20_000}))  # into memory; the disk will not have it
    await until(
        lambda: (registry.get_sample_value("audit_emit_failures_total", {"effect": "shed", "reason": "disk"}) or 0) >= 1
    )
    sink.down = False
    assert await relay.flush(10)  # while full: everything acked is delivered and its space given back
    await until(client.durable)
    assert (folder / RESERVE_FILE).stat().st_size == 64 << 10
    assert emitter.emit(stamped(emitter))
    assert await emitter.aclose()
    assert await relay.flush(10)
    found = check(sink.events, folder, client.kept)
    assert set(client.refused) <= {number for first, last in found.named for number in range(first, last + 1)}
    assert found.reasons == {"shed"}
    assert segments(folder) == []


async def test_a_disk_that_others_fill(small_disk: SmallDisk) -> None:
    """Nothing of ours can be freed to make room: refused until they make it, and whole again by itself."""
    folder = small_disk.path / "p"
    emitter = Emitter(folder, "p", limits=limits())
    client, sink = Client(emitter), ListSink()
    relay = Relay(small_disk.path, sink)
    assert await client.durable()
    small_disk.fill()
    await client.until_refused()
    assert await relay.flush(5)
    small_disk.fill()
    assert not await client.durable()
    small_disk.relieve()
    await until(client.durable)
    assert await emitter.aclose()
    assert await relay.flush(5)
    check(sink.events, folder, client.kept)


async def test_what_stays_free_for_others(small_disk: SmallDisk) -> None:
    """`min_free_bytes`: buffered records stop at twice that, durable ones at that, and the disk is never full."""
    registry = CollectorRegistry()
    emitter = Emitter(small_disk.path / "p", "p", limits=limits(min_free_bytes=500_000), metrics=EmitMetrics(registry))
    client = Client(emitter)
    while os.statvfs(small_disk.path).f_bavail * 4096 > 1_000_000:
        assert await client.durable()
        await asyncio.sleep(0.004)
    await until(lambda: not emitter.emit(stamped(emitter)))
    assert registry.get_sample_value("audit_emit_failures_total", {"effect": "shed", "reason": "min_free"}) == 1
    for _ in range(200):
        if not await client.durable():
            break
        await asyncio.sleep(0.02)
    assert os.statvfs(small_disk.path).f_bavail * 4096 > 300_000
    assert registry.get_sample_value("audit_emit_failures_total", {"effect": "refused", "reason": "min_free"}) == 1
    await emitter.aclose()


async def test_a_stop_on_a_full_disk_ends_its_epoch(small_disk: SmallDisk) -> None:
    """The reserve has room for the loss record and the end mark: the successor finds nothing to explain."""
    folder = small_disk.path / "p"
    emitter = Emitter(folder, "p", limits=limits(HUGE))
    client, sink = Client(emitter), ListSink()
    await client.until_refused()
    assert await emitter.aclose()
    assert await Relay(small_disk.path, sink, adopt_after_s=3600.0).flush(5)
    found = check(sink.events, folder, client.kept)
    assert found.reasons == {"shed"}


async def test_the_reserve_is_for_last_words(small_disk: SmallDisk) -> None:
    """Others fill the disk, and only then there is much to say: a loss record of several pages, and the end mark."""
    folder = small_disk.path / "p"
    emitter = Emitter(folder, "p", limits=limits(HUGE))
    for _ in range(700):
        emitter.stamp()  # taken, and never emitted
        emitter.emit(stamped(emitter))
    assert await Client(emitter).durable()
    small_disk.fill()
    assert await emitter.aclose()
    small_disk.relieve()
    sink = ListSink()
    assert await Relay(small_disk.path, sink, adopt_after_s=3600.0).flush(5)
    found = check(sink.events, folder, range(2, 1401, 2))
    assert (found.named.count, found.reasons) == (700, {"unwritten"})


async def test_killed_on_a_full_disk(small_disk: SmallDisk) -> None:
    """A successor starts on the full disk, says what is missing, and drains; nothing acked is lost."""
    folder = small_disk.path / "child"
    child = subprocess.Popen(  # noqa: ASYNC220  # it is killed before anything else happens
        [sys.executable, "-m", "tests.audit.child", str(folder), "durable", "until-refused"],
        stdout=subprocess.PIPE,
        cwd=ROOT,
    )
    assert child.stdout is not None
    said = []
    for line in child.stdout:
        said.append(line.split())
        if said[-1][0] == b"refused":
            break
    os.kill(child.pid, signal.SIGKILL)
    said += [line.split() for line in child.stdout.read().splitlines(keepends=True) if line.endswith(b"\n")]
    child.stdout.close()
    child.wait()
    small_disk.fill()
    kept = [int(words[1]) for words in said if words[0] == b"acked"]
    assert kept
    successor = Emitter(folder, "child", limits=limits(HUGE))
    sink = ListSink()
    assert await Relay(small_disk.path, sink).flush(10)
    taken = max(int(words[1]) for words in said)
    found = check(sink.events, folder, kept, taken=max(taken, successor.predecessor_lost.last))
    assert not successor.predecessor_lost.without(found.named)
    small_disk.relieve()
    await until(Client(successor).durable)
    await successor.aclose()


@pytest.mark.parametrize("leave", [*range(0, 8 * 4096, 4096)])
@pytest.mark.parametrize("kills", [1, 2])
async def test_killed_again_and_again_where_others_take_every_page(
    small_disk: SmallDisk, leave: int, kills: int
) -> None:
    """Whatever the reserve was needed for before: a successor always finds room to say how the epoch ended."""
    folder = small_disk.path / "p"
    kept: list[int] = []
    emitter = Emitter(folder, "p", limits=limits(HUGE))
    first = Client(emitter)
    assert await first.durable()
    small_disk.fill(100_000 + leave)
    await first.until_refused("x" * 3000)
    kept += first.kept
    for _ in range(kills):
        assert not await first.durable()
        os.close(emitter._lock)  # as the end of the process does
        small_disk.fill()
        emitter = Emitter(folder, "p", limits=limits(HUGE))
        first = Client(emitter)
    small_disk.relieve()
    sink = ListSink()
    assert await Relay(small_disk.path, sink).flush(10)
    await until(first.durable)
    assert await emitter.aclose()
    assert await Relay(small_disk.path, sink).flush(10)
    assert {event.producer.seq for event in sink.events if event.producer.epoch < emitter.epoch} >= set(kept)


def shed(registry: CollectorRegistry) -> float:
    """How many buffered records were, whatever the reason."""
    samples = [sample for metric in registry.collect() for sample in metric.samples]
    failures = [each for each in samples if each.name == "audit_emit_failures_total"]
    return sum(each.value for each in failures if each.labels["effect"] == "shed")


async def test_folded_refusals_stay_counted_on_a_full_disk(small_disk: SmallDisk) -> None:
    """A hundred strangers, forty of them while the disk is full: sixty stand in a record, forty in a loss record."""
    folder = small_disk.path / "p"
    registry = CollectorRegistry()
    emitter = Emitter(folder, "p", limits=limits(), metrics=EmitMetrics(registry))
    key = FoldKey("token_invalid", "10.0.0.0/24", "")

    def refuse(times: int) -> None:
        for _ in range(times):
            emitter.emit_folded(
                key, None, lambda stamp: make_event(event_id=stamp.event_id, producer=stamp.producer, trace_id=None)
            )
        emitter.emit_due(everything=True)

    refuse(60)
    await Client(emitter).durable()
    small_disk.fill()
    await Client(emitter).until_refused()
    refuse(40)
    await until(lambda: shed(registry) == 1)  # the group with the fold has met the full disk
    small_disk.relieve()
    assert await emitter.aclose()
    sink = ListSink()
    assert await Relay(small_disk.path, sink).flush(5)
    found = check(sink.events, folder, [])
    counted = sum(event.aggregate.count for event in sink.events if event.aggregate is not None)
    assert (counted, found.folded) == (60, 40)


@pytest.mark.parametrize("leave", [*range(0, 24 * 4096, 4096)])
async def test_every_page_the_disk_may_run_out_at(small_disk: SmallDisk, leave: int) -> None:
    """From nothing to a hundred kilobytes free: opening fails in words, or everything afterwards is accounted for."""
    small_disk.fill(leave)
    folder = small_disk.path / "p"
    sink = ListSink()
    relay = Relay(small_disk.path, sink, adopt_after_s=0.0)
    try:
        emitter = Emitter(folder, "p", limits=limits(20_000, reserve_bytes=16 << 10))
    except SpoolUnavailable as exc:
        assert "No space left" in str(exc)  # noqa: PT017  # either is right
        small_disk.relieve()
        await Emitter(folder, "p", limits=limits()).aclose()
        return
    client = Client(emitter)
    for turn in range(12):
        if turn % 3:
            await client.durable("x" * 3000)
        else:
            emitter.emit(stamped(emitter))
    clean = await emitter.aclose()
    await relay.flush(2)
    if not clean:
        os.close(emitter._lock)  # as the end of the process does
        small_disk.relieve()
        await relay.flush(5)
    check(sink.events, folder, client.kept)


async def test_a_disk_that_turns_read_only(small_disk: SmallDisk) -> None:
    """Durable records are refused in words, nothing hangs, and writing goes on when the disk is writable again."""
    folder = small_disk.path / "p"
    emitter = Emitter(folder, "p", limits=limits())
    client = Client(emitter)
    await client.durable()
    await emitter.aclose()
    small_disk.remount("ro")
    with pytest.raises(SpoolUnavailable, match="Read-only"):
        Emitter(folder, "p", limits=limits())
    small_disk.remount("rw")
    again = Emitter(folder, "p", limits=limits())
    assert await Client(again).durable()
    await again.aclose()
