"""Tests of `audit.kafka.abandon` and of deadlines: a real broker that falls silent hangs nothing."""

import asyncio
import gc
import random
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer

from audit.errors import Cause, SinkUnavailable
from audit.kafka.abandon import Throwaway, dismiss
from audit.kafka.bootstrap import tidy
from audit.kafka.connection import Connection
from audit.kafka.message import Message
from audit.kafka.producer import KafkaSink
from audit.kafka.writer import KafkaWriter
from audit.settings import KafkaSettings
from audit.settings.kafka import Compression
from tests.audit.test_relay import until
from tests.builders.patience import PATIENCE_S
from tests.servers.kafka.admin import create_topic
from tests.servers.kafka.broker import read_topic
from tests.servers.kafka.server import KafkaServer, own_server, topic

DEADLINE_S = 0.5
GIVEN_UP_WITHIN_S = 10.0
"""The deadline, the look at what is wrong and the end of what was started are 2.5; aiokafka's own patience is 40."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaServer]:
    """A broker that tests here make silent; its controller, silent as long, does not take it for dead on waking."""
    made = own_server(tmp_path_factory.mktemp("kafka"), settings={"broker.session.timeout.ms": "600000"})
    made.start()
    try:
        yield made
    finally:
        made.kill()


@contextmanager
def silent(server: KafkaServer) -> Iterator[None]:
    """It holds its connections and answers nothing."""
    server.signal(signal.SIGSTOP)
    try:
        yield
    finally:
        server.signal(signal.SIGCONT)


def open_files() -> int:
    """Of this process."""
    return len(list(Path("/proc/self/fd").iterdir()))


def writer_of(server: KafkaServer, name: str) -> KafkaWriter:
    """One that compresses nothing."""
    plain = Connection(server.bootstrap_servers, KafkaSettings(compression=Compression.NONE))
    return KafkaWriter(plain, name, deadline_s=DEADLINE_S, batch_bytes=524_288)


async def sent_at_last(writer: KafkaWriter, messages: list[Message]) -> None:
    """As the relay does it: again and again, all of it."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            return await writer.send(messages)
        except SinkUnavailable:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)


async def test_a_silent_broker_is_given_up_in_time_and_a_late_copy_harms_nothing(server: KafkaServer) -> None:
    """Given up with batches under way, sent again when it wakes: all is there, first appearances in order."""
    name = topic()
    await create_topic(server.bootstrap_servers, name, 2)
    writer = writer_of(server, name)
    dice = random.Random(1)
    sent = [Message(b"t%d" % (each % 4), b"%06d" % each + dice.randbytes(2_000), []) for each in range(1_500)]
    await sent_at_last(writer, sent[:100])
    files = open_files()
    with silent(server):
        for _ in range(2):
            began = time.monotonic()
            with pytest.raises(SinkUnavailable) as said:
                await writer.send(sent[100:])
            assert time.monotonic() - began < GIVEN_UP_WITHIN_S
            assert said.value.cause is Cause.TIMEOUT
            assert "does not answer" in str(said.value)
        await until(lambda: len(asyncio.all_tasks()) == 1 and open_files() < files)
    writer._deadline_s = 60.0  # if it gave up again it would add copies that are in order
    await writer.send(sent[100:])
    await writer.close()
    found = await read_topic(server.bootstrap_servers, name)
    for key in {message.key for message in sent}:
        first = list(dict.fromkeys(each.value for each in found if each.key == key))
        assert first == [message.value for message in sent if message.key == key]
    # What was in the broker's own buffer when we gave up may have come; what was in ours is gone.
    assert len(found) - len(sent) < len(sent)


