"""Tests of `audit.kafka.message`."""

from aiokafka.partitioner import DefaultPartitioner
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.codec import encode
from audit.event import Phase, Producer
from audit.kafka.message import (
    Message,
    event_message,
    is_watermark,
    partition_of,
    read_watermark,
    watermark_messages,
)
from audit.sinks import Watermark
from tests.builders.audit import make_event


def test_an_event_has_cloudevents_headers_in_binary_mode() -> None:
    """Id with phase, source, type, time and content type; the key is the tenant; the value is the event's bytes."""
    event = make_event(phase=Phase.DECIDED, producer=Producer("gw-1", 1, 1))
    message = event_message(encode(event))
    assert message.key == b"acme"
    assert message.value == encode(event)
    assert dict(message.headers) == {
        "ce_specversion": b"1.0",
        "ce_id": f"{event.event_id}/decided".encode(),
        "ce_source": b"/lychgate/gw-1",
        "ce_type": b"authz.decision.evaluated",
        "ce_time": event.occurred_at.encode(),
        "content-type": b"application/json",
    }
    assert not is_watermark(message.headers)


def test_bytes_that_are_no_event_are_sent_on() -> None:
    """The consumer sets them apart; the relay is not stopped by them."""
    message = event_message(b"garbage")
    assert message.value == b"garbage"
    assert partition_of(message, [0, 1, 2]) == 0


def test_watermarks_go_to_every_partition_and_come_back() -> None:
    """One message for each partition, told apart by its type."""
    mark = Watermark("p", 3, 123456, ended=True)
    messages = watermark_messages([mark], [2, 0, 1])
    assert [message.partition for message in messages] == [0, 1, 2]
    assert all(is_watermark(message.headers) and read_watermark(message.value) == mark for message in messages)


@settings(deadline=None)
@given(st.binary(min_size=1), st.integers(1, 64))
def test_partitions_are_chosen_as_other_clients_do(key: bytes, count: int) -> None:
    """The same key goes where Kafka's default partitioner sends it."""
    partitions = list(range(count))
    assert partition_of(Message(key, b"", []), partitions) == DefaultPartitioner()(key, partitions, partitions)
