"""Every call to the disk fails once, each in its turn, at the start, in the middle, at the end: nothing goes unsaid."""

import asyncio
import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from audit.emit import Emitter
from audit.errors import SpoolUnavailable
from audit.limits import SpoolLimits
from audit.relay import Relay
from tests.audit.test_relay import ListSink, stamped
from tests.builders.spool import check

LIMITS = SpoolLimits(
    segment_bytes=6_000,
    write_delay_s=0.0,
    gather_s=0.0,
    sync_interval_s=0.005,
    min_free_bytes=0,
    reserve_bytes=4096,
    lock_wait_s=0.2,
)
CALLS = ("open", "pwrite", "fdatasync", "fsync", "ftruncate", "unlink", "posix_fallocate")


class Fault:
    """A call of the operating system that fails from its n-th time on, so many times."""

    def __init__(self, real: Callable[..., Any], folder: Path, nth: int, times: int, error: int) -> None:
        self.count = 0
        self._real = real
        self._folder = folder
        self._failing = range(nth, nth + times)
        self._error = error

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Fail, or do it."""
        target = Path(f"/proc/self/fd/{args[0]}").resolve() if isinstance(args[0], int) else os.fspath(args[0])
        if str(target).startswith(str(self._folder)):
            self.count += 1
            if self.count in self._failing:
                raise OSError(self._error, os.strerror(self._error))
        return self._real(*args, **kwargs)


@contextmanager
def failing(call: str, folder: Path, nth: int, times: int = 1, error: int = errno.EIO) -> Iterator[Fault]:
    """Patch one call of `os`."""
    with pytest.MonkeyPatch.context() as patch:
        fault = Fault(getattr(os, call), folder, nth, times, error)
        patch.setattr(os, call, fault)
        yield fault


class Run:
    """One life of a producer under a fault, and what it was promised, by epoch."""

    def __init__(self) -> None:
        self.taken: dict[int, int] = {}
        self.kept: dict[int, list[int]] = {}

    def live(self, folder: Path) -> None:
        """Open, emit durable and buffered records over a few segments, stop."""
        try:
            emitter = Emitter(folder, "p", limits=LIMITS)
        except SpoolUnavailable:
            return
        kept = self.kept.setdefault(emitter.epoch, [])
        for turn in range(9):
            event = stamped(emitter, details={"note": "x" * 1000})
            self.taken[emitter.epoch] = event.producer.seq
            if turn % 3 == 2:
                emitter.emit(event)
                continue
            try:
                emitter.emit_and_wait(event, 5)
            except SpoolUnavailable:
                continue
            kept.append(event.producer.seq)
        if not emitter.close(5):
            os.close(emitter._lock)  # as the end of the process does


async def one(folder: Path, call: str, nth: int, times: int, error: int) -> int:
    """A run with a fault, one without; then everything must be delivered or named. Returns how often it was called."""
    run = Run()
    with failing(call, folder, nth, times, error) as fault:
        await asyncio.to_thread(run.live, folder / "p")
        if fault.count < nth:
            return fault.count
    await asyncio.to_thread(run.live, folder / "p")
    sink = ListSink()
    assert await Relay(folder, sink).flush(5)
    for epoch, taken in run.taken.items():
        check(sink.events, folder / "p", run.kept[epoch], epoch=epoch, taken=taken)
    return fault.count


@pytest.mark.parametrize("call", CALLS)
async def test_a_call_that_fails_costs_no_promise(tmp_path: Path, call: str) -> None:
    """Each call of a producer's life in turn, with a full disk and with an error, once and three times in a row."""
    for times, error in ((1, errno.ENOSPC), (3, errno.EIO)):
        nth = 1
        while True:
            folder = tmp_path / f"{error}-{times}-{nth}"
            folder.mkdir()
            if await one(folder, call, nth, times, error) < nth:
                break
            nth += 1
        assert nth > 1, f"{call} was never called"
