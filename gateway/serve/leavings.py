"""What is left of snapshots that decide no more, freed a little at a time.

A full memo is 50,000 answers: to drop it at once holds the loop for 4 ms, and an engine with five hundred policies
for 29 (ADR 0110). So what a snapshot remembers is taken apart at once, and what it is made of when nobody uses it any
more, both in slices. All of it on the loop: a request in hand may still be asking the old snapshot.
"""

import time
import weakref
from collections import deque
from collections.abc import MutableMapping
from typing import Any, Final

from gateway.snapshot import Snapshot

_SLICE_S: Final = 0.0005
_LOOK: Final = 64
"""Remembered entries between two looks at the clock: about 10 us."""


class Leavings:
    """Snapshots that were replaced, until nothing is left of them."""

    __slots__ = ("_loose", "_used")

    def __init__(self) -> None:
        self._loose: deque[MutableMapping[Any, Any] | list[Any]] = deque()
        self._used: list[tuple[weakref.ref[Snapshot], list[Any]]] = []

    def __repr__(self) -> str:
        return f"Leavings({len(self._loose)} to free, {len(self._used)} still used)"

    def __bool__(self) -> bool:
        return bool(self._loose or self._used)

    def add(self, snapshot: Snapshot, *remembered: MutableMapping[Any, Any]) -> None:
        """Take a snapshot apart that was replaced.

        Args:
            snapshot: It may still be asked by requests in hand; its memory starts anew meanwhile.
            remembered: What others remember that was good for this snapshot alone.
        """
        self._loose.extend(remembered)
        self._loose.extend(snapshot.memories())
        self._used.append((weakref.ref(snapshot), snapshot.parts()))

    def free(self) -> bool:
        """Free a slice of what nobody uses, half a millisecond at most.

        Returns:
            Whether there is more that could be freed now.
        """
        if self._used:
            self._loose.extend(parts for snapshot, parts in self._used if snapshot() is None)
            self._used = [pair for pair in self._used if pair[0]() is not None]
        until = time.perf_counter() + _SLICE_S
        while self._loose and time.perf_counter() < until:
            first = self._loose[0]
            if isinstance(first, list):
                del first[-1:]  # one at a time: a parsed set of five hundred policies alone takes as long as the slice
            else:
                for _ in range(min(_LOOK, len(first))):
                    first.popitem()
            if not first:
                self._loose.popleft()
        return bool(self._loose)
