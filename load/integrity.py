"""What seals cost: run `python load/integrity.py [rows]`, alone on the machine.

A real PostgreSQL from the wheel with one closed week of rows: the time and memory to seal it, to verify it, and the
bytes that the leaves take. ADRs 0169 and 0171 quote it.
"""

import asyncio
import resource
import sys
import tempfile
import time
from multiprocessing import Process
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import asyncpg  # noqa: E402 - after the path

from audit.codec import encode  # noqa: E402
from audit.migrate import migrate  # noqa: E402
from audit.store import Store  # noqa: E402
from lychgate.postgres import PostgresServer  # noqa: E402
from tests.builders.seals import SealedStore, event_of, partition  # noqa: E402
from tests.servers.postgres import (  # noqa: E402
    KEEPER_PASSWORD,
    READER_PASSWORD,
    WRITER_PASSWORD,
    Logins,
    Postgres,
    logins_of,
)

BATCH = 5_000
WEEK = 3


def peak_mib() -> float:
    """The most memory this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


async def fill(logins: Logins, folder: Path, rows: int) -> None:
    """Write the week; in a process of its own, whose memory does not count."""
    await migrate(
        logins.owner, writer_password=WRITER_PASSWORD, reader_password=READER_PASSWORD, keeper_password=KEEPER_PASSWORD
    )
    store = SealedStore(logins, folder)
    writer = Store(logins.writer)
    for first in range(0, rows, BATCH):
        await writer.write([encode(event_of(WEEK, at)) for at in range(first, min(first + BATCH, rows))])
    await writer.close()
    await store.complete()


async def measure(logins: Logins, folder: Path, rows: int) -> None:
    """Seal and verify; prints a line each."""
    store = SealedStore(logins, folder)
    for what, does in (("seal", store.seal), ("verify", store.verify)):
        before, began, worked = peak_mib(), time.perf_counter(), time.process_time()
        result = await does()
        took = time.perf_counter() - began
        own_us = 1e6 * (time.process_time() - worked) / rows
        print(
            f"{what}: {rows:,} rows in {took:.1f} s, {rows / took:,.0f} a second, {own_us:.1f} us of ours a row;"
            f" peak memory +{peak_mib() - before:.1f} MiB"
        )
        assert result is None or result.count == 0
    connection = await asyncpg.connect(logins.owner)
    table, leaves = await connection.fetchrow(
        "SELECT pg_total_relation_size($1::regclass), pg_total_relation_size('audit_seal_blocks')", partition(WEEK)
    )
    await connection.close()
    print(
        f"{table / rows:.0f} bytes a row with its indexes; its leaf {leaves / rows:.1f}, {100 * leaves / table:.1f} %"
    )


def main() -> None:
    """Start a server for it."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    folder = Path(tempfile.mkdtemp(prefix="lychgate-integrity-"))
    folder.chmod(0o711)
    with PostgresServer(folder / "postgres", sync=False) as server:
        postgres = Postgres(server.dsn())
        logins = logins_of(postgres, postgres.create())
        filling = Process(target=lambda: asyncio.run(fill(logins, folder, rows)))
        filling.start()
        filling.join()
        asyncio.run(measure(logins, folder, rows))


if __name__ == "__main__":
    main()
