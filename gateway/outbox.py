"""What a turn of the loop has to send, sent in a row at its end.

A write wakes whoever waits for it, on another core, and that costs more than the copy. One after the other they find
him awake; between two requests worked on in Python he has gone back to sleep. 31 % of a worker's time went into writes
to services, each of which woke one.
"""

import asyncio
from collections.abc import Callable


class Outbox:
    """The connections of one worker that have something to send.

    Args:
        loop: The worker's.
    """

    __slots__ = ("_flushes", "_loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._flushes: list[Callable[[], None]] = []

    def add(self, flush: Callable[[], None]) -> None:
        """Call `flush` at the end of this turn, after those added before it. It must not raise."""
        if not self._flushes:
            self._loop.call_soon(self._flush)
        self._flushes.append(flush)

    def _flush(self) -> None:
        flushes, self._flushes = self._flushes, []
        for flush in flushes:
            flush()
