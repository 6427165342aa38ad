"""Tests of `audit.kafka.writer` and `audit.kafka.producer`: what a broker does must not hang us."""

import asyncio
import socket
import time

import pytest
from aiokafka import AIOKafkaConsumer

from audit.errors import SinkUnavailable
from audit.kafka.message import Message
from audit.kafka.producer import KafkaSink
from audit.kafka.writer import KafkaWriter
from tests.audit.mock_kafka import mock_kafka

TOPIC = "t"


@pytest.mark.parametrize("answering", [False, True])
async def test_a_broker_that_is_not_there_is_given_up_in_time(answering: bool) -> None:
    """Refused, or accepted and never answered: it is an error of ours in time, and closing does not hang."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        if not answering:
            listener.close()
        sink = KafkaSink(f"127.0.0.1:{port}", TOPIC, deadline_s=0.5)
        began = time.monotonic()
        with pytest.raises(SinkUnavailable):
            await sink.deliver([b"x"])
        with pytest.raises(SinkUnavailable):
            await sink.ping()
        await sink.close()
        assert time.monotonic() - began < 10


async def test_a_broker_that_goes_away_is_an_unknown_and_it_comes_back() -> None:
    """Messages that were not acknowledged raise; the writer works again when the broker does."""
    with mock_kafka() as broker:
        broker.create(TOPIC, 2)
        writer = KafkaWriter(broker.bootstrap_servers, TOPIC, deadline_s=1.0, batch_bytes=524_288)
        messages = [Message(b"k", b"v" * 1000, []) for _ in range(10)]
        await writer.send(messages)
        assert await writer.partitions() == [0, 1]
        broker.down()
        with pytest.raises(SinkUnavailable):
            await writer.send(messages)
        broker.up()
        deadline = time.monotonic() + 20
        while True:
            try:
                await writer.send(messages)
                break
            except SinkUnavailable:
                assert time.monotonic() < deadline
                await asyncio.sleep(0.05)
        await writer.close()


async def test_many_large_messages_are_cut_into_batches() -> None:
    """More than fits into one batch goes in several; one that is larger than a batch goes alone."""
    with mock_kafka() as broker:
        broker.create(TOPIC, 1)
        writer = KafkaWriter(broker.bootstrap_servers, TOPIC, deadline_s=5.0, batch_bytes=20_000)
        await writer.send([Message(b"k", bytes([number]) * 8_000, []) for number in range(10)])
        await writer.send([Message(b"k", b"x" * 30_000, []), Message(b"k", b"y" * 30_000, [])])
        consumer = AIOKafkaConsumer(TOPIC, bootstrap_servers=broker.bootstrap_servers, auto_offset_reset="earliest")
        await consumer.start()
        sizes: list[int] = []
        while len(sizes) < 12:
            sizes += [len(each.value) for group in (await consumer.getmany(timeout_ms=500)).values() for each in group]
        await consumer.stop()
        assert sizes == [8_000] * 10 + [30_000] * 2
        await writer.close()
