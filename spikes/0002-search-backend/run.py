"""Which engine should audit events be searched in? See README.md beside this file.

Run from the repository's root: `.venv-spikes/bin/python spikes/0002-search-backend/run.py --events 5000000 --write`
"""

import argparse
import json
import math
import multiprocessing
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from questions import WORDED, Name
from stream import Plan, keep

from spikes.measured import ROOT, machine, percentile, settle, shown, table, told, write

HERE = Path(__file__).parent
ENGINES = {"postgres": "PostgreSQL", "clickhouse": "ClickHouse", "opensearch": "OpenSearch"}
CHECKPOINTS = (100_000, 500_000, 1_000_000, 5_000_000)
QUICK = Plan(3_000, 1_000)
LEAST = 50_000
SLOW_MS = 100.0
"""What a person at a screen notices."""
_BEYOND = 10
"""So many times beyond its last point a curve is drawn on, and no further."""


def measured(plan: Plan, engines: list[str], *, quick: bool, scratch: Path | None) -> dict[str, Any]:
    """Make the events, take each engine through, one after the other; nothing of it stays.

    Args:
        plan: The events.
        engines: Which.
        quick: A few values and one round: for the answers, not for the times.
        scratch: Where there is room; a folder for temporary files if not given.
    """
    checkpoints = [each for each in CHECKPOINTS if each < plan.records]
    checkpoints = [*checkpoints, plan.records]
    folder = Path(tempfile.mkdtemp(prefix="lychgate-study-", dir=scratch))
    folder.chmod(0o711)
    try:
        chunks = folder / "chunks"
        chunks.mkdir()
        began = time.perf_counter()
        tasks = [(chunks, plan, number) for number in range(plan.chunks)]
        if plan.chunks < 5:
            sizes = [keep(task) for task in tasks]
        else:
            with multiprocessing.get_context("spawn").Pool(2) as pool:
                sizes = list(pool.imap_unordered(keep, tasks, chunksize=4))
        results: dict[str, Any] = {
            "machine": machine(),
            "records": plan.records,
            "bytes_each": sum(sizes) / plan.records,
            "made_s": time.perf_counter() - began,
        }
        with ThreadPoolExecutor(len(engines) if quick else 1) as pool:  # beside each other, they would disturb
            found = pool.map(lambda name: _one(name, folder, plan, checkpoints, quick=quick), engines)
            results["engines"] = dict(zip(engines, found, strict=True))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    results["seconds"] = time.perf_counter() - began
    return results


def _one(name: str, folder: Path, plan: Plan, checkpoints: list[int], *, quick: bool) -> dict[str, Any]:
    """In a process of its own, so that its memory and its time are its own."""
    result = folder / f"{name}.json"
    command = [sys.executable, str(HERE / "one.py"), name, str(folder), str(result), str(plan.records), str(plan.chunk)]
    command += ["quick" if quick else "whole", *map(str, checkpoints)]
    subprocess.run(command, cwd=ROOT, check=True)
    shutil.rmtree(folder / name, ignore_errors=True)
    found: dict[str, Any] = json.loads(result.read_text(encoding="utf-8"))
    return found


def crossing(curve: Mapping[int, float], other: Mapping[int, float] | float) -> tuple[float, bool] | None:
    """From how many records on a curve lies above another, or above a value.

    Both are taken as straight lines between their points, on logarithmic scales, and drawn on from the last two. None:
    not where anything could be said of it.

    Returns:
        The number of records, 0 if it is so from the first point on; and whether it lies beyond the last point.
    """
    counts = sorted(curve)
    if len(counts) < 2:
        return (0, False) if counts and curve[counts[0]] > _value(other, counts[0]) else None
    gaps = {count: math.log(curve[count] / _value(other, count)) for count in counts}
    if all(gap > 0 for gap in gaps.values()):
        return 0, False
    last = counts[-1]
    if gaps[last] > 0:  # the last time it comes from below
        below = max(count for count in counts if gaps[count] <= 0)
        above = min(count for count in counts if count > below)
        return _between(below, above, gaps), False
    rise = (gaps[last] - gaps[counts[-2]]) / math.log(last / counts[-2])
    if rise <= 0:
        return None
    found = last * math.exp(min(-gaps[last] / rise, 50))
    return (found, True) if found <= last * _BEYOND else None


def _value(other: Mapping[int, float] | float, count: int) -> float:
    return other if isinstance(other, int | float) else other[count]


def _between(below: int, above: int, gaps: Mapping[int, float]) -> float:
    share = -gaps[below] / (gaps[above] - gaps[below])
    return math.exp(math.log(below) + share * math.log(above / below))


def curves(results: Mapping[str, Any], figure: str) -> dict[str, dict[Name, dict[int, float]]]:
    """Engine, question, records: milliseconds."""
    return {
        engine: {name: {int(count): at["asked"][name][figure] for count, at in found["at"].items()} for name in Name}
        for engine, found in results["engines"].items()
    }


def when(found: tuple[float, bool] | None) -> str:
    """A crossing in a cell: `~` where the curve was drawn on beyond what was measured."""
    if found is None:
        return "-"
    count, drawn = found
    if count == 0:
        return "always"
    digits = 10 ** max(0, int(math.log10(count)) - 1)
    return f"{'~' if drawn else ''}{round(count / digits) * digits:,.0f}"


