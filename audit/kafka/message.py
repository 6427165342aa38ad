"""What stands in the topics: an event, a watermark, a dead letter; CloudEvents 1.0 headers in binary mode. Pure.

The value of an event is the encoded event, byte for byte as it was spooled; the headers repeat what routing needs. The
key is the tenant, so a tenant's events of one producer stay in order.
"""

import hashlib
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final, NamedTuple
from urllib.parse import quote

import msgspec
from aiokafka.partitioner import murmur2

from audit.sinks import Watermark

WATERMARK: Final = "audit.watermark"
UNREADABLE: Final = "audit.unreadable"
TOO_LARGE: Final = "too_large"
"""The reason of a dead letter that the topic of events did not take."""
_SPEC = ("ce_specversion", b"1.0")
_JSON = ("content-type", b"application/json")
_BYTES = ("content-type", b"application/octet-stream")
_TYPE = "ce_type"
_IS_WATERMARK = (_TYPE, WATERMARK.encode())

Headers = list[tuple[str, bytes]]


class Message(NamedTuple):
    """One message for the topic; `partition` None: by its key."""

    key: bytes | None
    value: bytes
    headers: Headers
    partition: int | None = None


class _ProducerId(msgspec.Struct, frozen=True, gc=False):
    id: str


class _Known(msgspec.Struct, frozen=True, gc=False):
    """What the headers repeat, and no more: `audit.spool.segment.Stub` reads the details as well."""

    event_id: str
    event_type: str
    tenant_id: str
    producer: _ProducerId
    phase: str
    occurred_at: str


_KNOWN = msgspec.json.Decoder(_Known)


class TopicMark(NamedTuple):
    """A watermark as it stands in the topic.

    Attributes:
        producer: As in `Watermark`, like the next three.
        epoch: See there.
        at_ms: See there.
        ended: See there.
        lanes: How many partitions it was put into: as many have to report before it is true of all. Who writes knows
            of a new partition before or after who reads, and a reader that counts fewer would promise too much.
    """

    producer: str
    epoch: int
    at_ms: int
    ended: bool
    lanes: int


def event_message(payload: bytes) -> Message:
    """An event as a message. Bytes that are no event go as they are: the consumer sets them apart."""
    try:
        known = _KNOWN.decode(payload)
    except (ValueError, RecursionError):  # no JSON, no UTF-8, or nested beyond reading
        return _unreadable(payload)
    if not (known.event_id and known.event_type and known.occurred_at):  # CloudEvents allows none of them empty
        return _unreadable(payload)
    return Message(
        known.tenant_id.encode(),
        payload,
        [
            _SPEC,
            ("ce_id", f"{known.event_id}/{known.phase}".encode()),
            _source(known.producer.id),
            _type(known.event_type),
            ("ce_time", known.occurred_at.encode()),
            _JSON,
        ],
    )


def _unreadable(payload: bytes) -> Message:
    """In one partition, so that copies of it meet; its id is its content, so that copies are known as such."""
    headers = [
        _SPEC,
        ("ce_id", hashlib.sha256(payload).hexdigest().encode()),
        _source(""),
        _type(UNREADABLE),
        _BYTES,
    ]
    return Message(None, payload, headers, 0)


def watermark_messages(marks: Iterable[Watermark], partitions: Iterable[int]) -> list[Message]:
    """Watermarks for every partition: each speaks of what lies before it there."""
    lanes = sorted(partitions)
    messages: list[Message] = []
    for mark in marks:
        value = msgspec.json.encode(TopicMark(*mark, lanes=len(lanes)))
        said = f"{mark.epoch}/{mark.at_ms}{'/ended' if mark.ended else ''}"
        for lane in lanes:
            # The same word in two partitions is two events: each speaks of its own.
            ce_id = ("ce_id", f"{said}/{lane}".encode())
            messages.append(Message(None, value, [_SPEC, ce_id, _source(mark.producer), _IS_WATERMARK, _JSON], lane))
    return messages


def letter_messages(message: Message, reason: str, error: str, parts: int = 1) -> list[Message]:
    """What a topic does not take, for the topic of dead letters: its headers, the reason, its bytes.

    Args:
        message: As it was refused.
        reason: A word.
        error: For people.
        parts: Into how many pieces its bytes are cut, where that topic does not take them either; each piece says which
            it is (`part: 1/3`), and joined in order they are what was refused.
    """
    headers = [*message.headers, ("reason", reason.encode()), ("error", error.encode("utf-8", "replace"))]
    if parts == 1:
        return [Message(message.key, message.value, headers)]
    size = -(-len(message.value) // parts)
    return [
        Message(
            message.key,
            message.value[number * size : (number + 1) * size],
            [*headers, ("part", f"{number + 1}/{parts}".encode())],
        )
        for number in range(parts)
    ]


def is_watermark(headers: Iterable[tuple[str, bytes]]) -> bool:
    """Whether a message from the topic is a watermark."""
    return _IS_WATERMARK in tuple(headers)


def read_watermark(value: bytes) -> TopicMark:
    """Read a watermark.

    Raises:
        msgspec.DecodeError: it is not one.
    """
    return msgspec.json.decode(value, type=TopicMark)


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


@lru_cache(maxsize=4096)
def _source(producer: str) -> tuple[str, bytes]:
    """A URI reference, so what has no place in one is escaped."""
    return "ce_source", f"/lychgate/{quote(producer, safe='')}".rstrip("/").encode()


@lru_cache(maxsize=4096)
def _type(event_type: str) -> tuple[str, bytes]:
    return _TYPE, event_type.encode()
