"""A relay that delivers its first batch and then hangs, so that a test can kill it before the rows are removed.

python hanging.py <dsn of the outbox> <schema> <dsn of the store's writer>
"""

import asyncio
import sys
from collections.abc import Sequence

import asyncpg
from prometheus_client import CollectorRegistry

from audit.metrics.outbox import OutboxMetrics
from audit.outbox.relay import OutboxRelay, Pace
from audit.sinks import StoreSink
from audit.store import Store


class Hanging(StoreSink):
    """The store, and then nothing."""

    async def deliver(self, records: Sequence[bytes]) -> None:
        """Deliver, say so, hang."""
        await super().deliver(records)
        sys.stdout.write("delivered\n")
        sys.stdout.flush()
        await asyncio.sleep(3600)


async def main(outbox: str, schema: str, store: str) -> None:
    """Relay."""

    async def connect() -> "asyncpg.Connection[asyncpg.Record]":
        return await asyncpg.connect(outbox)

    metrics = OutboxMetrics(CollectorRegistry())
    pace = Pace(batch_records=10, deliver_s=3600)
    await OutboxRelay(connect, schema, Hanging(Store(store)), metrics=metrics, pace=pace).run()


asyncio.run(main(*sys.argv[1:]))
