"""Tests of `audit.commit`: the group commit itself. What it promises is tested in `test_emit`."""

import asyncio
import os
import shutil
from contextlib import suppress
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from audit.codec import decode, encode
from audit.emit import Emitter
from audit.errors import SpoolUnavailable
from audit.limits import SpoolLimits
from audit.metrics import EmitMetrics
from audit.relay import Relay
from audit.spool.segment import LOSS, contents, segments
from tests.audit.test_relay import ListSink, stamped, until
from tests.builders.patience import PATIENCE_S
from tests.builders.spool import account, check


async def test_records_that_wait_together_share_a_sync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two hundred durable records from sixty-four tasks need far fewer than two hundred syncs."""
    emitter = Emitter(tmp_path / "p", "p")
    real, syncs = os.fdatasync, []

    def counted(fd: int) -> None:
        syncs.append(fd)
        real(fd)

    monkeypatch.setattr("audit.spool.writer.os.fdatasync", counted)
    await asyncio.gather(*(emitter.emit_durable(stamped(emitter)) for _ in range(200)))
    assert 0 < len(syncs) < 50
    await emitter.aclose()


@pytest.mark.parametrize(
    ("limits", "least", "most"), [(SpoolLimits(queue_bytes=5_000), 3, 12), (SpoolLimits(queue_records=7), 8, 8)]
)
async def test_the_queue_is_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limits: SpoolLimits, least: int, most: int
) -> None:
    """While the disk stands still the queue fills to its bound, bytes or count, and no further; refused by name."""
    registry = CollectorRegistry()
    emitter = Emitter(tmp_path / "p", "p", limits=limits, metrics=EmitMetrics(registry))
    real, blocked = os.fdatasync, asyncio.Event()
    loop = asyncio.get_running_loop()

    def stands_still(fd: int) -> None:
        asyncio.run_coroutine_threadsafe(blocked.wait(), loop).result()
        real(fd)

    monkeypatch.setattr("audit.spool.writer.os.fdatasync", stands_still)
    waiting = [emitter.emit_durable(stamped(emitter))]
    await until(lambda: emitter._commit.depth == 0)

    def fill() -> None:
        waiting.extend(emitter.emit_durable(stamped(emitter)) for _ in range(100))

    with pytest.raises(SpoolUnavailable, match="queue"):
        fill()
    assert least <= len(waiting) <= most  # and one that is being written
    await asyncio.sleep(0.01)
    assert (registry.get_sample_value("audit_queue_oldest_seconds") or 0) >= 0.01
    assert not emitter.emit(stamped(emitter))
    shown = {name: registry.get_sample_value(f"audit_queue_{name}") for name in ("depth", "bytes", "saturation_ratio")}
    assert shown["depth"] == len(waiting) - 1  # while the disk stands still, and with it whoever could have said so
    full = max((shown["bytes"] or 0) / limits.queue_bytes, (shown["depth"] or 0) / limits.queue_records)
    assert shown["saturation_ratio"] == full
    assert 0.7 < (shown["saturation_ratio"] or 0) <= 1
    assert registry.get_sample_value("audit_emit_failures_total", {"effect": "refused", "reason": "queue"}) == 1
    assert registry.get_sample_value("audit_emit_failures_total", {"effect": "shed", "reason": "queue"}) == 1
    blocked.set()
    await asyncio.gather(*waiting)
    await emitter.aclose()
    assert registry.get_sample_value("audit_queue_oldest_seconds") == 0
    assert registry.get_sample_value("audit_queue_capacity") == limits.queue_records


async def test_buffered_records_are_synced_within_a_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for it, and the sync comes all the same."""
    emitter = Emitter(tmp_path / "p", "p", limits=SpoolLimits(sync_interval_s=0.1))
    real, synced = os.fdatasync, asyncio.Event()
    loop = asyncio.get_running_loop()

    def seen(fd: int) -> None:
        real(fd)
        loop.call_soon_threadsafe(synced.set)

    monkeypatch.setattr("audit.spool.writer.os.fdatasync", seen)
    emitter.emit(stamped(emitter))
    await asyncio.wait_for(synced.wait(), PATIENCE_S)
    await emitter.aclose()


async def test_nothing_is_taken_after_close(tmp_path: Path) -> None:
    """A late record is refused, not forgotten in a queue that nobody empties."""
    emitter = Emitter(tmp_path / "p", "p")
    event = stamped(emitter)
    await emitter.aclose()
    assert not emitter.emit(event)
    with pytest.raises(SpoolUnavailable, match="closed"):
        await emitter.emit_durable(event)


