"""Tests of `audit.kafka.consumer`, with the relay on the other side of a broker that speaks the real protocol."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer

from audit.emit import Emitter
from audit.kafka.consumer import Consumer
from audit.kafka.message import Message
from audit.kafka.producer import KafkaSink
from audit.kafka.writer import KafkaWriter
from audit.relay import Relay
from audit.store import Store
from tests.audit.mock_kafka import MockKafka, mock_kafka
from tests.audit.test_relay import stamped, until
from tests.servers.postgres import Logins

TOPIC, DEAD = "audit.events.v1", "audit.events.v1.dlq"


@pytest.fixture
def broker() -> Iterator[MockKafka]:
    """A broker with the two topics."""
    with mock_kafka() as kafka:
        kafka.create(TOPIC, 3)
        kafka.create(DEAD, 1)
        yield kafka


@asynccontextmanager
async def running(*coroutines: object) -> AsyncIterator[None]:
    """Run coroutines for the time of the block."""
    tasks = [asyncio.ensure_future(each) for each in coroutines]  # type: ignore[call-overload]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task


@asynccontextmanager
async def consumer(broker: MockKafka, migrated_database: Logins) -> AsyncIterator[Consumer]:
    """A consumer with a store of its own."""
    store = Store(migrated_database.writer)
    made = Consumer(
        broker.bootstrap_servers, store, topic=TOPIC, dead_letter_topic=DEAD, group_id="store", deadline_s=3.0
    )
    async with running(made.run()):
        yield made
    await store.close()


async def count(connection: "asyncpg.Connection[asyncpg.Record]", table: str = "audit_events") -> int:
    """How many rows."""
    return int(await connection.fetchval(f"SELECT count(*) FROM {table}"))  # noqa: S608  # names of ours


async def test_emitted_records_pass_the_broker_into_the_store_exactly_once(
    tmp_path: Path, migrated_database: Logins, broker: MockKafka
) -> None:
    """Records of two tenants pass all stages; watermarks follow; a late copy adds nothing."""
    emitter = Emitter(tmp_path / "p", "p")
    sink = KafkaSink(broker.bootstrap_servers, TOPIC, deadline_s=3.0)
    relay = Relay(tmp_path, sink)
    connection = await asyncpg.connect(migrated_database.owner)
    async with consumer(broker, migrated_database), running(relay.run()):
        for number in range(60):
            await emitter.emit_durable(stamped(emitter, tenant_id=("acme", "globex")[number % 2]))

        async def arrived() -> bool:
            return await count(connection) == 60

        await until(arrived, 30)
    await emitter.aclose()
    (tmp_path / "p" / "cursor-kafka.json").unlink(missing_ok=True)  # a lost cursor sends everything again
    relay = Relay(tmp_path, sink)
    async with consumer(broker, migrated_database):
        assert await relay.flush(10)

        async def ended() -> bool:
            return bool(await connection.fetchval("SELECT count(*) = 3 AND bool_and(ended) FROM audit_producers"))

        await until(ended, 30)
        assert await count(connection) == 60
    assert await count(connection, "audit_conflicts") == 0
    await sink.close()
    await connection.close()


async def test_a_broker_that_was_away_costs_nothing(
    tmp_path: Path, migrated_database: Logins, broker: MockKafka
) -> None:
    """While the broker is down records wait on disk; nothing hangs; when it is back they arrive once."""
    emitter = Emitter(tmp_path / "p", "p")
    sink = KafkaSink(broker.bootstrap_servers, TOPIC, deadline_s=1.0)
    relay = Relay(tmp_path, sink, backoff_max_s=0.2)
    connection = await asyncpg.connect(migrated_database.owner)
    async with consumer(broker, migrated_database), running(relay.run()):
        await emitter.emit_durable(stamped(emitter))

        async def rows(number: int) -> bool:
            return await count(connection) == number

        await until(lambda: rows(1), 30)
        broker.down()
        for _ in range(20):
            await emitter.emit_durable(stamped(emitter))
        await until(lambda: relay.status().failures >= 2, 30)
        assert await count(connection) == 1
        broker.up()
        await until(lambda: rows(21), 60)
    await emitter.aclose()
    await asyncio.wait_for(sink.close(), 5)
    await connection.close()


async def test_poison_goes_to_the_dead_letter_topic(migrated_database: Logins, broker: MockKafka) -> None:
    """What cannot become a row goes to the other topic with its reason, and its partition goes on."""
    writer = KafkaWriter(broker.bootstrap_servers, TOPIC, deadline_s=3.0, batch_bytes=524_288)
    await writer.send([Message(None, b"poison", [], 1), Message(None, b"\xff", [("ce_type", b"audit.watermark")], 1)])
    connection = await asyncpg.connect(migrated_database.owner)
    async with consumer(broker, migrated_database):

        async def passed() -> bool:
            return await connection.fetchval("SELECT max(next_offset) FROM audit_consumer_offsets") == 2  # type: ignore[no-any-return]

        await until(passed, 30)
    letters = AIOKafkaConsumer(DEAD, bootstrap_servers=broker.bootstrap_servers, auto_offset_reset="earliest")
    await letters.start()
    found = await letters.getmany(timeout_ms=5000)
    await letters.stop()
    read = [(message.value, dict(message.headers)["reason"]) for messages in found.values() for message in messages]
    assert read == [(b"poison", b"malformed"), (b"\xff", b"malformed")]
    assert await count(connection) == 0
    await writer.close()
    await connection.close()


async def test_a_consumer_that_was_superseded_rejoins_and_nothing_is_read_twice(
    tmp_path: Path, migrated_database: Logins, broker: MockKafka
) -> None:
    """When somebody else has claimed its partitions it is fenced, claims anew, and goes on at the store's offsets."""
    # One member at a time: the mock's group coordinator cannot rebalance two aiokafka members (SyncGroup is refused).
    emitter = Emitter(tmp_path / "p", "p")
    sink = KafkaSink(broker.bootstrap_servers, TOPIC, deadline_s=3.0)
    relay = Relay(tmp_path, sink)
    other = Store(migrated_database.writer)
    connection = await asyncpg.connect(migrated_database.owner)
    sent = 0

    async def send(number: int) -> None:
        nonlocal sent
        for index in range(number):
            await emitter.emit_durable(stamped(emitter, tenant_id=f"tenant-{index}"))
        sent += number

    async def all_there() -> bool:
        return await count(connection) == sent

    async with running(relay.run()):
        async with consumer(broker, migrated_database) as first:
            await send(20)
            await until(all_there, 30)
            before = first.assigned
            assert before == {0, 1, 2}
            for offset in await other.claim(TOPIC, before, "store"):
                assert offset.next_offset > 0
            await send(20)
            await until(all_there, 60)
        async with consumer(broker, migrated_database):
            await send(20)
            await until(all_there, 60)
    epochs = await connection.fetch("SELECT epoch FROM audit_consumer_offsets")
    assert min(row["epoch"] for row in epochs) >= 4  # the first, the other, the first again, the second
    assert await count(connection, "audit_conflicts") == 0
    await emitter.aclose()
    await sink.close()
    await other.close()
    await connection.close()
