"""How fast is the spool: our append log against rotated SQLite segments, and what an emit costs its caller.

    python load/spool.py [--rounds 5] [--folder DIR]

Rounds of all contenders are interleaved, so that a noisy neighbour hurts each alike; medians are printed and kept in
`load/results/spool.json` with machine and commit. The folder must be on the disk in question: a tmpfs syncs for free.
"""

import argparse
import asyncio
import json
import os
import platform
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from audit.codec import encode  # noqa: E402  # the path comes first
from audit.emit import Emitter  # noqa: E402
from audit.limits import SpoolLimits  # noqa: E402
from audit.redact import WriteRedactor  # noqa: E402
from audit.spool import frame  # noqa: E402
from audit.spool.reader import FolderReader  # noqa: E402
from audit.spool.writer import SegmentWriter  # noqa: E402
from tests.builders.audit import make_event  # noqa: E402

SEGMENT_BYTES = 64 << 20
PAYLOAD = encode(make_event())
Measured = tuple[float, float]
"""Wall seconds and CPU seconds."""


def timed(work: Callable[[], None]) -> Measured:
    """Run once."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def append_log(folder: Path, records: int, group: int) -> Measured:
    """Our segments: frames, one write and one fdatasync a group."""
    writer = SegmentWriter(folder, "bench", 1, segment_bytes=SEGMENT_BYTES)
    writer.open()

    def work() -> None:
        for first in range(1, records, group):
            writer.append([frame.pack(PAYLOAD) for _ in range(group)], [(first, first + group - 1)])
            writer.sync()

    measured = timed(work)
    writer.close()
    return measured


def sqlite_log(folder: Path, records: int, group: int, synchronous: str = "FULL") -> Measured:
    """A table in a WAL database, one transaction a group; rotated as the log is, which these runs do not reach."""
    database = sqlite3.connect(folder / "outbox-1-1.db", isolation_level=None)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute(f"PRAGMA synchronous={synchronous}")
    database.execute("CREATE TABLE outbox (seq INTEGER PRIMARY KEY, payload BLOB NOT NULL)")

    def work() -> None:
        for first in range(1, records, group):
            database.execute("BEGIN")
            database.executemany("INSERT INTO outbox VALUES (?, ?)", [(first + each, PAYLOAD) for each in range(group)])
            database.execute("COMMIT")

    measured = timed(work)
    database.close()
    return measured


def drain_log(folder: Path, records: int) -> Measured:
    """Read everything back as the relay does."""
    writer = SegmentWriter(folder, "bench", 1, segment_bytes=SEGMENT_BYTES)
    for first in range(1, records, 1000):
        writer.append([frame.pack(PAYLOAD) for _ in range(1000)], [(first, first + 999)])
    writer.close()
    reader = FolderReader(folder, "bench")

    def work() -> None:
        while (batch := reader.read(2000, 4 << 20)) is not None:
            reader.advance(batch)

    return timed(work)


def drain_sqlite(folder: Path, records: int) -> Measured:
    """Read everything back in pages by key."""
    sqlite_log(folder, records, 1000, "OFF")
    database = sqlite3.connect(folder / "outbox-1-1.db")

    def work() -> None:
        last = 0
        while rows := database.execute(
            "SELECT seq, payload FROM outbox WHERE seq > ? ORDER BY seq LIMIT 2000", (last,)
        ).fetchall():
            last = rows[-1][0]

    measured = timed(work)
    database.close()
    return measured


def emit_buffered(folder: Path, records: int) -> Measured:
    """What `emit` takes of its caller's time, event made before; CPU is of the process, commit thread included."""
    emitter = Emitter(folder, "bench", limits=SpoolLimits(max_bytes=8 << 30), redactor=WriteRedactor({}))
    stamps = [emitter.stamp() for _ in range(records)]
    events = [make_event(event_id=stamp.event_id, producer=stamp.producer) for stamp in stamps]

    def work() -> None:
        for at in range(0, records, 100):  # in bursts, as a loop's turns are, and not in one that only fills the queue
            for event in events[at : at + 100]:
                emitter.emit(event)

    measured = timed(work)
    emitter.close()
    return measured


def stamp(folder: Path, records: int) -> Measured:
    """An id and a number."""
    emitter = Emitter(folder, "bench")
    measured = timed(lambda: [emitter.stamp() for _ in range(records)] and None)
    emitter.close()
    return measured


def emit_durable(folder: Path, records: int, tasks: int) -> Measured:
    """So many tasks, each waiting for its record to be synced before the next."""
    emitter = Emitter(folder, "bench", limits=SpoolLimits(max_bytes=8 << 30))

    async def one(count: int) -> None:
        for _ in range(count):
            minted = emitter.stamp()
            await emitter.emit_durable(make_event(event_id=minted.event_id, producer=minted.producer))

    async def every() -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(tasks):
                group.create_task(one(records // tasks))

    measured = timed(lambda: asyncio.run(every()))
    emitter.close()
    return measured


CONTENDERS: dict[str, tuple[int, Callable[[Path, int], Measured]]] = {
    "append log, 1 a commit": (500, lambda folder, records: append_log(folder, records, 1)),
    "SQLite WAL FULL, 1 a commit": (500, lambda folder, records: sqlite_log(folder, records, 1)),
    "append log, 100 a commit": (20_000, lambda folder, records: append_log(folder, records, 100)),
    "SQLite WAL FULL, 100 a commit": (20_000, lambda folder, records: sqlite_log(folder, records, 100)),
    "append log, drain": (50_000, drain_log),
    "SQLite, drain": (50_000, drain_sqlite),
    "stamp": (50_000, stamp),
    "emit, buffered": (20_000, emit_buffered),
    "emit_durable, 1 task": (300, lambda folder, records: emit_durable(folder, records, 1)),
    "emit_durable, 64 tasks": (12_800, lambda folder, records: emit_durable(folder, records, 64)),
}


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, default=None)
    asked = parser.parse_args()
    found: dict[str, list[Measured]] = {name: [] for name in CONTENDERS}
    for _ in range(asked.rounds):
        for name, (records, contender) in CONTENDERS.items():
            folder = Path(tempfile.mkdtemp(prefix="lychgate-spool-", dir=asked.folder))
            try:
                found[name].append(contender(folder, records))
            finally:
                shutil.rmtree(folder)
    results = {}
    for name, rounds in found.items():
        records = CONTENDERS[name][0]
        wall = statistics.median(each[0] for each in rounds)
        cpu = statistics.median(each[1] for each in rounds)
        results[name] = {
            "records_per_s": round(records / wall), "us_per_record": round(wall / records * 1e6, 2),
            "cpu_us_per_record": round(cpu / records * 1e6, 2),
        }  # fmt: skip
        print(f"{name:32}", *(f"{value:>10} {key}" for key, value in results[name].items()))
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False)
    report = {
        "record_bytes": len(PAYLOAD), "rounds": asked.rounds, "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.release()} {platform.machine()}, {os.cpu_count()} cores",
        "load_average": round(os.getloadavg()[0], 1), "commit": commit.stdout.strip(), "medians": results,
    }  # fmt: skip
    kept = ROOT / "load" / "results" / "spool.json"
    kept.parent.mkdir(exist_ok=True)
    kept.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
