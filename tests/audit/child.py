"""A process that emits and says what it was promised; started by tests that kill it.

    python child.py <folder> <durable|buffered>

Prints one line for each record: `number` when it was taken, `acked` when it was durable, `emitted` when it was handed
over. Killing it at any moment must lose nothing that it has said was acked.
"""

import asyncio
import sys
from pathlib import Path

from audit.emit import Emitter
from audit.limits import SpoolLimits
from tests.builders.audit import make_event

_TASKS = 8


async def main(folder: Path, guarantee: str) -> None:
    """Emit for ever."""
    emitter = Emitter(folder, "child", limits=SpoolLimits(segment_bytes=20_000))

    async def one() -> None:
        while True:
            stamp = emitter.stamp()
            seq = stamp.producer.seq
            sys.stdout.write(f"number {seq}\n")
            event = make_event(event_id=stamp.event_id, producer=stamp.producer)
            if guarantee == "durable":
                await emitter.emit_durable(event)
                sys.stdout.write(f"acked {seq}\n")
            else:
                emitter.emit(event)
                sys.stdout.write(f"emitted {seq}\n")
                await asyncio.sleep(0)
            sys.stdout.flush()

    async with asyncio.TaskGroup() as group:
        for _ in range(_TASKS):
            group.create_task(one())


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
