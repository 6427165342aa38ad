"""Tests of `audit.kafka.consumer`, with the relay on the other side of a broker. Several of them: test_group_story."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from prometheus_client import CollectorRegistry

from audit.codec import encode
from audit.emit import Emitter
from audit.ingest import DeadLetter, DeadReason
from audit.kafka.consumer import Consumer
from audit.kafka.message import WATERMARK, Message, event_message
from audit.kafka.producer import KafkaSink
from audit.kafka.writer import KafkaWriter
from audit.metrics import IngestMetrics
from audit.relay import Relay
from audit.store import Offset, Store
from tests.audit.kafka.group import IDS, Topics, count, member, topics
from tests.audit.mock_kafka import MockKafka, mock_kafka
from tests.audit.test_relay import stamped, until
from tests.builders.audit import make_event
from tests.builders.patience import PATIENCE_S
from tests.servers.postgres import Logins

MARKED = [("ce_type", WATERMARK.encode())]


@pytest.fixture
async def owner(migrated_database: Logins) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """The owner's connection."""
    connection = await asyncpg.connect(migrated_database.owner)
    yield connection
    await connection.close()


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


async def test_emitted_records_pass_the_broker_into_the_store_exactly_once(
    tmp_path: Path, migrated_database: Logins, owner: "asyncpg.Connection[asyncpg.Record]", kafka: str
) -> None:
    """Records of two tenants pass all stages; watermarks follow; a late copy adds nothing."""
    emitter = Emitter(tmp_path / "p", "p")
    async with topics(kafka, 3) as of:
        sink = KafkaSink(kafka, of.name, deadline_s=5.0)
        relay = Relay(tmp_path, sink)
        async with member(of, migrated_database.writer), running(relay.run()):
            for number in range(60):
                await emitter.emit_durable(stamped(emitter, tenant_id=("acme", "globex")[number % 2]))

            async def arrived() -> bool:
                return await count(owner) == 60

            await until(arrived, 30)
        await emitter.aclose()
        (tmp_path / "p" / "cursor-kafka.json").unlink(missing_ok=True)  # a lost cursor sends everything again
        relay = Relay(tmp_path, sink)
        async with member(of, migrated_database.writer):
            assert await relay.flush(10)

            async def ended() -> bool:
                return bool(await owner.fetchval("SELECT count(*) = 3 AND bool_and(ended) FROM audit_producers"))

            await until(ended, 30)
            assert await count(owner) == 60
        assert await count(owner, "audit_conflicts") == 0
        await sink.close()


@pytest.fixture
def broker() -> Iterator[MockKafka]:
    """One that can be cut off; it holds one member at a time."""
    with mock_kafka() as made:
        made.create("t", 3)
        yield made


async def test_a_broker_that_was_away_costs_nothing(
    tmp_path: Path, migrated_database: Logins, owner: "asyncpg.Connection[asyncpg.Record]", broker: MockKafka
) -> None:
    """While the broker is down records wait on disk; nothing hangs; when it is back they arrive once."""
    emitter = Emitter(tmp_path / "p", "p")
    sink = KafkaSink(broker.bootstrap_servers, "t", deadline_s=1.0)
    relay = Relay(tmp_path, sink, backoff_max_s=0.2)
    async with (
        member(Topics(broker.bootstrap_servers, "t", 3), migrated_database.writer, session_timeout_s=10.0),
        running(relay.run()),
    ):
        await emitter.emit_durable(stamped(emitter))

        async def rows(number: int) -> bool:
            return await count(owner) == number

        await until(lambda: rows(1), 30)
        broker.down()
        for _ in range(20):
            await emitter.emit_durable(stamped(emitter))
        await until(lambda: relay.status().failures >= 2, 30)
        assert await count(owner) == 1
        broker.up()
        await until(lambda: rows(21), 60)
    await emitter.aclose()
    await asyncio.wait_for(sink.close(), PATIENCE_S)


