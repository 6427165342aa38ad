"""How are tenants kept apart in one PostgreSQL? See README.md beside this file.

Run from the repository's root: `.venv-spikes/bin/python spikes/0003-tenant-isolation/run.py --write`
"""

import argparse
import asyncio
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import asyncpg
import figures
from attempts import WORDED, Doors, battery
from figures import QUERIES, Base, Care
from models import MODELS, WRITER, roles

from lychgate.postgres import PostgresServer
from spikes.measured import machine, settle, shown, table, told, write

HERE = Path(__file__).parent
SIZES = (50, 500, 5000)
ROWS = 200_000
QUICK_SIZE, QUICK_ROWS = 8, 2_000
_SETTINGS = {"shared_buffers": "512MB", "max_wal_size": "4GB", "jit": "off", "autovacuum": "off"}


async def measured(
    server: PostgresServer, folder: Path, sizes: list[int], rows: int, care: Care
) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Every model at every size.

    Returns:
        Model to what was measured, and model to what it answered.
    """
    owner = await asyncpg.connect(server.dsn())
    await roles(owner)
    results: dict[str, Any] = {model.name: {"at": {}} for model in MODELS}
    answered: dict[str, dict[str, Any]] = {model.name: {} for model in MODELS}
    for size in sizes:
        for model in MODELS:
            name = f"study_{model.name}_{size}"
            await owner.execute(f"CREATE DATABASE {name} STRATEGY file_copy")
            base = Base(server.dsn(name), model, size, care)
            found = await _one(base, rows, folder, leaks=size == sizes[0])
            results[model.name].update(leaks=found.pop("leaks", results[model.name].get("leaks")))
            answered[model.name] |= {f"{size} {asked}": value for asked, value in found.pop("answers").items()}
            results[model.name]["at"][size] = found
            await owner.execute(f"DROP DATABASE {name} WITH (FORCE)")
    results["version"] = await owner.fetchval("SELECT current_setting('server_version')")
    results["max_locks"] = int(await owner.fetchval("SELECT current_setting('max_locks_per_transaction')"))
    await owner.close()
    return results, answered


async def _one(base: Base, rows: int, folder: Path, *, leaks: bool) -> dict[str, Any]:
    model = base.model
    owner = await asyncpg.connect(base.owner_dsn)
    try:
        began = time.perf_counter()
        await model.build(owner, base.tenants, rows)
        found: dict[str, Any] = {"build_s": time.perf_counter() - began}
        found["answers"] = await figures.answers(base)
        across = await figures.across(base)
        found["answers"]["across"] = across.pop("found")
        found |= {"across_ms": across["ms"], "catalogue": await figures.catalogue(owner, base)}
        found |= {"planning": await figures.planning(base), "latency": await figures.latency(base)}
        found["prepared_locks"] = await figures.prepared(base)
        found |= {"pooled": await figures.pooled(base), "inserted_s": await figures.inserting(base)}
        if leaks:
            found["leaks"] = await _tried(base, owner)
        found["backup"] = await asyncio.to_thread(figures.backed_up, base, folder)
        found["migration"] = await figures.migrating(owner, base)
        found["leaving"] = await figures.leaving(owner, base)
    finally:
        await owner.close()
    print(
        f"{time.strftime('%H:%M:%S')} {model.name} at {base.tenants:,}: {time.perf_counter() - began:.0f} s",
        file=sys.stderr,
    )
    return found


async def _tried(base: Base, owner: "asyncpg.Connection[asyncpg.Record]") -> dict[str, str]:
    reader, writer = await base.reader(as_it_comes=True), await asyncpg.connect(base.dsn(WRITER))
    try:
        return await battery(base.model, Doors(reader, writer, owner))
    finally:
        await reader.close()
        await writer.close()


def tables(results: Mapping[str, Any]) -> dict[str, str]:
    """What stands in the README between its markers."""
    found, box = results["models"], results["machine"]
    heads = [model.worded for model in MODELS]
    sizes = list(found[MODELS[0].name]["at"])
    said = (
        f"{told(box)};"
        f" PostgreSQL {found['version']}, `max_locks_per_transaction` {found['max_locks']}; "
        f"{results['rows']:,} rows in each database;"
        f" the whole run took {results['seconds'] / 60:.1f} minutes."
    )

    def row(worded: str, pick: Any) -> list[Any]:
        return [worded, *(" · ".join(shown(pick(found[model.name]["at"][size])) for size in sizes) for model in MODELS)]

    def migrated(at: Mapping[str, Any]) -> str:
        change = at["migration"]
        if change["whole"]:
            return f"{shown(change['one_s'])} s, {change['locks']:,} locks"
        return (
            f"refused; {shown(change['steps_s'])} s in {change['transactions']:,}" if change["steps_s"] else "refused"
        )

    costs = [
        row("made, s", lambda at: at["build_s"]),
        row("tables and indices", lambda at: at["catalogue"]["relations"]),
        row("catalogue, MiB", lambda at: at["catalogue"]["catalogue_mib"]),
        row("database, MiB", lambda at: at["catalogue"]["database_mib"]),
        row("a backend that has seen up to 1,000 tenants, MiB", lambda at: at["catalogue"]["backend_touched_mib"]),
        row("planning, first in a backend, ms", lambda at: at["planning"]["first_ms"]),
        row("planning, later, ms", lambda at: at["planning"]["again_ms"]),
        row("pool of four: reads/s", lambda at: at["pooled"]["reads_s"]),
        row("locks of a read whose plan is kept", lambda at: at["prepared_locks"]),
        row("inserted rows/s, all tenants mixed", lambda at: at["inserted_s"]),
        row("a column and an index for all", migrated),
        row("largest tenant leaves, ms", lambda at: at["leaving"]["seconds"] * 1000),
        row("its space given back, MiB", lambda at: at["leaving"]["freed_mib"]),
        row("backup of one tenant, s", lambda at: at["backup"]["seconds"]),
        row("search over all tenants, ms", lambda at: at["across_ms"]),
    ]
    latency = [
        [
            f"{name}, {int(size):,} tenants",
            *(
                f"{shown(q['p50_ms'])} / {shown(q['p95_ms'])}"
                for q in (found[m.name]["at"][size]["latency"][name] for m in MODELS)
            ),
        ]
        for name in QUERIES
        for size in sizes
    ]
    leaks = [[worded, *(found[model.name]["leaks"][worded] for model in MODELS)] for worded in WORDED]
    leaks.append(["leaks", *(sum(each == "LEAKS" for each in found[model.name]["leaks"].values()) for model in MODELS)])
    ladder = " · ".join(f"{int(size):,}" for size in sizes)
    return {
        "machine": said,
        "leaks": table(["attempt", *heads], leaks),
        "costs": table([f"at {ladder} tenants", *heads], costs),
        "latency": table(["p50 / p95, ms", *heads], latency),
    }


def main() -> None:
    """Measure, print, and with `--write` keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tenants", type=int, nargs="+", default=list(SIZES), help="how many, at each step")
    parser.add_argument("--rows", type=int, default=ROWS, help="rows of all tenants together")
    parser.add_argument(
        "--quick", action="store_true", help=f"{QUICK_SIZE} tenants, {QUICK_ROWS:,} rows: for the answers only"
    )
    parser.add_argument("--scratch", type=Path, help="a folder with 5 GB of room")
    parser.add_argument("--write", action="store_true", help="rewrite the tables of README.md, and results.json")
    parser.add_argument("--json", action="store_true", help="print the results as JSON instead of tables")
    given = parser.parse_args()
    if given.quick and given.write:
        parser.error("--write: not with --quick, whose times say nothing")
    if min(given.tenants) < QUICK_SIZE or given.rows < QUICK_ROWS:
        parser.error(f"at least {QUICK_SIZE} tenants and {QUICK_ROWS:,} rows")
    sizes, rows = ([QUICK_SIZE], QUICK_ROWS) if given.quick else (given.tenants, given.rows)
    care = figures.QUICK if given.quick else Care()
    folder = Path(tempfile.mkdtemp(prefix="lychgate-study-", dir=given.scratch))
    folder.chmod(0o711)
    began = time.perf_counter()
    try:
        settings = _SETTINGS | ({"fsync": "off", "shared_buffers": "64MB"} if given.quick else {})
        with PostgresServer(folder / "postgres", options=settings, sync=not given.quick) as server:
            found, answered = asyncio.run(measured(server, folder, sizes, rows, care))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    results = {"machine": machine(), "rows": rows, "seconds": time.perf_counter() - began, "models": found}
    results["different"] = settle(answered)
    parts = tables(results)
    print(json.dumps(results) if given.json else "\n\n".join(parts.values()))
    if given.write and not results["different"]:
        write(HERE, results, parts)
    for line in results["different"]:
        print(f"the models do not agree: {line}", file=sys.stderr)
    sys.exit(1 if results["different"] else 0)


if __name__ == "__main__":
    main()
