"""What a buffered emit costs the request's way, beside what others ask for handing a line to a thread.

    python load/emit.py [--rounds 15] [--records 20000] [--folder DIR]

Contenders take turns within each round, so that a noisy neighbour hurts each alike. A burst is 100 calls, as a loop's
turn is; what is printed is the median burst, in microseconds a call. The disk's thread works meanwhile and takes its
part of the interpreter. `--profile` says where the time of a plain emit goes instead.
"""

import argparse
import cProfile
import gc
import logging
import logging.handlers
import os
import pstats
import queue
import shutil
import statistics
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

import msgspec  # noqa: E402  # the path comes first

from audit.codec import encode  # noqa: E402  # the path comes first
from audit.emit import Emitter  # noqa: E402
from audit.event import AuditEvent  # noqa: E402
from audit.limits import SpoolLimits  # noqa: E402
from audit.redact import WriteRedactor  # noqa: E402
from tests.builders.audit import make_event  # noqa: E402

BURST = 100
LIMITS = SpoolLimits(max_bytes=8 << 30)


def bursts(call: Callable[[int], object], records: int, pause_s: float = 0.0005) -> float:
    """The median burst, microseconds a call."""
    clock, found = time.perf_counter_ns, []
    for first in range(0, records, BURST):
        began = clock()
        for index in range(first, first + BURST):
            call(index)
        found.append(clock() - began)
        if pause_s:
            time.sleep(pause_s)  # a loop has other things to do, and the thread gets its turn
    return statistics.median(found) / BURST / 1e3


@contextmanager
def opened(folder: Path, *, redact: bool = True) -> Iterator[Emitter]:
    """An emitter as a worker has it."""
    emitter = Emitter(folder / "bench", "bench", limits=LIMITS, redactor=WriteRedactor({}) if redact else None)
    try:
        yield emitter
    finally:
        emitter.close()


def events(emitter: Emitter, records: int) -> list[AuditEvent]:
    """Typical decisions, stamped."""
    stamps = [emitter.stamp() for _ in range(records)]
    return [make_event(event_id=stamp.event_id, producer=stamp.producer) for stamp in stamps]


def plain(folder: Path, records: int) -> float:
    """`emit` of an event's values: redactor asked, encoded, taken."""
    with opened(folder) as emitter:
        made = events(emitter, records)
        return bursts(lambda index: emitter.emit(made[index]), records)


def with_input(folder: Path, records: int) -> float:
    """The same of a decision that carries what Cedar was given: the redactor goes through its keys."""
    with opened(folder) as emitter:
        made = [msgspec.structs.replace(event, input=INPUT) for event in events(emitter, records)]
        return bursts(lambda index: emitter.emit(made[index]), records)


def saturated(folder: Path, records: int) -> float:
    """A plain emit with no pause between bursts: caller and thread share one interpreter."""
    with opened(folder) as emitter:
        made = events(emitter, records)
        return bursts(lambda index: emitter.emit(made[index]), records, pause_s=0.0)


def plain_stamped(folder: Path, records: int) -> float:
    """The same with id and number."""
    with opened(folder) as emitter:

        def call(_: int) -> None:
            stamp = emitter.stamp()
            emitter.emit(make_event_of(stamp.event_id, stamp.producer))

        return bursts(call, records)


def make_event_of(event_id: str, producer: object) -> AuditEvent:
    """As the builder, without its clock."""
    return msgspec.structs.replace(EVENT, event_id=event_id, producer=producer)


def rendered(folder: Path, records: int) -> float:
    """`emit_rendered` of ready bytes: the gateway's way for a ruling it knows."""
    with opened(folder) as emitter:
        numbers = [emitter.number(int(time.time() * 1e3)) for _ in range(records)]
        return bursts(lambda index: emitter.emit_rendered(PAYLOAD, numbers[index], "acme"), records)