async def test_poison_neither_stops_its_partition_nor_takes_others_with_it(
    migrated_database: Logins, owner: "asyncpg.Connection[asyncpg.Record]", kafka: str
) -> None:
    """Whatever stands in the topic: the good records are rows, the others letters in the store and in their topic."""
    good = [event_message(encode(make_event(event_id=IDS.next()))) for _ in range(4)]
    disguised = event_message(encode(make_event(event_id=IDS.next())))
    poison = [
        Message(None, b"poison", [], 0),
        Message(None, b"", [], 0),
        Message(None, b"\xff", MARKED, 0),
        Message(None, b'["p",1]', MARKED, 0),
        Message(None, b'["p",1,1e300,false]', MARKED, 0),
        Message(None, b'["p",99999999999999999999999,1,false]', MARKED, 0),
        Message(None, b'["p",1,99999999999999999,false]', MARKED, 0),
        Message(None, b'["a\\u0000b",1,1,false]', MARKED, 0),
        Message(None, b'["",1,1,false]', MARKED, 0),
        Message(None, b"{" + b" " * 900_000, [], 0),
    ]
    async with topics(kafka) as of:
        writer = KafkaWriter(kafka, of.name, deadline_s=5.0, batch_bytes=524_288)
        mixed = [good[0], *poison[:5], good[1], *poison[5:], good[2], disguised._replace(headers=MARKED), good[3]]
        await writer.send([message._replace(partition=0) for message in mixed])
        async with member(of, migrated_database.writer) as one:

            async def passed() -> bool:
                return await owner.fetchval("SELECT max(next_offset) FROM audit_consumer_offsets") == len(mixed)  # type: ignore[no-any-return]

            await until(passed, 30)
            assert one.value("audit_consumer_resets_total", reason="renewed") == 0
        assert await count(owner) == 5
        kept = await owner.fetch("SELECT payload, reason, error, source FROM audit_dead_letters ORDER BY id")
        assert sorted(row["payload"] for row in kept) == sorted(message.value for message in poison)
        assert {row["reason"] for row in kept} == {"malformed"}
        assert kept[0]["source"] == f"{of.name}/0@1"
        letters = AIOKafkaConsumer(of.dead, bootstrap_servers=kafka, auto_offset_reset="earliest")
        await letters.start()
        told: list[bytes] = []
        while len(told) < len(poison):
            found = await letters.getmany(timeout_ms=10_000)
            assert found
            told += [message.value for messages in found.values() for message in messages]
            assert {dict(message.headers)["reason"] for messages in found.values() for message in messages} == {
                b"malformed"
            }
        await letters.stop()
        assert sorted(told) == sorted(message.value for message in poison)
        assert await count(owner, "audit_producers") == 0
        await writer.close()


async def test_a_tombstone_is_a_letter(
    migrated_database: Logins, owner: "asyncpg.Connection[asyncpg.Record]", kafka: str
) -> None:
    """A message without a value is read as one without bytes."""
    from aiokafka import AIOKafkaProducer

    async with topics(kafka) as of:
        producer = AIOKafkaProducer(bootstrap_servers=kafka)
        await producer.start()
        await producer.send_and_wait(of.name, value=None, key=b"acme")
        await producer.stop()
        await of.send(1)
        async with member(of, migrated_database.writer):

            async def passed() -> bool:
                return await count(owner) == 1

            await until(passed, 30)
        [letter] = await owner.fetch("SELECT payload, error FROM audit_dead_letters")
        assert (letter["payload"], letter["error"]) == (b"", "no bytes")


async def test_dead_letters_are_kept_also_without_their_topic(
    migrated_database: Logins, owner: "asyncpg.Connection[asyncpg.Record]", kafka: str
) -> None:
    """Nobody can be told, so that is counted; the partition goes on and the store has the letter."""
    async with topics(kafka) as of:
        of.dead = "t-nobody-made-this-one"
        writer = KafkaWriter(kafka, of.name, deadline_s=5.0, batch_bytes=524_288)
        await writer.send([Message(None, b"poison", [], 0)])
        await of.send(1)
        async with member(of, migrated_database.writer, deadline_s=0.5) as one:

            async def passed() -> bool:
                return await count(owner) == 1

            await until(passed, 30)
            assert one.value("audit_dead_letters_untold_total") == 1
        assert await count(owner, "audit_dead_letters") == 1
        await writer.close()


