"""The store, files and a search engine at once, with real servers: one dies, the others go on; the relay is killed.

What is checked at the end is always the same: every record is in each of them, once.
"""

import asyncio
import json
import sys
from collections import Counter
from pathlib import Path

import asyncpg

from audit.emit import Emitter
from audit.relay import Relay
from audit.relay.relay import Beside
from audit.sinks import StoreSink
from audit.sinks.files import LineFiles, LinesRules
from audit.sinks.ndjson import NdjsonSink
from audit.sinks.search import Engine as Place
from audit.sinks.search import SearchSink
from audit.store import Store
from tests.audit.relay.test_lane import running
from tests.audit.test_relay import stamped, until
from tests.builders.sinks import outward
from tests.builders.spools import spooled
from tests.servers.postgres import Logins
from tests.servers.search import Engine, search_engine

ROOT = Path(__file__).parents[3]
_BOUND = 1 << 30


def relay_of(root: Path, dsn: str, out: Path, url: str) -> Relay:
    """Into all three."""
    refused = LineFiles(out / "refused", "refused", LinesRules())
    return Relay(
        root,
        StoreSink(Store(dsn)),
        beside=[
            Beside(NdjsonSink(out / "files", outward(), LinesRules(rotate_bytes=100_000, keep_files=10_000)), _BOUND),
            Beside(SearchSink(Place(url, timeout_s=1.0), outward(), refused), _BOUND),
        ],
        batch_records=200,
        backoff_max_s=0.2,
    )


async def close(relay: Relay) -> None:
    """Give everything up."""
    for lane in relay.lanes:
        await lane.sink.close()


def in_files(out: Path) -> Counter[tuple[str, int]]:
    """How often each record stands in the files."""
    found: Counter[tuple[str, int]] = Counter()
    for path in (out / "files").glob("audit-*"):
        for line in path.read_bytes().split(b"\n")[:-1]:  # the last is being written, or empty
            producer = json.loads(line)["producer"]
            found[producer["id"], producer["seq"]] += 1
    return found


def in_engine(engine: Engine) -> set[tuple[str, int]]:
    """Which records the engine has."""
    return {(doc["producer"]["id"], doc["producer"]["seq"]) for _, doc in engine.documents.values()}


async def in_store(dsn: str) -> Counter[tuple[str, int]]:
    """How often each record stands in the store."""
    connection = await asyncpg.connect(dsn)
    rows = await connection.fetch("SELECT producer_id, producer_seq FROM audit_events")
    await connection.close()
    return Counter((row[0], row[1]) for row in rows)


async def test_one_dies_and_the_others_go_on(tmp_path: Path, migrated_database: Logins) -> None:
    """The engine hangs, then the files' folder is gone, then the store lets nobody in: the others are current."""
    out = tmp_path / "out"
    emitter = Emitter(tmp_path / "spool" / "p", "p")
    count = 0

    async def emit(more: int) -> None:
        nonlocal count
        for _ in range(more):
            emitter.emit(stamped(emitter))
        count += more
        await asyncio.sleep(0)

    async def store_has_all() -> bool:
        return len(await in_store(migrated_database.owner)) == count

    async with search_engine() as engine:
        relay = relay_of(tmp_path / "spool", migrated_database.writer, out, engine.url)
        async with running(relay):
            await emit(300)
            await until(lambda: len(in_engine(engine)) == count)
            engine.misbehave = "hang"
            await emit(300)
            await until(store_has_all)
            await until(lambda: len(in_files(out)) == count)
            assert len(in_engine(engine)) == 300
            engine.misbehave = ""
            await until(lambda: len(in_engine(engine)) == count)
            # The files' folder is taken away and a file put in its place.
            (out / "files").rename(out / "taken")
            (out / "files").write_text("in the way")
            await emit(300)
            await until(lambda: len(in_engine(engine)) == count)
            await until(store_has_all)
            (out / "files").unlink()
            (out / "taken").rename(out / "files")
            await until(lambda: len(in_files(out)) == count)
            # The store's connections are cut again and again.
            owner = await asyncpg.connect(migrated_database.owner)
            await owner.execute("ALTER ROLE audit_writer CONNECTION LIMIT 0")
            await owner.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'audit_writer'")
            await emit(300)
            await until(lambda: len(in_engine(engine)) == len(in_files(out)) == count)
            await owner.execute("ALTER ROLE audit_writer CONNECTION LIMIT -1")
            await owner.close()
            await until(store_has_all)
            await emitter.aclose()
        assert await relay.flush(10)
        await close(relay)
    everything = {("p", n) for n in range(1, count + 1)}
    assert await in_store(migrated_database.owner) == Counter(everything)
    assert in_files(out) == Counter(everything)
    assert in_engine(engine) == everything


_CHILD = """
import asyncio, sys
from pathlib import Path
from tests.audit.relay.test_sinks_story import relay_of
root, dsn, out, url = sys.argv[1:]
async def main():
    relay = relay_of(Path(root), dsn, Path(out), url)
    print("up", flush=True)
    await relay.run()
asyncio.run(main())
"""


async def test_a_relay_killed_at_any_point_loses_nothing_and_doubles_nothing(
    tmp_path: Path, migrated_database: Logins
) -> None:
    """Killed again and again while it empties two folders into all three; then it is let finish."""
    root, out = tmp_path / "spool", tmp_path / "out"
    for name in ("a", "b"):
        spooled(root, name, 6_000, segment_bytes=300_000, group=100)
    async with search_engine() as engine:
        kills = 0
        while kills < 4:
            command = [sys.executable, "-c", _CHILD, str(root), migrated_database.writer, str(out), engine.url]
            child = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=asyncio.subprocess.PIPE)
            assert child.stdout is not None
            await child.stdout.readline()
            before = len(in_engine(engine))
            await until(lambda before=before: len(in_engine(engine)) >= min(before + 700, 12_000))  # type: ignore[misc]
            child.kill()
            await child.communicate()
            kills += 1
        relay = relay_of(root, migrated_database.writer, out, engine.url)
        async with running(relay):
            await until(lambda: not list(root.glob("*/*.seg")), 30)
        await close(relay)
        everything = {(name, n) for name in ("a", "b") for n in range(1, 6_001)}
        assert await in_store(migrated_database.owner) == Counter(everything)
        assert in_files(out) == Counter(everything), "not one line twice"
        assert in_engine(engine) == everything
        assert engine.faults == []


async def test_a_relay_started_again_after_a_stop_repeats_nothing(tmp_path: Path, migrated_database: Logins) -> None:
    """The cursors of all sinks are saved at a stop: the next start asks for nothing that was taken."""
    root, out = tmp_path / "spool", tmp_path / "out"
    spooled(root, "a", 500, ended=False)
    async with search_engine() as engine:
        for _ in range(2):
            relay = relay_of(root, migrated_database.writer, out, engine.url)
            assert await relay.flush(10)
            await close(relay)
        assert sum(request.path.startswith("/_bulk") for request in engine.asked) <= 4
    assert set(in_files(out).values()) == {1}
