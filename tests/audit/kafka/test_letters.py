"""Tests of `audit.kafka.letters`; `test_producer` has letters that are too large."""

import pytest

from audit.errors import SinkUnavailable
from audit.kafka.letters import DeadLetters
from audit.kafka.message import Message
from audit.kafka.writer import KafkaWriter
from tests.servers.kafka.admin import create_topic
from tests.servers.kafka.broker import Broker, read_topic
from tests.servers.kafka.server import topic


async def test_a_letter_has_its_reason(broker: Broker) -> None:
    """As headers, beside those it had."""
    name = await broker.topic(1)
    letters = DeadLetters(KafkaWriter(broker.bootstrap_servers, name, deadline_s=10, batch_bytes=524_288))
    await letters.put(Message(None, b"poison", [("ce_id", b"1")], 5), "schema", "no tenant")
    await letters.close()
    [found] = await read_topic(broker.bootstrap_servers, name)
    assert found.value == b"poison"
    assert found.headers == (("ce_id", b"1"), ("reason", b"schema"), ("error", b"no tenant"))


async def test_a_topic_that_takes_nothing_is_an_error_and_no_loop(kafka: str) -> None:
    """Then the record stays where it is: on our disk."""
    name = topic()
    await create_topic(kafka, name, 1, settings={"max.message.bytes": "10"})
    letters = DeadLetters(KafkaWriter(kafka, name, deadline_s=10, batch_bytes=524_288))
    with pytest.raises(SinkUnavailable, match="the topic of dead letters takes nothing"):
        await letters.put(Message(None, b"x" * 2000, []), "schema", "no tenant")
    await letters.close()
