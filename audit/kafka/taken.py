"""What was taken from the topic in one round, sorted for the store. Pure."""

from typing import Any

from aiokafka import TopicPartition

from audit.ingest import DeadLetter
from audit.kafka.message import is_watermark, read_watermark
from audit.store import Mark

_COUNT_MAX = (1 << 63) - 1  # PostgreSQL's bigint
_AT_MAX_MS = 253_402_300_799_999  # the end of the year 9999
_NAME_CHARS = 512
_LANES_MAX = 1 << 20  # more partitions than a cluster has; one that claims more would hold readers back for ever

Held = dict[TopicPartition, list[Any]]
"""Messages by partition, in order."""


def sort(held: Held, lanes: int) -> tuple[list[bytes], list[Mark]]:
    """Events and watermarks apart, both as the store takes them.

    Args:
        held: Messages by partition, in order.
        lanes: How many partitions the topic has.
    """
    records: list[bytes] = []
    marks: dict[tuple[str, int, int], Mark] = {}
    for partition, messages in held.items():
        for message in messages:
            value = message.value or b""
            mark = _mark(value, partition.partition, lanes) if is_watermark(message.headers) else None
            if mark is None:
                records.append(value)  # what only calls itself a watermark is no event either: a dead letter
            else:
                before = marks.get(mark[:3])
                # A copy of an earlier word may come late, behind the last one of all: what has ended stays so.
                marks[mark[:3]] = mark if before is None else (*mark[:5], mark[5] or before[5])
    return records, list(marks.values())


def _mark(value: bytes, lane: int, lanes: int) -> Mark | None:
    """A watermark as the store takes it, or None: one that PostgreSQL refused would stop its partition."""
    try:
        mark = read_watermark(value)
    except (ValueError, RecursionError):
        return None
    fits = 0 < len(mark.producer) <= _NAME_CHARS and "\0" not in mark.producer
    fits = fits and 0 <= mark.epoch <= _COUNT_MAX and 0 <= mark.at_ms <= _AT_MAX_MS
    if fits and 0 < mark.lanes <= _LANES_MAX:
        return (mark.producer, mark.epoch, lane, max(lanes, mark.lanes), mark.at_ms, mark.ended)
    return None


def place(letter: DeadLetter, held: Held) -> str:
    """Where in the topic a dead letter came from: `topic/partition@offset`; of the first that is the same."""
    for partition, messages in held.items():
        for message in messages:
            if (message.value or b"") == letter.payload:
                return f"{partition.topic}/{partition.partition}@{message.offset}"
    return str(next(iter(held)).topic)
