"""What stands in the topic: an event or a watermark, with CloudEvents 1.0 headers in binary mode. Pure.

The value of an event is the encoded event, byte for byte as it was spooled; the headers repeat what routing needs. The
key is the tenant, so a tenant's events of one producer stay in order.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

import msgspec
from aiokafka.partitioner import murmur2

from audit.sinks import Watermark
from audit.spool.segment import stub

WATERMARK = "audit.watermark"
_UNREADABLE = "audit.unreadable"
_SPEC = ("ce_specversion", b"1.0")
_JSON = ("content-type", b"application/json")

Headers = list[tuple[str, bytes]]


class Message(NamedTuple):
    """One message for the topic; `partition` None: by its key."""

    key: bytes | None
    value: bytes
    headers: Headers
    partition: int | None = None


def event_message(payload: bytes) -> Message:
    """An event as a message. Bytes that are no event go as they are: the consumer sets them apart."""
    known = stub(payload)
    if known is None:
        return Message(None, payload, [_SPEC, ("ce_type", _UNREADABLE.encode()), _JSON], 0)
    headers = [
        _SPEC,
        ("ce_id", f"{known.event_id}/{known.phase}".encode()),
        ("ce_source", f"/lychgate/{known.producer.id}".encode()),
        ("ce_type", known.event_type.encode()),
        ("ce_time", known.occurred_at.encode()),
        _JSON,
    ]
    return Message(known.tenant_id.encode(), payload, headers)


def watermark_messages(marks: Iterable[Watermark], partitions: Iterable[int]) -> list[Message]:
    """Watermarks for every partition: each speaks of what lies before it there."""
    lanes = sorted(partitions)
    messages: list[Message] = []
    for mark in marks:
        value = msgspec.json.encode(mark)
        headers = [
            _SPEC,
            ("ce_id", f"{mark.producer}/{mark.epoch}/{mark.at_ms}".encode()),
            ("ce_source", f"/lychgate/{mark.producer}".encode()),
            ("ce_type", WATERMARK.encode()),
            _JSON,
        ]
        messages += [Message(None, value, headers, lane) for lane in lanes]
    return messages


def is_watermark(headers: Iterable[tuple[str, bytes]]) -> bool:
    """Whether a message from the topic is a watermark."""
    return ("ce_type", WATERMARK.encode()) in tuple(headers)


def read_watermark(value: bytes) -> Watermark:
    """Read a watermark.

    Raises:
        msgspec.DecodeError: it is not one.
    """
    return msgspec.json.decode(value, type=Watermark)


def partition_of(message: Message, partitions: Sequence[int]) -> int:
    """Where a message goes: as Kafka's own clients choose by key, so that others find a tenant's events too.

    Args:
        message: The message.
        partitions: The topic's partitions, sorted.
    """
    if message.partition is not None:
        return message.partition
    return partitions[_hashed(message.key or b"") % len(partitions)]


@lru_cache(maxsize=4096)  # the hash is Python's own pace, and tenants are few
def _hashed(key: bytes) -> int:
    hashed: int = murmur2(key)
    return hashed & 0x7FFFFFFF
