"""How soon an edit is in force in all workers, and what clients notice: run `python load/live.py`, on a quiet machine.

A real gateway with two workers. Each round writes a policy file; it is in force when every worker has acknowledged it.
Then the loop: the longest turn while the shipped policies are built, in a plain thread and as a worker does. ADR 0110
and 0111 quote it.
"""

import asyncio
import contextlib
import gc
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

import uvloop

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from gateway.aside import aside  # noqa: E402 - after the path
from gateway.serve.leavings import Leavings  # noqa: E402
from gateway.snapshot import Snapshot, build_snapshot  # noqa: E402
from policies.model import Answer, Effect  # noqa: E402
from tests.builders import plane  # noqa: E402
from tests.builders.holds import longest_call, spin, worst_turn_s  # noqa: E402
from tests.gateway.supervisor.process import Gateway, sections, started  # noqa: E402
from tests.gateway.supervisor.test_reload import policies as copied  # noqa: E402
from tests.servers.upstream import upstream  # noqa: E402

ROUNDS = 20
CALLER = {"authorization": f"Bearer {plane.token()}"}
NOWHERE = "postgresql://nobody:nothing@127.0.0.1:9/none"
CLOSED = '@id("closed")\n@reason("measured")\nforbid (principal, action == Action::"order:create", resource);\n'


def spread(seconds: list[float]) -> dict[str, float]:
    """Median and worst, in milliseconds."""
    return {"median_ms": round(statistics.median(seconds) * 1e3, 2), "worst_ms": round(max(seconds) * 1e3, 2)}


async def in_force(gateway: Gateway, times: int, since: float) -> float:
    """Seconds until the log says that all workers have acknowledged so many sets."""
    while gateway.log.count("sources_installed") < times:  # noqa: ASYNC110 - what is measured is a log line
        await asyncio.sleep(0.005)
    return time.monotonic() - since


async def calling(gateway: Gateway, waits: list[float], stop: asyncio.Event) -> None:
    """One client that never stops asking."""
    while not stop.is_set():
        began = time.perf_counter()
        answer = await gateway.public.get("/orders", headers=CALLER)
        if answer.status_code != 200:
            raise AssertionError(answer.text)
        waits.append(time.perf_counter() - began)


async def edits() -> dict[str, object]:
    """A gateway whose policies are edited again and again, without and with a client."""
    found: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        policies = copied(folder)
        async with upstream() as service:
            configuration = sections(folder, NOWHERE, service.port, policies={"folder": str(policies)})
            async with started(configuration, folder) as gateway:
                await gateway.until("workers", lambda: _serves(gateway))
                for case, clients in (("quiet", 0), ("with_a_client", 1)):
                    stop, waits = asyncio.Event(), list[float]()
                    took = []
                    async with asyncio.TaskGroup() as tasks:
                        for _ in range(clients):
                            tasks.create_task(calling(gateway, waits, stop))
                        for number in range(ROUNDS):
                            seen = gateway.log.count("sources_installed")
                            began = time.monotonic()
                            _edit(policies / "closed.cedar", f"{case} {number}")
                            took.append(await in_force(gateway, seen + 1, began))
                        stop.set()
                    found[case] = spread(took) | ({"requests": len(waits), "request": spread(waits)} if waits else {})
                await gateway.stop()
    return found


def _edit(file: Path, mark: str) -> None:
    file.write_text(CLOSED.replace("measured", mark))


async def _serves(gateway: Gateway) -> bool:
    with contextlib.suppress(Exception):
        return (await gateway.public.get("/orders", headers=CALLER)).status_code == 200
    return False


async def turns() -> dict[str, object]:
    """The longest turn of a busy loop while a snapshot is built beside it."""
    sources = plane.sources(9)
    found: dict[str, object] = {}

    def build() -> None:
        build_snapshot(sources)

    variants = {
        "plain_thread": (asyncio.to_thread, build),
        "aside": (aside, build),
        "smallest_steps": (aside, lambda: spin(0.035)),
    }
    turns: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(ROUNDS):
        for name, (run, work) in variants.items():
            turns[name].append(await worst_turn_s(work, run))
    found.update({name: spread(seconds) for name, seconds in turns.items()})
    seconds, name = min(longest_call(build) for _ in range(5))
    return {**found, "longest_call": {"ms": round(seconds * 1e3, 2), "of": name}}


def freeing() -> dict[str, object]:
    """A full snapshot freed at once, and in slices; the loop's own processor time."""
    gc.disable()
    at_once, slices = [], []
    for _ in range(5):
        kept = [_full()]
        began = time.thread_time()
        kept.clear()
        at_once.append(time.thread_time() - began)
        leavings = Leavings()
        leavings.add(_full())
        worst = 0.0
        while leavings:
            began = time.thread_time()
            leavings.free()
            worst = max(worst, time.thread_time() - began)
        slices.append(worst)
    gc.enable()
    return {"at_once": spread(at_once), "longest_slice": spread(slices)}


def _full() -> Snapshot:
    snapshot = build_snapshot(plane.sources(9))
    for number in range(50_000):
        snapshot.decisions.memory[number.to_bytes(300, "big")] = Answer(Effect.ALLOW, (f"order.{number}",))
    return snapshot


async def main() -> None:
    """Print everything as JSON."""
    print(json.dumps({"in_force": await edits(), "longest_turn": await turns(), "freeing": freeing()}, indent=2))


if __name__ == "__main__":
    uvloop.run(main())
