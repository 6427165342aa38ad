"""A broker for tests of the protocol: the real one where it can be had, librdkafka's mock cluster where not.

`LYCHGATE_TEST_BROKER=mock` takes the mock all the same, so that the tests are known to run on both.
"""

import os
from collections.abc import Iterator
from typing import NamedTuple

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from tests.audit.mock_kafka import MockKafka, mock_kafka
from tests.servers.kafka.admin import create_topic
from tests.servers.kafka.server import here, topic

_CHOICE = "LYCHGATE_TEST_BROKER"


class Broker(NamedTuple):
    """Where one is, and how to have a topic there."""

    bootstrap_servers: str
    mock: MockKafka | None

    async def topic(self, partitions: int) -> str:
        """A new topic's name."""
        name = topic()
        if self.mock is not None:
            self.mock.create(name, partitions)
        else:
            await create_topic(self.bootstrap_servers, name, partitions)
        return name


@pytest.fixture
def broker(request: pytest.FixtureRequest) -> Iterator[Broker]:
    """Real or mock; tests take topics and groups of their own."""
    if here() and os.environ.get(_CHOICE) != "mock":
        yield Broker(request.getfixturevalue("kafka"), None)
        return
    with mock_kafka() as mock:
        yield Broker(mock.bootstrap_servers, mock)


class Found(NamedTuple):
    """A record as it stands in a topic."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes
    headers: tuple[tuple[str, bytes], ...]


async def read_topic(bootstrap_servers: str, name: str) -> list[Found]:
    """All that is in a topic now, in order within each partition."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap_servers, auto_offset_reset="earliest")
    await consumer.start()
    try:
        await consumer._client._wait_on_metadata(name)
        partitions = [TopicPartition(name, number) for number in consumer.partitions_for_topic(name) or ()]
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        await consumer.seek_to_beginning(*partitions)
        found: list[Found] = []
        while any([await consumer.position(each) < ends[each] for each in partitions]):  # awaits
            for messages in (await consumer.getmany(timeout_ms=200)).values():
                found += [Found(m.partition, m.offset, m.key, m.value, tuple(m.headers)) for m in messages]
        return sorted(found)
    finally:
        await consumer.stop()
