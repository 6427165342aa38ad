"""Event ids: UUIDv7 (RFC 9562 section 5.7), strictly rising within a process.

The id is primary key, dedupe key, cursor and partition key at once, so its first 48 bits must be the time of the
decision and two ids of one process must sort in the order they were taken.
"""

import os
import re
import secrets
import threading
import time
from collections.abc import Callable

_BELIEVED_MS = 300_000  # as far ahead as the store takes ids (audit/ingest.py)
_TAILS = 512  # made at once: one getrandom(2) for as many ids, and their text in one go
_TAIL_BYTES = 8
_COUNTER_MAX = (1 << 12) - 1
_COUNTER_START_BITS = 11
_VARIANT = 0x8000_0000_0000_0000
_VARIANT_DIGIT = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}  # two bits say which UUID this is
_RANDOM_MASK = (1 << 62) - 1
_UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


class EventIds:
    """Makes ids. Safe to use from several threads."""

    def __init__(self, now_ns: Callable[[], int] = time.time_ns) -> None:
        self._now_ns = now_ns
        self._lock = threading.Lock()
        self._ms = 0
        self._counter = 0
        self._prefix = ""  # of the running millisecond
        self._tails: list[str] = []

    def next(self) -> str:
        """An id later than every one before it, as lower-case text.

        RFC 9562 section 6.2, method 1: a 12-bit counter in `rand_a`. It starts at a random value below half, so that
        2,048 ids at least fit into a millisecond; beyond that the id borrows from the next millisecond. A clock that
        steps back does not take the ids back with it, unless it was so far ahead that the store takes none of them.
        """
        ms = self._now_ns() // 1_000_000
        with self._lock:
            if ms < self._ms - _BELIEVED_MS:
                self._ms, self._counter = ms - 1, _COUNTER_MAX
            if not self._tails:
                self._tails = _tails()
            tail = self._tails.pop()
            counter = self._counter + 1
            if ms > self._ms or counter > _COUNTER_MAX:
                self._ms = max(ms, self._ms + 1)
                digits = f"{self._ms:012x}"
                self._prefix = f"{digits[:8]}-{digits[8:]}-7"
                counter = secrets.randbits(_COUNTER_START_BITS)
            self._counter = counter
            return f"{self._prefix}{counter:03x}-{tail}"


def _tails() -> list[str]:
    """The last two groups of ids: variant and 62 random bits each."""
    digits = os.urandom(_TAILS * _TAIL_BYTES).hex()
    step = 2 * _TAIL_BYTES
    return [
        f"{_VARIANT_DIGIT[digits[at]]}{digits[at + 1 : at + 4]}-{digits[at + 4 : at + step]}"
        for at in range(0, len(digits), step)
    ]


def id_at(ms: int, fill: bytes) -> str:
    """The id of a fact that must get the same id whoever states it.

    Args:
        ms: Milliseconds since the epoch.
        fill: At least 10 bytes that identify the fact, for example a digest.
    """
    rand_a = int.from_bytes(fill[:2], "big") & _COUNTER_MAX
    rand_b = int.from_bytes(fill[2:10], "big") & _RANDOM_MASK
    return _text(ms << 16 | 0x7000 | rand_a, _VARIANT | rand_b)


def id_floor(ms: int) -> str:
    """The least id of a millisecond: the bound of partitions and time filters."""
    return _text(ms << 16 | 0x7000, _VARIANT)


def id_ms(event_id: str) -> int:
    """The milliseconds since the epoch in an id.

    Raises:
        ValueError: it is not a UUIDv7 in its canonical lower-case text.
    """
    if _UUID7.fullmatch(event_id) is None:
        raise ValueError("not a UUIDv7")
    return int(event_id[:8] + event_id[9:13], 16)


def _text(high: int, low: int) -> str:
    digits = f"{high:016x}{low:016x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
