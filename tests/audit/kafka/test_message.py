"""Tests of `audit.kafka.message`."""

import json
from urllib.parse import urlsplit

import pytest
from aiokafka.partitioner import DefaultPartitioner
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.codec import encode
from audit.event import Phase, Producer
from audit.kafka.message import (
    Message,
    TopicMark,
    event_message,
    is_watermark,
    letter_messages,
    partition_of,
    read_watermark,
    watermark_messages,
)
from audit.ranges import RangeSet
from audit.sinks import Watermark
from audit.spool.segment import account, stub
from tests.builders.audit import make_event

REQUIRED = {"ce_specversion", "ce_id", "ce_source", "ce_type"}
"""What CloudEvents 1.0 asks of every event, with the prefix of its Kafka binding."""


def test_an_event_has_cloudevents_headers_in_binary_mode() -> None:
    """Id with phase, source, type, time and content type; the key is the tenant; the value is the event's bytes."""
    event = make_event(phase=Phase.DECIDED, producer=Producer("gw-1", 1, 1))
    message = event_message(encode(event))
    assert message.key == b"acme"
    assert message.value == encode(event)
    assert message.partition is None
    assert dict(message.headers) == {
        "ce_specversion": b"1.0",
        "ce_id": f"{event.event_id}/decided".encode(),
        "ce_source": b"/lychgate/gw-1",
        "ce_type": b"authz.decision.evaluated",
        "ce_time": event.occurred_at.encode(),
        "content-type": b"application/json",
    }
    assert not is_watermark(message.headers)


@settings(deadline=None)
@given(st.text(min_size=1), st.text(min_size=1), st.text())
def test_headers_hold_whatever_a_name_may_be(producer: str, event_type: str, tenant: str) -> None:
    """A source is a URI reference, required attributes are never empty, each stands once."""
    payload = json.dumps({
        "event_id": "i", "phase": "single", "event_type": event_type, "tenant_id": tenant, "occurred_at": "t",
        "producer": {"id": producer},
    }).encode()  # fmt: skip
    message = event_message(payload)
    headers = dict(message.headers)
    assert len(headers) == len(message.headers)
    assert all(headers[name] for name in REQUIRED)
    source = headers["ce_source"].decode("ascii")
    assert urlsplit(source).path == source


EMPTY = b'{"event_id":"","phase":"","event_type":"","tenant_id":"","occurred_at":"","producer":{"id":""}}'


@pytest.mark.parametrize("payload", [b"garbage", b"", b"\xff", b"[]", EMPTY])
def test_bytes_that_are_no_event_are_sent_on(payload: bytes) -> None:
    """The consumer sets them apart; the relay is not stopped by them; copies of it have the same id and partition."""
    message = event_message(payload)
    assert message.value == payload
    assert message.key is None
    assert partition_of(message, [0, 1, 2]) == 0
    headers = dict(message.headers)
    assert headers.keys() == {*REQUIRED, "content-type"}
    assert headers["ce_type"] == b"audit.unreadable"
    assert headers["content-type"] == b"application/octet-stream"
    assert event_message(payload) == message
    assert event_message(payload + b".").headers != message.headers


def test_watermarks_go_to_every_partition_and_come_back() -> None:
    """One message for each partition, without a key, that says how many there are; no two with one id."""
    marks = [Watermark("p", 3, 123456, ended=False), Watermark("p", 3, 123456, ended=True)]
    messages = watermark_messages(marks, [2, 0, 1])
    assert [message.partition for message in messages] == [0, 1, 2] * 2
    assert all(message.key is None and is_watermark(message.headers) for message in messages)
    assert [read_watermark(message.value) for message in messages] == [
        TopicMark(*mark, lanes=3) for mark in marks for _ in range(3)
    ]
    assert all(headers.keys() >= REQUIRED for headers in (dict(message.headers) for message in messages))
    assert len({dict(message.headers)["ce_id"] for message in messages}) == 6


def test_a_letter_keeps_what_was_refused() -> None:
    """Its headers, its key and its bytes, whole or in pieces that say which they are."""
    refused = Message(b"acme", b"0123456789", [("ce_id", b"1")], 2)
    [whole] = letter_messages(refused, "too_large", "10 bytes")
    assert whole == Message(b"acme", b"0123456789", [("ce_id", b"1"), ("reason", b"too_large"), ("error", b"10 bytes")])
    pieces = letter_messages(refused, "too_large", "10 bytes", 4)
    assert b"".join(piece.value for piece in pieces) == refused.value
    assert [dict(piece.headers)["part"] for piece in pieces] == [b"1/4", b"2/4", b"3/4", b"4/4"]
    assert all(piece.key == b"acme" and piece.headers[:3] == whole.headers for piece in pieces)


@settings(deadline=None)
@given(st.binary(min_size=1), st.integers(1, 64))
def test_partitions_are_chosen_as_other_clients_do(key: bytes, count: int) -> None:
    """The same key goes where Kafka's default partitioner sends it."""
    partitions = list(range(count))
    assert partition_of(Message(key, b"", []), partitions) == DefaultPartitioner()(key, partitions, partitions)


def test_what_cannot_be_read_is_no_reason_to_stop() -> None:
    """Nested beyond reason, or no UTF-8: a message like any bytes, for the consumer to set apart."""
    for event_id in (b'"\xff"', b"[" * 5000 + b"]" * 5000):
        payload = b'{"event_id":%b,"tenant_id":"acme"}' % event_id
        assert dict(event_message(payload).headers)["ce_type"] == b"audit.unreadable"
    deep = encode(make_event())[:-1] + b',"later":' + b"[" * 5000 + b"]" * 5000 + b"}"
    assert dict(event_message(deep).headers)["ce_type"] == b"audit.unreadable"
    assert stub(deep) is None
    account([deep], RangeSet())
