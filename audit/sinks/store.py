"""The store as a sink: the direct form, and beside a broker where somebody wants that."""

from collections.abc import Sequence

from audit.sinks.port import Watermark
from audit.store import Store

DIRECT_LANE = -1


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
