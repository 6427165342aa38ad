"""How fast do records become rows: `Store.write` and its parts, beside other ways into the same table.

    python load/ingest.py [--rounds 5] [--batches 5] [--json]

A real PostgreSQL from the wheel with its disk synced, 2,000-record batches of gateway decisions with Cedar's input.
Rounds of all contenders are interleaved, so that a noisy neighbour hurts each alike; medians are printed, in
microseconds a record. `ingest` is Python alone and `Store.write` all of it; the others begin with rows that are made.
"""

import argparse
import asyncio
import json
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg

sys.path.insert(0, str(Path(__file__).parent.parent))

from audit.codec import encode  # the path comes first
from audit.event import Actor, Input, Resource
from audit.ids import EventIds
from audit.ingest import COLUMNS, Bounds, Row, ingest
from audit.insert import insert, prepare
from audit.migrate import WRITER, migrate
from audit.store import Store
from lychgate.postgres import PostgresServer
from tests.builders.audit import make_event
from tests.servers.postgres import WRITER_PASSWORD

RECORDS = 2000
IDS = EventIds()
INPUT = Input(
    {"type": "User", "id": "dev/acme/u-1", "attrs": {"tenant": "acme", "limit": 100}, "parents": ["Role::staff"]},
    {"type": "Order", "id": "o-1", "attrs": {"tenant": "acme"}},
    {"now": "2026-11-26T03:00:00Z", "mfa": True, "ip": "10.0.0.1"},
    schema_version="abc",
)
PLACES = ", ".join(f"${at}" for at in range(1, len(COLUMNS) + 1))
INSERT = f"INSERT INTO audit_events ({', '.join(COLUMNS)}) VALUES ({PLACES}) ON CONFLICT DO NOTHING"  # noqa: S608  # names of ours
Connection = Any


def batch() -> list[bytes]:
    """Records of 20 tenants and 1,000 users."""
    return [
        encode(
            make_event(
                event_id=IDS.next(), tenant_id=f"tenant-{at % 20}", actor=Actor("user", f"u-{at % 1000}", ("staff",)),
                resource=Resource("Order", f"o-{at % 200}"), trace_id=f"{at:032x}", input=INPUT,
            )
        )
        for at in range(RECORDS)
    ]  # fmt: skip


class Bench:
    """The contenders, over one server."""

    def __init__(self, owner: Connection, writer: Connection, store: Store, bounds: Bounds) -> None:
        self._owner, self._writer, self._store, self._bounds = owner, writer, store, bounds
        self.contenders: dict[str, tuple[Callable[[Any], Awaitable[None]], Callable[[list[bytes]], Any]]] = {
            "ingest": (self.only_ingest, list),
            "COPY, no index, no dedupe": (self.plain_copy, self.rows_of),
            "staging, insert": (self.ours, self.rows_of),
            "executemany": (self.executemany, self.rows_of),
            "Store.write": (self.write, list),
        }

    def rows_of(self, records: list[bytes]) -> list[Row]:
        """Rows, made beforehand."""
        return list(ingest(records, self._bounds, datetime.now(UTC)).rows)

    async def only_ingest(self, records: list[bytes]) -> None:
        """Python alone."""
        self.rows_of(records)

    async def ours(self, rows: list[Row]) -> None:
        """COPY to the staging table, insert from there."""
        async with self._writer.transaction():
            await insert(self._writer, rows)

    async def executemany(self, rows: list[Row]) -> None:
        """An insert a row, pipelined."""
        await self._writer.executemany(INSERT, rows)

    async def plain_copy(self, rows: list[Row]) -> None:
        """What nothing that keeps and dedupes can be quicker than."""
        await self._owner.copy_records_to_table("plain", records=rows, columns=COLUMNS)

    async def write(self, records: list[bytes]) -> None:
        """All of it."""
        await self._store.write(records)

    async def run(self, rounds: int, batches: int) -> dict[str, float]:
        """Interleaved rounds; medians."""
        taken: dict[str, list[float]] = {name: [] for name in self.contenders}
        for turn in range(rounds + 1):
            for name, (work, made) in self.contenders.items():
                given = [made(batch()) for _ in range(batches)]
                began = time.perf_counter()
                for each in given:
                    await work(each)
                if turn:  # the first round warms up
                    taken[name].append((time.perf_counter() - began) / (batches * RECORDS) * 1e6)
        return {name: statistics.median(values) for name, values in taken.items()}


async def measure(server: PostgresServer, rounds: int, batches: int) -> dict[str, float]:
    """Median microseconds a record by contender, and what a row takes on disk."""
    await migrate(server.dsn(), writer_password=WRITER_PASSWORD)
    writer_dsn = server.dsn(user=WRITER, password=WRITER_PASSWORD)
    owner, writer, store = await asyncpg.connect(server.dsn()), await asyncpg.connect(writer_dsn), Store(writer_dsn)
    await prepare(writer)
    await owner.execute("CREATE TABLE plain (LIKE audit_events INCLUDING DEFAULTS)")
    found = await owner.fetchrow("SELECT lowest, beyond FROM audit_bounds()")
    medians = await Bench(owner, writer, store, Bounds(found["lowest"], found["beyond"])).run(rounds, batches)
    sizes = await owner.fetchrow(
        "SELECT sum(pg_table_size(c.oid))::float8 AS heap, sum(pg_indexes_size(c.oid))::float8 AS indexes,"
        " (SELECT count(*) FROM audit_events) AS rows FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid"
        " WHERE inhparent = 'audit_events'::regclass"
    )
    for connection in (owner, writer):
        await connection.close()
    await store.close()
    return {
        **medians,
        "payload bytes": float(len(batch()[0])),
        "table bytes a row": sizes["heap"] / sizes["rows"],
        "index bytes a row": sizes["indexes"] / sizes["rows"],
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batches", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="lychgate-load-"))
    folder.chmod(0o711)
    try:
        with PostgresServer(folder / "postgres") as server:
            found = asyncio.run(measure(server, chosen.rounds, chosen.batches))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if chosen.json:
        print(json.dumps(found))
        return
    for name, value in found.items():
        print(f"{name:28}{value:8.1f}" + ("" if "bytes" in name else f" us {1e6 / value:10,.0f}/s"))


if __name__ == "__main__":
    main()