async def test_an_outage_leaves_nothing_behind_however_long_it_is(server: KafkaServer) -> None:
    """No producer, no task, no socket of the attempts before the last."""
    name = topic()
    await create_topic(server.bootstrap_servers, name, 1)
    sink = KafkaSink(server.bootstrap_servers, name, deadline_s=0.1, probe_s=0.1)
    with silent(server):
        counts = []
        for _ in range(8):
            with pytest.raises(SinkUnavailable):
                await sink.deliver([b"x" * 1000] * 100)
            with pytest.raises(SinkUnavailable):
                await sink.ping()
            await until(lambda: len(asyncio.all_tasks()) == 1)
            gc.collect()
            producers = sum(isinstance(each, Throwaway) for each in gc.get_objects())
            counts.append((producers, open_files()))
        began = time.monotonic()
        await sink.close()
        assert time.monotonic() - began < GIVEN_UP_WITHIN_S
    assert counts[-1][0] == 0
    assert counts[-1][1] < counts[0][1] + len(counts) // 2  # one that stays open each time would make seven more


async def test_nothing_of_ours_waits_for_a_broker_that_is_silent(server: KafkaServer) -> None:
    """Asking, reporting and closing, each in its time; a batch under way when it is cancelled ends at once."""
    name = topic()
    await create_topic(server.bootstrap_servers, name, 1)
    sink = KafkaSink(server.bootstrap_servers, name, deadline_s=DEADLINE_S, probe_s=0.2)
    await sent_at_last(sink._writer, [Message(b"k", b"v", [])])
    with silent(server):
        under_way = asyncio.ensure_future(sink.deliver([b"y"]))
        await asyncio.sleep(0.1)
        began = time.monotonic()
        under_way.cancel()
        with pytest.raises(asyncio.CancelledError):
            await under_way
        assert time.monotonic() - began < GIVEN_UP_WITHIN_S
        for call in (sink.ping, lambda: sink.report([])):
            began = time.monotonic()
            with pytest.raises(SinkUnavailable):
                await call()
            assert time.monotonic() - began < GIVEN_UP_WITHIN_S
        began = time.monotonic()
        await sink.close()
        assert time.monotonic() - began < GIVEN_UP_WITHIN_S
    await until(lambda: len(asyncio.all_tasks()) == 1)


async def test_closing_with_an_idle_connection_to_a_silent_broker(server: KafkaServer) -> None:
    """A stop must not wait for a goodbye."""
    name = topic()
    await create_topic(server.bootstrap_servers, name, 1)
    writer = writer_of(server, name)
    await sent_at_last(writer, [Message(b"k", b"v", [])])
    with silent(server):
        began = time.monotonic()
        await writer.close()
        await writer.close()
        assert time.monotonic() - began < GIVEN_UP_WITHIN_S


async def test_a_consumer_is_dismissed_though_the_broker_is_silent(server: KafkaServer) -> None:
    """It is a member, fetches and beats; half a second later it has no task and no connection."""
    name = topic()
    await create_topic(server.bootstrap_servers, name, 1)
    files = open_files()
    consumer = AIOKafkaConsumer(
        name, group_id=name, enable_auto_commit=False, **Connection(server.bootstrap_servers).arguments()
    )
    tidy(consumer._client)
    await consumer.start()
    while not consumer.assignment():
        await consumer.getmany(timeout_ms=50)
    assert open_files() > files
    with silent(server):
        began = time.monotonic()
        await dismiss(consumer, DEADLINE_S)
        assert time.monotonic() - began < GIVEN_UP_WITHIN_S
        await until(lambda: len(asyncio.all_tasks()) == 1 and open_files() <= files)


async def test_a_consumer_that_is_dismissed_leaves_its_group(server: KafkaServer) -> None:
    """While the broker answers, the next one need not wait for its session to end."""
    name = topic()
    await create_topic(server.bootstrap_servers, name, 1)
    for _ in range(2):
        consumer = AIOKafkaConsumer(
            name, group_id=name, session_timeout_ms=60_000, **Connection(server.bootstrap_servers).arguments()
        )
        began = time.monotonic()
        await consumer.start()
        while not consumer.assignment():
            await consumer.getmany(timeout_ms=50)
        assert time.monotonic() - began < 30
        await dismiss(consumer, GIVEN_UP_WITHIN_S)
        assert len(asyncio.all_tasks()) == 1
