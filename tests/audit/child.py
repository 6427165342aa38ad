"""A process that emits and says what it was promised; started by tests that kill it.

    python child.py <folder> <durable|buffered> [until-refused]

Prints one line for each record: `number` when it was taken, `acked` when it was durable, `emitted` when it was handed
over, `refused` when the spool would not have it. Killing it at any moment must lose nothing that it has said was acked.
With `until-refused` records are large, and a task stops at its first refusal.
"""

import asyncio
import sys
from pathlib import Path

from audit.emit import Emitter
from audit.errors import SpoolUnavailable
from audit.limits import SpoolLimits
from tests.builders.audit import make_event

_TASKS = 8


async def main(folder: Path, guarantee: str, *, until_refused: bool) -> None:
    """Emit for ever."""
    limits = SpoolLimits(segment_bytes=20_000)
    if until_refused:
        limits = SpoolLimits(tenant_share=1.0, min_free_bytes=0)
    emitter = Emitter(folder, "child", limits=limits)
    details = {"note": "x" * 10_000} if until_refused else None

    async def one() -> None:
        while True:
            stamp = emitter.stamp()
            seq = stamp.producer.seq
            sys.stdout.write(f"number {seq}\n")
            event = make_event(event_id=stamp.event_id, producer=stamp.producer, details=details)
            if guarantee == "durable":
                try:
                    await emitter.emit_durable(event)
                except SpoolUnavailable:
                    sys.stdout.write(f"refused {seq}\n")
                    sys.stdout.flush()
                    return
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
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2], until_refused="until-refused" in sys.argv))
