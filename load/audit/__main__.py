"""`make bench-audit`: the lines, the rounds, the result.

python -m load.audit [--only direct,kafka,backlog,latency,latency-kafka,copy] [--events N] [--rounds N] [--json]
"""

import argparse
import asyncio
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncpg

from audit.ingest import COLUMNS, Bounds, Row, row_of
from load.audit.emitting import event
from load.audit.house import House, house
from load.audit.visible import Watch
from load.bench import proc
from load.bench.machine import ROOT

RESULT = ROOT / "load" / "results" / "audit.json"
_PATIENCE_S = 900.0
_LEAST_BYTES = 700  # of one record in the spool
Line = dict[str, float]


def _wait(emitting: "subprocess.Popen[str]") -> dict[str, Any]:
    assert emitting.stdout is not None
    told: dict[str, Any] = json.loads(emitting.stdout.readline())
    assert told["shed"] == 0, told
    return told


def _end(emitting: "subprocess.Popen[str]") -> None:
    assert emitting.stdin is not None
    emitting.stdin.close()
    emitting.wait(60)


def _through(made: House, events: int) -> Line:
    """As fast as it goes, everything running: from the first emit until the last is visible."""
    for name in ("relay", "consumer") if made.kafka is not None else ("relay",):
        made.start(name)
    asyncio.run(_warm(made))
    before, began = made.cpu_s(), time.monotonic()
    emitting = made.emit("producer", events)
    done = asyncio.run(Watch(made.owner_dsn, "producer").until(events, _PATIENCE_S, 0.05))
    took = done - began
    told = _wait(emitting)
    cpu = proc.cpu_s([emitting.pid])
    _end(emitting)
    each = {name: (spent - before[name]) / events * 1e6 for name, spent in made.cpu_s().items()}
    return {
        "events_per_s": events / took,
        "emitted_per_s": events / told["seconds"],
        "emit_us": cpu / events * 1e6,
        **{f"{name}_us": us for name, us in each.items()},
    }


async def _warm(made: House) -> None:
    """Once through, so that nothing is measured that happens once: imports, joining the group, the first segment."""
    emitting = made.emit("warming", 400)
    await Watch(made.owner_dsn, "warming").until(400, 120, 0.05)
    _end(emitting)


def direct(folder: Path, events: int) -> Line:
    """Emit, relay, PostgreSQL."""
    with house(folder, broker=False) as made:
        return _through(made, events)


def kafka(folder: Path, events: int) -> Line:
    """Emit, relay, broker, consumer, PostgreSQL."""
    with house(folder, broker=True) as made:
        return _through(made, events)


