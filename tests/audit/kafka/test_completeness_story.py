"""Behind a real Apache Kafka: who is gone holds readers back in every lane; a clock in 2030 is told by the broker."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import asyncpg

from audit.emit import Emitter
from audit.kafka.consumer import Consumer
from audit.kafka.producer import KafkaSink
from audit.keeper.jobs import opened
from audit.keeper.retire import openings, retire
from audit.relay import Relay
from audit.store import Store
from tests.audit.test_relay import stamped, until
from tests.builders.patience import PATIENCE_S
from tests.gateway.supervisor.test_clock_story import FAKETIME
from tests.servers.kafka.admin import create_topic
from tests.servers.kafka.server import topic, unavailable
from tests.servers.postgres import Logins

ROOT = Path(__file__).parents[3]
HOLDER = "SELECT producer FROM audit_producer_states() WHERE holds LIMIT 1"
SENDING = """
import asyncio, sys
from audit.errors import SinkUnavailable
from audit.kafka.message import Message
from audit.kafka.writer import KafkaWriter

async def main():
    writer = KafkaWriter(sys.argv[1], sys.argv[2], deadline_s=10.0, batch_bytes=524_288)
    try:
        await writer.send([Message(None, b"x", [], 0)])
    except SinkUnavailable as exc:
        print(type(exc).__name__)
    await writer.close()

asyncio.run(main())
"""


@asynccontextmanager
async def machine(root: Path, servers: str, name: str) -> AsyncIterator[Relay]:
    """A relay of a machine, into the topic."""
    sink = KafkaSink(servers, name, deadline_s=5.0)
    relay = Relay(root, sink, adopt_after_s=3600)
    task = asyncio.ensure_future(relay.run())
    try:
        yield relay
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await sink.close()


async def test_who_is_gone_holds_readers_back_through_the_broker(
    tmp_path: Path, migrated_database: Logins, kafka: str
) -> None:
    """Nothing is answered before every lane has spoken; the one that is gone holds; given up, readers go on."""
    name = topic()
    await create_topic(kafka, name, 3)
    gone, here = Emitter(tmp_path / "gone" / "gone", "gone"), Emitter(tmp_path / "here" / "here", "here")
    store = Store(migrated_database.writer)
    consumer = Consumer(kafka, store, topic=name, dead_letter_topic=f"{name}.dlq", group_id=name, deadline_s=5.0)
    consuming = asyncio.ensure_future(consumer.run())
    reader = await asyncpg.connect(migrated_database.reader)

    async def through() -> float:
        answer: float | None = await reader.fetchval("SELECT extract(epoch FROM audit_complete_through())::float8")
        return answer or 0.0

    async def holder() -> str | None:
        async with opened(migrated_database.keeper) as keeper:
            found: str | None = await keeper.fetchval(
                "SELECT producer FROM audit_producer_states() WHERE holds LIMIT 1"
            )
            return found

    async with machine(tmp_path / "here", kafka, name):
        async with machine(tmp_path / "gone", kafka, name):
            for number in range(20):
                await gone.emit_durable(stamped(gone, tenant_id=f"tenant-{number}"))
                await here.emit_durable(stamped(here, tenant_id=f"tenant-{number}"))
            began = (await asyncio.to_thread(os.stat, tmp_path)).st_mtime

            async def advanced() -> bool:
                return await through() >= began

            await until(advanced, 40)

        async def gone_holds() -> bool:
            return await holder() == "gone"

        await until(gone_holds, 30)
        held = 0.0
        async with asyncio.timeout(PATIENCE_S):  # what it said before it went may still be on its way, and moves them
            while held != await through():
                held = await through()
                await asyncio.sleep(1.5)
        async with opened(migrated_database.keeper) as keeper:
            [opening] = await openings(keeper, "gone")
            assert opening.last_seq == 20
            assert await retire(keeper, "gone", opening, by="ada", force=True)
        assert await through() > held
    consuming.cancel()
    with suppress(asyncio.CancelledError):
        await consuming
    for emitter in (gone, here):
        await emitter.aclose()
    await reader.close()
    await store.close()


async def test_the_broker_refuses_a_clock_in_2030(kafka: str) -> None:
    """And says so in a way that readiness understands; a spool keeps what it was given meanwhile."""
    if not FAKETIME.exists():
        unavailable("libfaketime is not on this machine (Debian's libfaketime): no process can live in 2030")
    name = topic()
    await create_topic(kafka, name, 1)
    for offset, said in (("+4y", "ClockRefused"), ("+0", "")):
        environment = {
            **os.environ,
            "LD_PRELOAD": str(FAKETIME),
            "FAKETIME": offset,
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
        done = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-c", SENDING, kafka, name],
            env=environment, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        assert done.stdout.strip() == said, done.stderr
