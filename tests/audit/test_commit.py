"""Tests of `audit.commit`: the group commit itself. What it promises is tested in `test_emit`."""

import asyncio
import os
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from audit.emit import Emitter
from audit.errors import SpoolUnavailable
from audit.limits import SpoolLimits
from audit.metrics import EmitMetrics
from audit.spool.segment import segments
from tests.audit.test_relay import stamped, until


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


async def test_the_queue_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the disk stands still the queue fills to its bound and no further; then records are refused by name."""
    registry = CollectorRegistry()
    limits = SpoolLimits(queue_bytes=5_000)
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
    assert 3 <= len(waiting) <= 12
    assert not emitter.emit(stamped(emitter))
    assert registry.get_sample_value("audit_refused_total", {"reason": "queue"}) == 1
    assert registry.get_sample_value("audit_shed_total", {"reason": "queue"}) == 1
    blocked.set()
    await asyncio.gather(*waiting)
    await emitter.aclose()


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
    await asyncio.wait_for(synced.wait(), 2)
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

    monkeypatch.setattr("audit.commit.frame.pack", broken)
    waiting = emitter.emit_durable(stamped(emitter))
    with pytest.raises(SpoolUnavailable, match="has failed"):
        await asyncio.wait_for(waiting, 5)
    with pytest.raises(SpoolUnavailable, match="closed"):
        await emitter.emit_durable(stamped(emitter))
    assert not await emitter.aclose()
