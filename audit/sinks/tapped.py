"""Another sink, and whoever looks on."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import structlog

from audit.errors import ClockRefused
from audit.sinks.port import Sink, Watermark

_log = structlog.get_logger("audit.sinks")


class TappedSink:
    """Another sink, and whoever is told what it has taken.

    Attributes:
        taps: Told of a batch after it was taken; what is delivered twice they are told of twice. Must return at once.
        clock_refused: Whether what was last sent was refused for the time it carries.
    """

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self.taps: list[Callable[[Sequence[bytes]], None]] = []
        self.clock_refused = False

    @property
    def name(self) -> str:
        """See `Sink`: the other's, because the cursor is the other's."""
        return self._sink.name

    async def deliver(self, records: Sequence[bytes]) -> None:
        """See `Sink`."""
        with self._watching_the_clock():
            await self._sink.deliver(records)
        for tap in self.taps:
            try:
                tap(records)
            except Exception:  # noqa: BLE001 - it only looks on: what it cannot take has been delivered all the same
                _log.exception("audit_tap_failed")

    async def report(self, marks: Sequence[Watermark]) -> None:
        """See `Sink`."""
        with self._watching_the_clock():
            await self._sink.report(marks)

    async def ping(self) -> None:
        """See `Sink`."""
        await self._sink.ping()

    async def close(self) -> None:
        """See `Sink`."""
        await self._sink.close()

    @contextmanager
    def _watching_the_clock(self) -> Iterator[None]:
        try:
            yield
        except ClockRefused:
            self.clock_refused = True
            raise
        self.clock_refused = False