async def test_a_consumer_that_was_superseded_rejoins_and_nothing_is_read_twice(
    migrated_database: Logins, owner: "asyncpg.Connection[asyncpg.Record]", kafka: str
) -> None:
    """When somebody else has claimed its partitions it is fenced, claims anew, and goes on at the store's offsets."""
    other = Store(migrated_database.writer)

    async def all_there() -> bool:
        return await count(owner) == of.sent

    async with topics(kafka, 3) as of:
        async with member(of, migrated_database.writer) as first:
            await of.send(40)
            await until(all_there, 30)
            before = first.consumer.assigned
            assert before == {0, 1, 2}
            for offset in await other.claim(of.name, before, of.group):
                assert offset.next_offset > 0
            await of.send(40)
            await until(all_there, 60)
            assert (first.value("audit_consumer_fenced_total") or 0) >= 1
        async with member(of, migrated_database.writer):
            await of.send(40)
            await until(all_there, 60)
    epochs = await owner.fetch("SELECT epoch FROM audit_consumer_offsets")
    assert min(row["epoch"] for row in epochs) >= 4  # the first, the other, the first again, the second
    assert await count(owner, "audit_conflicts") == 0
    await other.close()


async def test_lag_is_told_by_partition_and_gone_with_it(
    migrated_database: Logins, owner: "asyncpg.Connection[asyncpg.Record]", kafka: str
) -> None:
    """A partition that another member has taken is no longer spoken of; idle is 0."""
    async with topics(kafka, 2) as of, member(of, migrated_database.writer) as one:
        await of.send(40)
        await until(lambda: one.value("audit_consumer_lag_events", partition="1") == 0, 30)
        assert one.value("audit_consumer_lag_events", partition="0") == 0
        async with member(of, migrated_database.writer) as two:
            await until(lambda: len(two.consumer.assigned) == 1 and len(one.consumer.assigned) == 1, 30)
            [left] = one.consumer.assigned
            await until(lambda: one.value("audit_consumer_lag_events", partition=str(1 - left)) is None, 30)
            await until(lambda: one.value("audit_consumer_lag_events", partition=str(left)) == 0, 30)
        assert one.value("audit_consumer_lag_seconds") == 0


async def test_a_consumer_is_a_value_of_its_parts() -> None:
    """Made without a broker it asks nobody for anything."""
    store = Store("postgresql://nobody@127.0.0.1:1/none")
    made = Consumer("127.0.0.1:1", store, topic="t", dead_letter_topic="d", group_id="g")
    assert made.assigned == frozenset()


async def test_telling_of_letters_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """A topic that refuses them one by one gets on, slowly: the transaction and the group do not wait for that."""
    metrics = IngestMetrics(CollectorRegistry())
    store = Store("postgresql://nobody@127.0.0.1:1/none")
    made = Consumer(
        "127.0.0.1:1", store, topic="t", dead_letter_topic="d", group_id="g", deadline_s=0.05, metrics=metrics
    )

    async def refused_one_by_one(*_: object) -> None:
        await asyncio.sleep(30)

    monkeypatch.setattr(made._dead_letters, "send", refused_one_by_one)
    async with asyncio.timeout(PATIENCE_S):
        await made._tell([DeadLetter(b"x", DeadReason.MALFORMED, "no")] * 7)
    assert metrics.untold._value.get() == 7


async def test_what_was_not_looked_at_yet_is_looked_at_after_a_failure() -> None:
    """The store fails between a claim and its first record: the record before is compared all the same."""
    made = Consumer(
        "127.0.0.1:1", Store("postgresql://nobody@127.0.0.1:1/none"), topic="t", dead_letter_topic="d", group_id="g"
    )
    known, fresh, lost = (TopicPartition("t", number) for number in range(3))
    made._claims = {
        known: Offset("t", 0, "g", 7, 1, anchor=5),
        fresh: Offset("t", 1, "g", 7, 1),
        lost: Offset("t", 2, "g", 7, 1, anchor=5),
    }
    sought: dict[TopicPartition, int] = {}
    made._rewind(cast("AIOKafkaConsumer", SimpleNamespace(assignment=lambda: {known, fresh}, seek=sought.__setitem__)))
    assert sought == {known: 6, fresh: 7}
