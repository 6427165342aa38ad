"""Tests of `audit.kafka.writer`: in order, in time, and one message that is refused stops no other."""

import asyncio
import random
import socket
import time
from collections.abc import Sequence

import pytest

from audit.errors import Cause, SinkUnavailable
from audit.kafka.message import Message
from audit.kafka.writer import KafkaWriter, Refused
from tests.audit.mock_kafka import mock_kafka
from tests.audit.test_relay import until
from tests.builders.patience import PATIENCE_S
from tests.servers.kafka.admin import create_topic
from tests.servers.kafka.broker import Broker, read_topic
from tests.servers.kafka.server import topic

BATCH_BYTES = 524_288


def writer_of(servers: str, name: str, *, deadline_s: float = 10.0, batch_bytes: int = BATCH_BYTES) -> KafkaWriter:
    """A writer."""
    return KafkaWriter(servers, name, deadline_s=deadline_s, batch_bytes=batch_bytes)


def numbered(count: int, size: int = 0, tenants: int = 1) -> list[Message]:
    """Messages whose value begins with their number, of some tenants by turns."""
    return [Message(f"t{each % tenants}".encode(), b"%06d" % each + b"." * size, []) for each in range(count)]


@pytest.mark.parametrize("answering", [False, True])
async def test_a_broker_that_is_not_there_is_given_up_in_time(answering: bool) -> None:
    """Refused, or accepted and never answered: an error of ours in time that says which, and closing does not hang."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        if not answering:
            listener.close()
        writer = writer_of(f"127.0.0.1:{port}", "t", deadline_s=0.5)
        began = time.monotonic()
        with pytest.raises(SinkUnavailable) as sent:
            await writer.send(numbered(1))
        with pytest.raises(SinkUnavailable):
            await writer.partitions()
        await writer.close()
        assert time.monotonic() - began < 15  # aiokafka's own patience is 40 s
        assert sent.value.cause is (Cause.TIMEOUT if answering else Cause.CONNECTION)
        assert f"127.0.0.1:{port}" in str(sent.value)
    await until(lambda: len(asyncio.all_tasks()) == 1)


async def test_a_broker_that_goes_away_is_an_unknown_and_it_comes_back() -> None:
    """Messages that were not acknowledged raise; the writer works again when the broker does."""
    with mock_kafka() as broker:
        broker.create("t", 2)
        writer = writer_of(broker.bootstrap_servers, "t", deadline_s=1.0)
        messages = numbered(10, 1000)
        await writer.send(messages)
        assert await writer.partitions() == [0, 1]
        broker.down()
        with pytest.raises(SinkUnavailable):
            await writer.send(messages)
        broker.up()
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                await writer.send(messages)
                break
            except SinkUnavailable:
                assert time.monotonic() < deadline
                await asyncio.sleep(0.05)
        await writer.close()


async def test_what_is_sent_stands_in_the_topic_in_order(broker: Broker) -> None:
    """Every message once; each key in one partition, its messages in the order they were given; key and headers."""
    name = await broker.topic(6)
    writer = writer_of(broker.bootstrap_servers, name, batch_bytes=20_000)
    sent = numbered(600, 300, tenants=12)
    await writer.send(sent[:250])
    await writer.send(sent[250:])
    await writer.close()
    found = await read_topic(broker.bootstrap_servers, name)
    assert len(found) == len(sent)
    for key in {message.key for message in sent}:
        mine = [each for each in found if each.key == key]
        assert len({each.partition for each in mine}) == 1
        assert [each.value for each in mine] == [message.value for message in sent if message.key == key]
    assert len({each.partition for each in found}) > 4  # more than go into one request


async def test_many_large_messages_are_cut_into_batches(broker: Broker) -> None:
    """More than fits into one batch goes in several; one that is larger than a batch goes alone."""
    name = await broker.topic(1)
    writer = writer_of(broker.bootstrap_servers, name, batch_bytes=20_000)
    await writer.send([Message(b"k", bytes([number]) * 8_000, []) for number in range(10)])
    await writer.send([Message(b"k", b"x" * 30_000, []), Message(b"k", b"y" * 30_000, [])])
    await writer.close()
    assert [len(each.value) for each in await read_topic(broker.bootstrap_servers, name)] == [8_000] * 10 + [30_000] * 2


async def test_two_callers_take_turns(broker: Broker) -> None:
    """Both are served, one after the other; nothing is mixed up or lost."""
    name = await broker.topic(1)
    writer = writer_of(broker.bootstrap_servers, name, batch_bytes=300)
    await asyncio.gather(writer.send(numbered(50)), writer.send(numbered(50)), writer.partitions())
    await writer.close()
    found = [each.value for each in await read_topic(broker.bootstrap_servers, name)]
    assert found == [message.value for message in numbered(50)] * 2


async def test_leaders_may_move_between_and_within_batches() -> None:
    """Order holds over a change of leader: what was not acknowledged is sent again to the new one."""
    with mock_kafka(brokers=2) as brokers:
        brokers.create("t", 1)
        writer = writer_of(brokers.bootstrap_servers, "t", batch_bytes=2_000)
        sent = numbered(400, 200)

        async def moving() -> None:
            for number in range(1000):
                brokers.lead("t", 0, number % 2 + 1)
                await asyncio.sleep(0.03)

        mover = asyncio.ensure_future(moving())
        for start in range(0, len(sent), 100):
            await writer.send(sent[start : start + 100])
        mover.cancel()
        await writer.close()
        found = [each.value for each in await read_topic(brokers.bootstrap_servers, "t")]
    assert list(dict.fromkeys(found)) == [message.value for message in sent]


async def test_a_message_the_topic_never_takes_is_set_aside_and_stops_no_other(kafka: str) -> None:
    """Refused for its size: the rest of its batch and its lane go in order, and nothing is there twice."""
    name = topic()
    await create_topic(kafka, name, 2, settings={"max.message.bytes": "4000", "compression.type": "uncompressed"})
    noise = [random.Random(seed).randbytes(9_000) for seed in range(2)]
    sent = numbered(60, tenants=3)
    sent.insert(31, Message(b"t1", noise[0], []))
    sent.insert(5, Message(b"t1", noise[1], []))
    aside: list[Refused] = []

    async def set_aside(refused: Sequence[Refused]) -> None:
        aside.extend(refused)

    writer = writer_of(kafka, name)
    await writer.send(sent, set_aside)
    await writer.send(numbered(1), set_aside)
    with pytest.raises(SinkUnavailable, match="does not take records of 9000 bytes"):
        await writer.send([sent[5]])
    await writer.close()
    assert [each.message for each in aside] == [sent[5], sent[32]]
    assert "MessageSizeTooLarge" in aside[0].error
    found = await read_topic(kafka, name)
    for key in (b"t0", b"t1", b"t2"):
        expected = [each.value for each in sent if each.key == key and len(each.value) < 4000]
        assert [each.value for each in found if each.key == key] == expected + [b"000000"] * (key == b"t0")


async def test_a_topic_that_takes_only_small_batches_is_served_all_the_same(kafka: str) -> None:
    """No message is at fault, only their number together: all arrive, in order, once."""
    name = topic()
    await create_topic(kafka, name, 1, settings={"max.message.bytes": "2000"})
    writer = writer_of(kafka, name, batch_bytes=8_000)
    sent = [Message(b"k", b"%06d" % each + str(each**97).encode(), []) for each in range(100, 200)]
    await writer.send(sent)
    await writer.close()
    assert [each.value for each in await read_topic(kafka, name)] == [message.value for message in sent]


async def test_a_topic_that_is_not_there_is_named(kafka: str) -> None:
    """In time, and by name."""
    writer = writer_of(kafka, "missing", deadline_s=1.0)
    with pytest.raises(SinkUnavailable, match="there is no topic `missing`") as sent:
        await writer.send(numbered(1))
    await writer.close()
    assert sent.value.cause is Cause.TARGET


async def test_a_slow_broker_is_given_time_as_long_as_it_acknowledges() -> None:
    """All of it takes longer than the deadline, no batch does: otherwise it would be sent again for ever."""
    with mock_kafka() as broker:
        broker.create("t", 1)
        writer = writer_of(broker.bootstrap_servers, "t", deadline_s=3.0, batch_bytes=2_000)
        await writer.send(numbered(1))
        broker.slow(400)
        began = time.monotonic()
        await writer.send(numbered(10, 1_000))
        assert time.monotonic() - began > 3.0
        await writer.close()


async def test_who_waits_in_vain_for_his_turn_does_not_end_another_s() -> None:
    """The second gives up in time; the first, who is slow and gets on, is not disturbed."""
    with mock_kafka() as broker:
        broker.create("t", 1)
        writer = writer_of(broker.bootstrap_servers, "t", deadline_s=3.0, batch_bytes=2_000)
        await writer.send(numbered(1))
        broker.slow(400)
        producer = writer._producer
        first = asyncio.ensure_future(writer.send(numbered(12, 1_000)))
        await asyncio.sleep(0)
        with pytest.raises(SinkUnavailable):
            await writer.partitions()
        await first
        assert writer._producer is producer
        await writer.close()
