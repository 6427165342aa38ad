"""The port that every sink fits."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol


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
