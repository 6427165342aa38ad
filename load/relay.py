"""How fast does a backlog leave the spool, and what does it cost: the reader alone, the lane, and the direct form.

    python load/relay.py [--records 60000] [--rounds 3] [--folders 4]

Rounds of all contenders are interleaved, so that a noisy neighbour hurts each alike; medians are printed. The direct
form writes into a PostgreSQL of its own, made as the tests make theirs and gone at the end. `latency` sends 1,000
records a second for some seconds through a real emitter and looks when each is visible.
"""

import argparse
import asyncio
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

import asyncpg  # noqa: E402  # the path comes first

from audit.emit import Emitter  # noqa: E402
from audit.migrate import WRITER, migrate  # noqa: E402
from audit.relay import Relay  # noqa: E402
from audit.sinks import Sink, StoreSink, Watermark  # noqa: E402
from audit.sinks.files import LinesRules  # noqa: E402
from audit.sinks.ndjson import NdjsonSink  # noqa: E402
from audit.spool.reader import FolderReader  # noqa: E402
from audit.store import Store  # noqa: E402
from lychgate.postgres import PostgresServer  # noqa: E402
from tests.builders.audit import make_event  # noqa: E402
from tests.builders.sinks import outward  # noqa: E402
from tests.builders.spools import spooled  # noqa: E402

PASSWORD = "relays"  # noqa: S105 - of a server that is gone in a minute
Measured = tuple[float, float]
"""Wall seconds and CPU seconds of this process."""


class NullSink:
    """Takes everything."""

    name = "null"

    async def deliver(self, records: Sequence[bytes]) -> None:
        """See `Sink`."""

    async def report(self, marks: Sequence[Watermark]) -> None:
        """See `Sink`."""

    async def ping(self) -> None:
        """See `Sink`."""

    async def close(self) -> None:
        """See `Sink`."""


def timed(work: Callable[[], None]) -> Measured:
    """Run once."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def read_only(root: Path) -> Measured:
    """One reader a folder, nothing delivered."""
    readers = [FolderReader(path, "bench") for path in sorted(root.iterdir())]

    def work() -> None:
        for reader in readers:
            while (batch := reader.read(2000, 4 << 20)) is not None:
                reader.advance(batch)

    return timed(work)


def through(root: Path, make: Callable[[], Sink]) -> Measured:
    """A relay into a sink, until all of it went."""

    async def work() -> None:
        sink = make()
        relay = Relay(root, sink)
        if not await relay.flush(600):
            raise SystemExit(f"not delivered: {relay.status()}")
        await sink.close()

    return timed(lambda: asyncio.run(work()))


async def latency(root: Path, dsn: str, owner: str, seconds: int, rate: int) -> tuple[float, float]:
    """Median and p99 from emit to visible, seconds, by the store's own clock of insertion."""
    emitter = Emitter(root / "live", "live")
    store = Store(dsn)
    relay = asyncio.ensure_future(Relay(root, StoreSink(store)).run())
    emitted: dict[int, float] = {}
    seen: dict[int, float] = {}

    async def watch() -> None:
        connection = await asyncpg.connect(owner)
        try:
            while True:
                rows = await connection.fetch(
                    "SELECT producer_seq FROM audit_events WHERE producer_id = 'live' AND producer_seq > $1",
                    max(seen, default=0),
                )
                now = time.perf_counter()
                seen.update((row[0], now) for row in rows)
                await asyncio.sleep(0.005)
        finally:
            await connection.close()

    watching = asyncio.ensure_future(watch())
    begin = time.perf_counter()
    for at in range(seconds * rate):
        stamp = emitter.stamp()
        emitted[stamp.producer.seq] = time.perf_counter()
        emitter.emit(make_event(event_id=stamp.event_id, producer=stamp.producer))
        if (ahead := begin + (at + 1) / rate - time.perf_counter()) > 0:
            await asyncio.sleep(ahead)
    while len(seen) < len(emitted):  # noqa: ASYNC110  # it looks, as a reader does
        await asyncio.sleep(0.05)
    for task in (watching, relay):
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    await emitter.aclose()
    await store.close()
    took = sorted(seen[seq] - at for seq, at in emitted.items())
    return statistics.median(took), took[int(len(took) * 0.99)]


CONTENDERS = ("reader", "relay, no sink", "relay, files", "direct form")


def measure(contender: str, records: int, folders: int, dsn: str) -> Measured:
    """One round of one contender, over a spool of its own."""
    root = Path(tempfile.mkdtemp(prefix="lychgate-relay-"))
    try:
        for at in range(folders):
            spooled(root / "spool", f"p{at}", records // folders, segment_bytes=64 << 20, group=500)
        if contender == "reader":
            return read_only(root / "spool")
        if contender == "relay, no sink":
            return through(root / "spool", NullSink)
        if contender == "relay, files":
            return through(root / "spool", lambda: NdjsonSink(root / "files", outward(), LinesRules()))
        return through(root / "spool", lambda: StoreSink(Store(dsn)))
    finally:
        shutil.rmtree(root)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=60_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folders", type=int, default=4)
    parser.add_argument("--seconds", type=int, default=5, help="of the latency line")
    parser.add_argument("--rate", type=int, default=1_000)
    asked = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="lychgate-relay-store-"))
    folder.chmod(0o711)
    server = PostgresServer(folder / "postgres")  # with fsync, as it is run
    server.start()
    try:
        owner = server.dsn()
        asyncio.run(migrate(owner, writer_password=PASSWORD, reader_password=PASSWORD, keeper_password=PASSWORD))
        parts = urlsplit(owner)
        host = parts.netloc.rpartition("@")[2]
        writer = urlunsplit(parts._replace(netloc=f"{WRITER}:{PASSWORD}@{host}"))
        found: dict[str, list[Measured]] = {name: [] for name in CONTENDERS}
        for _ in range(asked.rounds):
            for name in CONTENDERS:
                found[name].append(measure(name, asked.records, asked.folders, writer))
        for name, rounds in found.items():
            wall = statistics.median(each[0] for each in rounds) / asked.records
            cpu = statistics.median(each[1] for each in rounds) / asked.records
            print(f"{name:16} {1 / wall:>10,.0f} records/s  {wall * 1e6:6.1f} us  {cpu * 1e6:6.1f} us CPU of ours")
        root = Path(tempfile.mkdtemp(prefix="lychgate-relay-"))
        half, most = asyncio.run(latency(root, writer, owner, asked.seconds, asked.rate))
        shutil.rmtree(root)
        print(f"{'latency':16} {asked.rate:,}/s: median {half * 1e3:.0f} ms, p99 {most * 1e3:.0f} ms, emit to visible")
        print(f"load average {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores")
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
