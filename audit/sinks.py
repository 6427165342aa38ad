"""Where the relay delivers to: the port that every sink fits, and the store as one."""

from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple, Protocol

import structlog

from audit.errors import ClockRefused
from audit.store import Store

DIRECT_LANE = -1

_log = structlog.get_logger("audit.sinks")


class Watermark(NamedTuple):
    """Everything of this producer with an id before it has been delivered.

    Attributes:
        producer: The producer's id.
        epoch: Its epoch.
        at_ms: Milliseconds since the epoch.
        ended: Whether nothing of this epoch can follow.
    """

    producer: str
    epoch: int
    at_ms: int
    ended: bool


class Sink(Protocol):
    """Takes batches of records. Delivering twice is harmless; giving up silently is not."""

    @property
    def name(self) -> str:
        """A short word: the cursor's name and the metrics' label."""
        ...

    async def deliver(self, records: Sequence[bytes]) -> None:
        """Take encoded events, in order.

        Raises:
            SinkUnavailable: some or none were taken; the caller sends them all again.
        """
        ...

    async def report(self, marks: Sequence[Watermark]) -> None:
        """Take watermarks, after everything they speak of was delivered.

        Raises:
            SinkUnavailable: they were not taken.
        """
        ...

    async def ping(self) -> None:
        """Ask whether it is there: what readiness needs to know.

        Raises:
            SinkUnavailable: not now.
        """
        ...

    async def close(self) -> None:
        """Give up what is held. Never hangs."""
        ...


class StoreSink:
    """The direct form: straight into PostgreSQL."""

    name = "store"

    def __init__(self, store: Store) -> None:
        self._store = store

    async def deliver(self, records: Sequence[bytes]) -> None:
        """See `Sink`."""
        await self._store.write(records)

    async def report(self, marks: Sequence[Watermark]) -> None:
        """See `Sink`."""
        await self._store.report(
            [(mark.producer, mark.epoch, DIRECT_LANE, 1, mark.at_ms, mark.ended) for mark in marks]
        )

    async def ping(self) -> None:
        """See `Sink`."""
        await self._store.ping()

    async def close(self) -> None:
        """See `Sink`."""
        await self._store.close()


class TappedSink:
    """Another sink, and whoever is told what it has taken.

    Attributes:
        taps: Told of a batch after it was taken; what is delivered twice they are told of twice. Must return at once.
        clock_refused: Whether what was sent last was refused for the time it carries.
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
        await self._dated(self._sink.deliver(records))
        for tap in self.taps:
            try:
                tap(records)
            except Exception:  # noqa: BLE001 - it only looks on: what it cannot take has been delivered all the same
                _log.exception("audit_tap_failed")

    async def report(self, marks: Sequence[Watermark]) -> None:
        """See `Sink`."""
        await self._dated(self._sink.report(marks))

    async def _dated(self, sending: Awaitable[None]) -> None:
        """Notice whether it is the time of it that is refused."""
        try:
            await sending
        except ClockRefused:
            self.clock_refused = True
            raise
        self.clock_refused = False

    async def ping(self) -> None:
        """See `Sink`."""
        await self._sink.ping()

    async def close(self) -> None:
        """See `Sink`."""
        await self._sink.close()
