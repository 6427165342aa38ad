"""Where to go on in a partition, and whether it is still the partition we were in. Pure.

An offset is a place in one life of a topic. Retention may have run past it, and a topic that was deleted and made anew
counts from nought again: then the record at our offset, if there is one, is not the one we mean.
"""

import zlib
from enum import StrEnum
from typing import NamedTuple


class Misfit(StrEnum):
    """Why the store's offset does not fit the topic."""

    EXPIRED = "expired"  # the topic no longer has what comes next: it was deleted before we read it
    RENEWED = "renewed"  # what the topic has is not what we read: made anew, or cut by an unclean election


class Restart(NamedTuple):
    """Where to go on instead.

    Attributes:
        offset: Of the next record to read.
        reason: Why.
        missed: How many records certainly passed unread; 0 where nobody can know.
    """

    offset: int
    reason: Misfit
    missed: int


def anchor(timestamp_ms: int, value: bytes | None) -> int:
    """What a record is known again by: the low half of its time and the CRC-32 of its value, as a positive bigint."""
    return (timestamp_ms & 0x7FFF_FFFF) << 32 | zlib.crc32(value or b"")


def misplaced(next_offset: int, begin: int, end: int) -> Restart | None:
    """Whether an offset lies outside what the topic has.

    Args:
        next_offset: The store's.
        begin: Of the oldest record the topic has.
        end: One past the newest.
    """
    if next_offset < begin:
        return Restart(begin, Misfit.EXPIRED, begin - next_offset)
    if next_offset > end:
        return Restart(begin, Misfit.RENEWED, 0)
    return None