def tables(results: Mapping[str, Any]) -> dict[str, str]:
    """What stands in the README between its markers."""
    engines, box = results["engines"], results["machine"]
    heads = [ENGINES[name] for name in engines]
    last = str(results["records"])
    at = {name: found["at"][last] if last in found["at"] else found["at"][int(last)] for name, found in engines.items()}
    versions = ", ".join(f"{ENGINES[name]} {found['version']}" for name, found in engines.items())
    said = (
        f"{told(box)};"
        f" {versions}; {results['records']:,} records of"
        f" {results['bytes_each']:,.0f} bytes; the whole run took {results['seconds'] / 60:.1f} minutes."
    )
    loaded = {
        name: (
            sum(each["loaded"] for each in found["at"].values()),
            sum(each["seconds"] for each in found["at"].values()),
        )
        for name, found in engines.items()
    }
    cpu = {name: sum(each["cpu_s"] for each in found["at"].values()) for name, found in engines.items()}
    peak = {
        name: max(max(e["peak_mib"], e["reading_mib"]) for e in found["at"].values()) for name, found in engines.items()
    }
    cost = [
        ["records/s, the product's way", *(f["own"]["records"] / f["own"]["seconds"] for f in engines.values())],
        ["records/s, loaded in bulk", *(n / s if n else 0.0 for n, s in loaded.values())],
        ["engine's processor time, µs a record, in bulk", *(cpu[n] / (loaded[n][0] or 1) * 1e6 for n in engines)],
        ["memory after the first records, MiB", *(f["idle_mib"] for f in engines.values())],
        ["memory at its peak, MiB", *peak.values()],
        ["disk, bytes a record", *(each["disk"] / each["records"] for each in at.values())],
        ["written to visible, median, ms", *(percentile(f["fresh_s"], 0.5) * 1000 for f in engines.values())],
        ["written to visible, slowest, ms", *(max(f["fresh_s"]) * 1000 for f in engines.values())],
        ["four readers during ingest: records/s", *(f["together"]["records_s"] for f in engines.values())],
        ["four readers during ingest: reads/s", *(f["together"]["reads_s"] for f in engines.values())],
        ["four readers during ingest: p95 of a read, ms", *(f["together"]["p95_ms"] for f in engines.values())],
        ["oldest week deleted, s", *(f["deleted"]["week_s"] for f in engines.values())],
        ["one tenant deleted, s", *(f["deleted"]["tenant_s"] for f in engines.values())],
    ]  # fmt: skip
    p50, p95 = curves(results, "p50_ms"), curves(results, "p95_ms")
    counts = sorted(int(count) for count in next(iter(engines.values()))["at"])
    questions = [
        [WORDED[name], *(f"{shown(p50[e][name][counts[-1]])} / {shown(p95[e][name][counts[-1]])}" for e in engines)]
        for name in Name
    ]
    growth = [
        [WORDED[name], *(" · ".join(shown(p50[e][name][count]) for count in counts) for e in engines)] for name in Name
    ]
    others = [name for name in engines if name != "postgres"]
    points = [
        [
            WORDED[name],
            when(crossing(p95["postgres"][name], SLOW_MS)),
            *(when(crossing(p50["postgres"][name], p50[other][name])) for other in others),
        ]
        for name in Name
        if "postgres" in engines
    ]
    sizes = ", ".join(f"{count:,}" for count in counts)
    return {
        "machine": said,
        "costs": table(["", *heads], cost),
        "questions": table([f"p50 / p95 in ms at {counts[-1]:,} records", *heads], questions),
        "growth": table([f"p50 in ms at {sizes} records", *heads], growth),
        "crossover": table(
            [
                "",
                f"PostgreSQL's p95 above {SLOW_MS:.0f} ms from",
                *(f"{ENGINES[name]} quicker from" for name in others),
            ],
            points,
        ),
    }


def main() -> None:
    """Measure, print, and with `--write` keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=500_000, help="how many records")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK.records:,} records, for the answers only")
    parser.add_argument("--engines", nargs="+", choices=list(ENGINES), default=list(ENGINES), help="which engines")
    parser.add_argument("--scratch", type=Path, help="a folder with room: three kilobytes a record")
    parser.add_argument("--write", action="store_true", help="rewrite the tables of README.md, and results.json")
    parser.add_argument("--json", action="store_true", help="print the results as JSON instead of tables")
    given = parser.parse_args()
    if given.events < LEAST:
        parser.error(f"--events: at least {LEAST:,}")
    if given.quick and given.write:
        parser.error("--write: not with --quick, whose times say nothing")
    plan = QUICK if given.quick else Plan(given.events)
    results = measured(plan, given.engines, quick=given.quick, scratch=given.scratch)
    different = settle({name: found.pop("answers") for name, found in results["engines"].items()})
    results["different"] = different
    parts = tables(results)
    print(json.dumps(results) if given.json else "\n\n".join(parts.values()))
    if given.write and not different:
        write(HERE, results, parts)
    for line in different:
        print(f"the engines do not agree: {line}", file=sys.stderr)
    sys.exit(1 if different else 0)


if __name__ == "__main__":
    main()