def number_and_rendered(folder: Path, records: int) -> float:
    """The same with its number."""
    with opened(folder) as emitter:
        at_ms = int(time.time() * 1e3)
        return bursts(lambda _: emitter.emit_rendered(PAYLOAD, emitter.number(at_ms), "acme"), records)


def stamped(folder: Path, records: int) -> float:
    """An id and a number; the numbers are reported as never emitted."""
    with opened(folder) as emitter:
        return bursts(lambda _: emitter.stamp(), records)


def encoded(_: Path, records: int) -> float:
    """The event's bytes alone."""
    return bursts(lambda _: encode(EVENT), records)


def appended(_: Path, records: int) -> float:
    """The floor: the event's bytes into a deque, nothing else."""
    kept: deque[bytes] = deque(maxlen=10_000)
    return bursts(lambda _: kept.append(encode(EVENT)), records)


def logged(folder: Path, records: int) -> float:
    """`logging` with a QueueHandler: what a service does that hands its lines to a thread which writes them."""
    lines: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()
    target = logging.FileHandler(folder / "lines.log")
    listener = logging.handlers.QueueListener(lines, target)  # type: ignore[arg-type]
    logger = logging.getLogger("load.emit")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    handler = logging.handlers.QueueHandler(lines)  # type: ignore[arg-type]
    logger.addHandler(handler)
    listener.start()
    try:
        return bursts(lambda _: logger.info("%s", encode(EVENT)), records)
    finally:
        listener.stop()
        logger.removeHandler(handler)
        target.close()


EVENT = make_event()
PAYLOAD = encode(EVENT)
INPUT = {
    "principal": {"uid": {"type": "User", "id": "u-1"}, "attrs": {"roles": ["Staff"], "tenant": "acme", "level": 3}},
    "resource": {"uid": {"type": "Order", "id": "o-1"}, "attrs": {"tenant": "acme", "status": "open", "total": 4200}},
    "context": {"now": "2026-11-23T15:00:00.000Z", "ip": "10.0.0.1", "mfa": True, "channel": "web"},
    "schema_version": "abc",
}
CONTENDERS: dict[str, Callable[[Path, int], float]] = {
    "deque, encoding": appended,
    "encoding alone": encoded,
    "logging.QueueHandler, encoding": logged,
    "stamp": stamped,
    "emit": plain,
    "emit, with Cedar's input": with_input,
    "emit, no pauses": saturated,
    "stamp, make, emit": plain_stamped,
    "emit_rendered": rendered,
    "number, emit_rendered": number_and_rendered,
}


def profile(records: int) -> None:
    """Where a plain emit spends its time."""
    folder = Path(tempfile.mkdtemp(prefix="lychgate-emit-"))
    try:
        with opened(folder) as emitter:
            made = events(emitter, records)
            found = cProfile.Profile()
            found.enable()
            for event in made:
                emitter.emit(event)
            found.disable()
        pstats.Stats(found).sort_stats("tottime").print_stats(12)
    finally:
        shutil.rmtree(folder)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--records", type=int, default=5_000)
    parser.add_argument("--folder", type=Path, default=None)
    parser.add_argument("--profile", action="store_true")
    asked = parser.parse_args()
    if asked.profile:
        profile(asked.records)
        return
    found: dict[str, list[float]] = {name: [] for name in CONTENDERS}
    for _ in range(asked.rounds):
        for name, contender in CONTENDERS.items():
            folder = Path(tempfile.mkdtemp(prefix="lychgate-emit-", dir=asked.folder))
            gc.collect()
            try:
                found[name].append(contender(folder, asked.records))
            finally:
                shutil.rmtree(folder)
    print(f"{len(PAYLOAD)}-byte records, {asked.rounds} rounds, load {os.getloadavg()[0]:.1f}; median (least) in us")
    for name, rounds in found.items():
        print(f"{name:32} {statistics.median(rounds):6.2f} ({min(rounds):.2f})")


if __name__ == "__main__":
    main()