async def test_a_segment_that_vanishes_is_noticed(tmp_path: Path) -> None:
    """When somebody deletes the active segment, the next records go into a new one instead of into nothing."""
    registry = CollectorRegistry()
    emitter = Emitter(tmp_path / "p", "p", metrics=EmitMetrics(registry))
    await emitter.emit_durable(stamped(emitter))
    [name] = segments(tmp_path / "p")
    (tmp_path / "p" / name.text()).unlink()

    async def noticed() -> bool:
        await emitter.emit_durable(stamped(emitter))
        return registry.get_sample_value("audit_spool_errors_total", {"op": "vanished"}) == 1

    await until(noticed)
    await emitter.emit_durable(stamped(emitter))
    assert len(segments(tmp_path / "p")) == 1
    await emitter.aclose()


async def test_a_fault_of_our_own_releases_everyone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the commit thread dies, those who wait are told, and nothing is taken any more: closed, not silent."""
    emitter = Emitter(tmp_path / "p", "p")

    def broken(*_: object) -> bytes:
        raise ZeroDivisionError

    monkeypatch.setattr("audit.journal.frame.pack", broken)
    waiting = emitter.emit_durable(stamped(emitter))
    with pytest.raises(SpoolUnavailable, match="has failed"):
        await asyncio.wait_for(waiting, PATIENCE_S)
    with pytest.raises(SpoolUnavailable, match="closed"):
        await emitter.emit_durable(stamped(emitter))
    assert not await emitter.aclose()


async def test_what_comes_soon_after_a_sync_shares_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Records that come one after the other, each as soon as the one before is kept, do not pay for a sync each."""
    emitter = Emitter(tmp_path / "p", "p", limits=SpoolLimits(gather_s=0.5))
    real, syncs = os.fdatasync, []

    def counted(fd: int) -> None:
        syncs.append(fd)
        real(fd)

    monkeypatch.setattr("audit.spool.writer.os.fdatasync", counted)
    await emitter.emit_durable(stamped(emitter))
    before = len(syncs)

    async def later(after_s: float) -> None:
        await asyncio.sleep(after_s)
        await emitter.emit_durable(stamped(emitter))

    await asyncio.gather(*(later(n / 500) for n in range(20)))
    assert len(syncs) - before <= 2
    await emitter.aclose()


async def test_a_rendered_record_is_told_of_in_its_loop(tmp_path: Path) -> None:
    """Once it is on disk; and what one who waits does wrong is told to the loop and keeps nobody else waiting."""
    emitter = Emitter(tmp_path / "p", "p")
    loop, told, faults = asyncio.get_running_loop(), [], []
    loop.set_exception_handler(lambda _, context: faults.append(context["exception"]))

    def breaks(kept: bool) -> None:
        told.append(kept)
        raise ZeroDivisionError

    for then in (breaks, told.append):
        event = stamped(emitter)
        payload = emitter.render(event)
        assert payload is not None
        emitter.emit_rendered_durable(payload, event.producer.seq, event.tenant_id, then)
    await until(lambda: len(told) == 2)
    assert told == [True, True]
    assert [type(fault) for fault in faults] == [ZeroDivisionError]
    await emitter.aclose()
    with pytest.raises(SpoolUnavailable):
        emitter.emit_rendered_durable(b"{}", 0, "acme", told.append)
    assert len(told) == 2


async def test_a_disk_that_refuses_is_told_to_who_is_called_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With `False`, and only once."""
    emitter = Emitter(tmp_path / "p", "p")
    told: list[bool] = []

    def refuses(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("audit.spool.writer.os.pwrite", refuses)
    event = stamped(emitter)
    emitter.emit_rendered_durable(encode(event), event.producer.seq, event.tenant_id, told.append)
    await until(lambda: bool(told))
    assert told == [False]
    monkeypatch.undo()
    await emitter.aclose()


async def test_a_folder_that_is_taken_away_is_not_written_to_again(tmp_path: Path) -> None:
    """Somebody removes it and another process makes it anew: we refuse, and leave the other's alone."""
    registry = CollectorRegistry()
    emitter = Emitter(tmp_path / "p", "p", metrics=EmitMetrics(registry))
    await emitter.emit_durable(stamped(emitter))
    shutil.rmtree(tmp_path / "p")
    other = Emitter(tmp_path / "p", "p")
    await other.emit_durable(stamped(other))

    async def refused() -> bool:
        try:
            await emitter.emit_durable(stamped(emitter))
        except SpoolUnavailable as exc:
            return str(exc) == "vanished"
        return False

    await until(refused)
    before = segments(tmp_path / "p")
    assert not emitter.emit(stamped(emitter))
    assert registry.get_sample_value("audit_emit_failures_total", {"effect": "shed", "reason": "vanished"}) == 1
    assert not await emitter.aclose()
    assert segments(tmp_path / "p") == before
    await other.emit_durable(stamped(other))
    assert await other.aclose()


