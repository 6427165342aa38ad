"""Event ids: UUIDv7 (RFC 9562 section 5.7), strictly rising within a process.

The id is primary key, dedupe key, cursor and partition key at once, so its first 48 bits must be the time of the
decision and two ids of one process must sort in the order they were taken.
"""

import os
import re
import threading
import time
from collections.abc import Callable

_RANDOM_BYTES = 8
_POOL_BYTES = 4096  # one getrandom(2) for 512 ids: a call for each costs more than the rest of the id
_COUNTER_BITS = 12
_COUNTER_MAX = (1 << _COUNTER_BITS) - 1
_VARIANT = 0x8000_0000_0000_0000
_RANDOM_MASK = (1 << 62) - 1
_UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


class EventIds:
    """Makes ids. Safe to use from several threads."""

    def __init__(self, now_ns: Callable[[], int] = time.time_ns) -> None:
        self._now_ns = now_ns
        self._lock = threading.Lock()
        self._ms = 0
        self._counter = 0
        self._pool = b""
        self._at = 0

    def next(self) -> str:
        """An id later than every one before it, as lower-case text.

        RFC 9562 section 6.2, method 1: a 12-bit counter in `rand_a`. It starts at a random value below half, so that
        2,048 ids at least fit into a millisecond; beyond that the id borrows from the next millisecond. A clock that
        steps back does not take the ids back with it.
        """
        ms = self._now_ns() // 1_000_000
        with self._lock:
            at = self._at
            if at >= len(self._pool):
                self._pool = os.urandom(_POOL_BYTES)
                at = 0
            noise = int.from_bytes(self._pool[at : at + _RANDOM_BYTES], "big")
            self._at = at + _RANDOM_BYTES
            if ms > self._ms:
                self._ms = ms
                self._counter = noise >> 53
            elif self._counter < _COUNTER_MAX:
                self._counter += 1
            else:
                self._ms += 1
                self._counter = noise >> 53
            high = self._ms << 16 | 0x7000 | self._counter
        return _text(high, _VARIANT | noise & _RANDOM_MASK)


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
