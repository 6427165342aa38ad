"""Producers that are killed one after the other over one folder; started by a test, as a process without threads.

    python -m tests.audit.killed <folder> <times> <seed>

Each producer is forked from this process, so that a kill costs milliseconds and not an interpreter's start. It is
killed with SIGKILL between 1 and 30 ms after its start, or after its first ack: while it opens the folder, adopts what
its predecessor left, writes, syncs, begins a segment. Prints one JSON object: the numbers that were acked and the
number last taken, by epoch.
"""

import asyncio
import json
import os
import random
import select
import signal
import sys
import time
from pathlib import Path

from audit.emit import Emitter
from audit.limits import SpoolLimits
from audit.spool.folder import peek
from tests.audit.test_relay import stamped

_LIMITS = SpoolLimits(segment_bytes=12_000, write_delay_s=0.001, gather_s=0.0, sync_interval_s=0.005, lock_wait_s=5.0)
_TASKS = 4


async def emit(folder: Path, said: int) -> None:
    """Emit for ever, durable and buffered in turns; what was acked goes into a pipe."""
    emitter = Emitter(folder, "child", limits=_LIMITS)

    async def one(turn: int) -> None:
        while True:
            turn += 1
            event = stamped(emitter)
            if turn % 2:
                emitter.emit(event)
                await asyncio.sleep(0)
            else:
                await emitter.emit_durable(event)
                os.write(said, f"{emitter.epoch} {event.producer.seq}\n".encode())

    await asyncio.gather(*(one(turn) for turn in range(_TASKS)))


def kill_one(folder: Path, after_s: float, *, when_working: bool) -> list[tuple[int, int]]:
    """Start one, kill it so long after its start or after its first ack, return what it said."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        asyncio.run(emit(folder, writing))
        os._exit(1)
    os.close(writing)
    if when_working:
        select.select([reading], [], [], 10.0)
    time.sleep(after_s)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    with os.fdopen(reading, "rb") as pipe:
        lines = pipe.read().splitlines(keepends=True)
    return [(int(epoch), int(seq)) for epoch, seq in (line.split() for line in lines if line.endswith(b"\n"))]


def main(folder: Path, times: int, seed: int) -> None:
    """Kill so many."""
    chance = random.Random(seed)  # where to kill, not a secret
    acked: dict[int, list[int]] = {}
    taken: dict[int, int] = {}
    for turn in range(times):
        for epoch, seq in kill_one(folder, chance.uniform(0.001, 0.03), when_working=turn % 2 == 1):
            acked.setdefault(epoch, []).append(seq)
        view = peek(folder)
        if view is not None:
            taken[view.epoch] = view.seq
    sys.stdout.write(json.dumps({"acked": acked, "taken": taken}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
