"""A host that is gone: what readers see while it holds them back, what giving it up does, and what if it comes back."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from audit.codec import encode
from audit.emit import Emitter
from audit.event import Producer
from audit.ids import EventIds
from audit.keeper.jobs import opened
from audit.keeper.retire import openings, retire
from audit.ranges import RangeSet
from audit.relay import Relay
from audit.sinks import StoreSink
from audit.spool.adopt import loss_event
from audit.store import Store
from tests.audit.test_relay import stamped, until
from tests.builders.aged import ask
from tests.builders.audit import make_event
from tests.servers.postgres import Logins

ROOT = Path(__file__).parents[3]
LATE = "SELECT tenant_id, body FROM audit_events WHERE event_type = 'audit.late'"
OF_CHILD = "SELECT count(*) AS rows FROM audit_events WHERE producer_id = 'child'"
SILENCE = "UPDATE audit_producers SET reported_at = now() - interval '2 minutes' WHERE producer_id = $1 RETURNING 1"


@asynccontextmanager
async def relaying(root: Path, logins: Logins) -> AsyncIterator[Relay]:
    """A relay of a machine, straight into the store."""
    store = Store(logins.writer)
    relay = Relay(root, StoreSink(store), adopt_after_s=3600)
    task = asyncio.ensure_future(relay.run())
    try:
        yield relay
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await store.close()


async def through(logins: Logins) -> datetime:
    """What readers are told."""
    [row] = await ask(logins.reader, "SELECT audit_complete_through() AS at")
    at: datetime = row["at"]
    return at


async def test_a_host_that_is_gone_holds_readers_until_it_is_given_up(
    tmp_path: Path, migrated_database: Logins
) -> None:
    """Killed with records on its disk, and the disk gone: readers stand still, the store says for whom, and go on.

    When the disk comes back after all its records are taken, and readers are told which.
    """
    gone, here = tmp_path / "gone", tmp_path / "here"
    other = Emitter(here / "other", "other")
    child = subprocess.Popen(  # noqa: ASYNC220  # it is killed in the middle of its work
        [sys.executable, "-m", "tests.audit.child", str(gone / "child"), "durable"], stdout=subprocess.PIPE, cwd=ROOT
    )
    acked: list[int] = []

    def listen() -> None:
        assert child.stdout is not None
        acked.extend(int(line.split()[1]) for line in child.stdout if line.startswith(b"acked"))

    listening = threading.Thread(target=listen)
    listening.start()
    async with relaying(here, migrated_database):
        async with relaying(gone, migrated_database):

            async def known() -> bool:
                rows = await ask(migrated_database.owner, "SELECT 1 FROM audit_producers")
                return len(rows) == 2 and len(await ask(migrated_database.owner, "SELECT 1 FROM audit_events")) > 50

            await until(known, 30)
        # Its relay is gone, and it goes on writing for a moment: these records are on its disk only.
        delivered = len(acked)
        await until(lambda: len(acked) > delivered + 200, 30)
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        killed_at = datetime.now(UTC)
        listening.join()
        if child.stdout is not None:
            child.stdout.close()
        shutil.move(gone, tmp_path / "elsewhere")

        async def holds() -> bool:
            found = await ask(
                migrated_database.keeper, "SELECT holds FROM audit_producer_states() WHERE producer = 'child'"
            )
            return bool(found[0]["holds"])

        await until(holds, 30)
        held = await through(migrated_database)
        for _ in range(3):
            await other.emit_durable(stamped(other))
            await asyncio.sleep(0.5)
        assert await through(migrated_database) == held
        async with opened(migrated_database.keeper) as keeper:
            [opening] = await openings(keeper, "child")
            assert opening.holds
            assert not await retire(keeper, "child", opening, by="ada"), "it has only just reported"
            await ask(migrated_database.owner, SILENCE, "child")
            [opening] = await openings(keeper, "child")
            assert (opening.state, opening.holds, opening.lives) == ("silent", True, False)
            assert 0 < opening.last_seq < max(acked)
            assert await retire(keeper, "child", opening, by="ada")
            assert not await retire(keeper, "child", opening, by="ada"), "once is enough"
            [again] = await openings(keeper, "child")
            assert (again.state, again.holds) == ("retired", False)
        assert await through(migrated_database) > held

        [loss] = await ask(migrated_database.owner, "SELECT * FROM audit_events WHERE event_type = 'audit.loss'")
        assert (loss["tenant_id"], loss["producer_id"], loss["severity"]) == ("-", "child", 6)
        details = json.loads(loss["body"])["details"]
        assert (details["reason"], details["epoch"], details["declared_by"]) == ("retired", opening.epoch, "ada")
        assert details["unknown_beyond"] == opening.last_seq
        assert datetime.fromisoformat(details["watermark"]) == opening.watermark

        async def passed() -> bool:
            return await through(migrated_database) > killed_at

        await until(passed, 30)  # so that all of its records are below what readers were told
        told = await through(migrated_database)
        lost = await ask(migrated_database.owner, OF_CHILD)
        async with relaying(tmp_path / "elsewhere", migrated_database) as relay:

            async def back() -> bool:
                late = await ask(migrated_database.owner, LATE)
                return bool(late) and relay.status().caught_up

            await until(back, 30)
            late = await ask(migrated_database.owner, LATE)
            assert {row["tenant_id"] for row in late} == {"acme"}
            counted = sum(json.loads(row["body"])["details"]["count"] for row in late)
            rows = await ask(migrated_database.owner, OF_CHILD)
            assert counted == rows[0]["rows"] - lost[0]["rows"] > 0
        assert await through(migrated_database) >= told
    await other.aclose()


async def test_what_is_known_of_its_numbers(migrated_database: Logins) -> None:
    """Gaps below the last number are missing, but for those that a loss event has named already."""
    ids = EventIds()
    store = Store(migrated_database.writer)
    await store.report([("p", 7, -1, 1, 5_000, False)])
    events = [make_event(event_id=ids.next(), producer=Producer("p", 7, seq)) for seq in (1, 2, 5, 9, 10)]
    named = loss_event("p", 7, RangeSet([(6, 7)]), reason="shed", event_id=ids.next(), now_ns=10**18)
    others = [make_event(event_id=ids.next(), producer=Producer("p", 8, 20))]
    await store.write([encode(event) for event in (*events, named, *others)])
    await store.close()
    async with opened(migrated_database.keeper) as keeper:
        [opening] = await openings(keeper, "p")
        assert (opening.last_seq, opening.missing, opening.missing_count) == (10, [[3, 4], [8, 8]], 3)
        assert await openings(keeper, "nobody") == []


async def test_one_that_still_reports_can_be_forced_and_counts_again_when_it_has_caught_up(
    migrated_database: Logins,
) -> None:
    """Stuck and given up it holds nobody; once its watermark is where readers are, it is waited for again."""
    store = Store(migrated_database.writer)
    await store.report([("stuck", 1, -1, 1, 5_000, False), ("other", 1, -1, 1, 9_000, False)])
    async with opened(migrated_database.keeper) as keeper:
        [opening] = await openings(keeper, "stuck")
        assert not await retire(keeper, "stuck", opening, by="ada")
        assert await retire(keeper, "stuck", opening, by="ada", force=True)

        async def at() -> float:
            answer: float = await keeper.fetchval("SELECT extract(epoch FROM audit_complete_through())::float8")
            return answer

        assert await at() == 9
        await store.report([("stuck", 1, -1, 1, 6_000, False), ("other", 1, -1, 1, 20_000, False)])
        assert await at() == 20, "it reports, and has not caught up"
        await store.report([("stuck", 1, -1, 1, 21_000, False), ("other", 1, -1, 1, 30_000, False)])
        assert await at() == 21
        gone = await ask(migrated_database.owner, "SELECT audit_producer_gone('stuck', 1) AS gone")
        assert gone[0]["gone"] is False
    await store.close()


async def test_a_number_of_one_opening_only_is_given_up(migrated_database: Logins) -> None:
    """Of two lives of one name, the one that was named."""
    store = Store(migrated_database.writer)
    await store.report([("p", 100_001, -1, 1, 5_000, False), ("p", 200_001, -1, 1, 9_000, False)])
    async with opened(migrated_database.keeper) as keeper:
        first = next(each for each in await openings(keeper, "p") if each.holds)
        assert first.epoch == 100_001
        assert await retire(keeper, "p", first, by="ada", force=True)
        assert {each.epoch: each.state for each in await openings(keeper, "p")} == {
            100_001: "retired", 200_001: "reporting",
        }  # fmt: skip
    await store.close()