def backlog(folder: Path, events: int) -> Line:
    """The store is away for all of the events; memory meanwhile; then how fast they go."""
    with house(folder, broker=False) as made:
        made.start("relay")
        asyncio.run(_warm(made))
        made.postgres.stop()
        emitting = made.emit("producer", events)
        memory: list[dict[str, float]] = []
        for wanted in (events // 2, events):
            while _spooled_bytes(made) < wanted * _LEAST_BYTES:
                time.sleep(0.05)
            if wanted == events:
                _wait(emitting)
            memory.append({"emit": proc.resident_bytes([emitting.pid]), "relay": _relay_bytes(made)})
        _end(emitting)
        made.postgres.start()
        before, began = made.cpu_s(), time.monotonic()
        peak = [0.0]

        def look() -> None:
            peak[0] = max(peak[0], _relay_bytes(made))

        done = asyncio.run(Watch(made.owner_dsn, "producer").until(events, _PATIENCE_S, 0.1, look))
        each = {name: (spent - before.get(name, 0.0)) / events * 1e6 for name, spent in made.cpu_s().items()}
        mib = 1 << 20
        return {
            "drained_per_s": events / (done - began),
            "emit_growth_mib": (memory[-1]["emit"] - memory[0]["emit"]) / mib,
            "relay_growth_away_mib": (memory[-1]["relay"] - memory[0]["relay"]) / mib,
            "relay_growth_drain_mib": (peak[0] - memory[-1]["relay"]) / mib,
            "relay_mib": memory[-1]["relay"] / mib,
            **{f"{name}_us": us for name, us in each.items()},
        }


def _spooled_bytes(made: House) -> int:
    return sum(file.stat().st_size for file in (made.spool / "producer").glob("*.seg"))


def _relay_bytes(made: House) -> float:
    return float(proc.resident_bytes([made.running["relay"].pid]))


def _latency(made: House, rate: int = 1000, seconds: int = 20) -> Line:
    for name in ("relay", "consumer") if made.kafka is not None else ("relay",):
        made.start(name)
    asyncio.run(_warm(made))
    emitting = made.emit("producer", rate * seconds, rate)
    watch = Watch(made.owner_dsn, "producer")
    asyncio.run(watch.until(rate * seconds, _PATIENCE_S))
    _wait(emitting)
    median, late = watch.delays(made.spool / "emitted.bin")
    _end(emitting)
    return {"median_ms": median * 1e3, "p99_ms": late * 1e3, "rate_per_s": rate}


def latency(folder: Path, _: int) -> Line:
    """At 1,000 events a second: emit to visible, direct form."""
    with house(folder, broker=False) as made:
        return _latency(made)


def latency_kafka(folder: Path, _: int) -> Line:
    """The same through the broker."""
    with house(folder, broker=True) as made:
        return _latency(made)


def copy(folder: Path, events: int) -> Line:
    """The peer: the same rows, made beforehand, by plain COPY into the same table, with nothing looked at."""
    from audit.codec import encode
    from audit.emit import Emitter

    with house(folder, broker=False) as made:
        emitter = Emitter(folder / "rows", "rows")
        payloads = [encode(event(emitter, number)) for number in range(min(events, 100_000))]

        async def run() -> float:
            connection = await asyncpg.connect(made.owner_dsn)  # a superuser: COPY does not go past row-level security
            bounds = Bounds(*(await connection.fetchrow("SELECT lowest, beyond FROM audit_bounds()")))
            rows = [row_of(payload, bounds, 1 << 60) for payload in payloads]
            began = time.monotonic()
            for at in range(0, len(rows), 2000):
                part = [row for row in rows[at : at + 2000] if isinstance(row, Row)]
                await connection.copy_records_to_table("audit_events", records=part, columns=COLUMNS)
            took = time.monotonic() - began
            await connection.close()
            return len(rows) / took

        rate = asyncio.run(run())
        emitter.close()
        return {"events_per_s": rate}


LINES: dict[str, tuple[Callable[[Path, int], Line], int]] = {
    "direct": (direct, 300_000),
    "kafka": (kafka, 300_000),
    "backlog": (backlog, 1_000_000),
    "latency": (latency, 0),
    "latency-kafka": (latency_kafka, 0),
    "copy": (copy, 100_000),
}


def main() -> int:
    """Run what is asked for and print medians."""
    parser = argparse.ArgumentParser(prog="make bench-audit", description="How fast an event becomes a visible row.")
    parser.add_argument("--only", metavar="LINE,...", help=f"of {', '.join(LINES)}; the result is not kept")
    parser.add_argument("--events", type=int, help="instead of each line's own number")
    parser.add_argument("--rounds", type=int, default=1, help="medians are over these")
    parser.add_argument("--json", action="store_true", help="print one line of JSON and nothing else")
    given = parser.parse_args()
    chosen = given.only.split(",") if given.only else list(LINES)
    found: dict[str, list[Line]] = {}
    for number in range(given.rounds):
        for name in chosen:
            run, events = LINES[name]
            folder = Path(tempfile.mkdtemp(prefix="lychgate-bench-audit-"))
            folder.chmod(0o711)  # PostgreSQL's system user passes through
            try:
                found.setdefault(name, []).append(run(folder, given.events or events))
            finally:
                shutil.rmtree(folder, ignore_errors=True)
            sys.stderr.write(f"round {number + 1}: {name}: {_told(found[name][-1])}\n")
    result = {name: _medians(lines) for name, lines in found.items()}
    if given.json:
        print(json.dumps(result))
    else:
        for name, line in result.items():
            print(f"{name:14} {_told(line)}")
    if not given.only and not given.events:
        RESULT.write_text(json.dumps({"machine": _machine(), "rounds": given.rounds, "lines": result}, indent=1) + "\n")
    return 0


def _medians(lines: list[Line]) -> Line:
    return {key: round(statistics.median(line[key] for line in lines), 2) for key in lines[0]}


def _told(line: Line) -> str:
    return "  ".join(f"{key} {value:,.1f}" for key, value in line.items())


def _machine() -> dict[str, Any]:
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return {"cores": os.cpu_count(), "system": platform.platform(), "commit": commit.stdout.strip()}


if __name__ == "__main__":
    sys.exit(main())