async def test_what_stood_in_a_segment_that_vanished_is_named(tmp_path: Path) -> None:
    """Synced records of it are named as damaged; nobody is told that a record is kept which only such a file has."""
    emitter = Emitter(tmp_path / "p", "p")
    await emitter.emit_durable(stamped(emitter))
    for name in segments(tmp_path / "p"):
        (tmp_path / "p" / name.text()).unlink()
    await emitter.emit_durable(stamped(emitter))
    assert len(segments(tmp_path / "p")) == 1
    assert await emitter.aclose()
    sink = ListSink()
    assert await Relay(tmp_path, sink).flush(5)
    found = check(sink.events, tmp_path / "p", [2])
    assert list(found.named) == [(1, 1)]
    assert found.reasons == {"damaged"}


async def test_a_flood_of_shed_records_costs_a_record_a_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However often the thread turns, what was shed is named once in its time, and in pieces if it has many holes."""
    monkeypatch.setattr("audit.journal._LOSS_RANGES", 3)
    monkeypatch.setattr("audit.journal._LOSS_S", 3600.0)  # at first and at the end, however long this takes
    emitter = Emitter(tmp_path / "p", "p", limits=SpoolLimits(max_bytes=20_000, buffered_share=0.01, tenant_share=1.0))
    for _ in range(8):
        assert not emitter.emit(stamped(emitter))
        await emitter.emit_durable(stamped(emitter))
    assert await emitter.aclose()
    sink = ListSink()
    assert await Relay(tmp_path, sink).flush(5)
    found = check(sink.events, tmp_path / "p", range(2, 17, 2))
    assert found.named.count == 8
    assert 1 < len([event for event in sink.events if event.event_type == LOSS]) <= 4


async def test_nobody_takes_a_number_after_the_end(tmp_path: Path) -> None:
    """It would be neither written nor named."""
    emitter = Emitter(tmp_path / "p", "p")
    await emitter.aclose()
    with pytest.raises(SpoolUnavailable, match="closed"):
        emitter.stamp()


async def test_the_books_hold_when_a_disk_fails_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both copies of a group whose syncs failed leave the books with their segments, and no earlier."""
    emitter = Emitter(tmp_path / "p", "p")
    await emitter.emit_durable(stamped(emitter))
    real, failed = os.fdatasync, []

    def fails(fd: int) -> None:
        failed.append(fd)
        if len(failed) in {1, 3}:  # the sync, and that of the second copy; its header's is the one between
            raise OSError(5, "Input/output error")
        real(fd)

    monkeypatch.setattr("audit.spool.writer.os.fdatasync", fails)
    with pytest.raises(SpoolUnavailable, match="Input/output"):
        await emitter.emit_durable(stamped(emitter))
    await emitter.aclose()
    for name in segments(tmp_path / "p"):
        (tmp_path / "p" / name.text()).unlink()
    usage = emitter._commit._usage
    usage.keep(set())
    assert usage.total == 0


@pytest.mark.parametrize("failures", [{1}, {1, 3}])
async def test_a_loss_record_whose_sync_fails_is_said_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failures: set[int]
) -> None:
    """Written and never synced, it may be gone after a power loss: the files that were given up are not needed."""
    limits = SpoolLimits(max_bytes=20_000, buffered_share=0.001, tenant_share=1.0, sync_interval_s=60.0)
    emitter = Emitter(tmp_path / "p", "p", limits=limits)
    assert not emitter.emit(stamped(emitter))
    [first] = segments(tmp_path / "p")
    await until(lambda: bool(contents(tmp_path / "p" / first.text()).records))
    real, calls = os.fdatasync, []

    def fails(fd: int) -> None:
        calls.append(fd)
        if len(calls) in failures:
            raise OSError(5, "Input/output error")
        real(fd)

    with monkeypatch.context() as patch:
        patch.setattr("audit.spool.writer.os.fdatasync", fails)
        with suppress(SpoolUnavailable):
            await emitter.emit_durable(stamped(emitter))
    assert await emitter.aclose()
    for name in segments(tmp_path / "p")[: len(failures)]:
        (tmp_path / "p" / name.text()).unlink()
    left = [
        decode(each) for name in segments(tmp_path / "p") for each in contents(tmp_path / "p" / name.text()).records
    ]
    assert 1 in account(left).named
