"""A purge in small batches as a process of its own, to be killed."""

import asyncio
import sys

from prometheus_client import CollectorRegistry

from audit.keeper.jobs import opened
from audit.keeper.retention import purge
from audit.metrics import PurgeMetrics
from audit.settings import RetentionSettings


async def main(dsn: str) -> None:
    """Purge, ten rows at a time."""
    async with opened(dsn) as connection:
        settings = RetentionSettings(days=30, tenants={"globex": 400}, batch_rows=10)
        await purge(connection, settings, PurgeMetrics(CollectorRegistry()))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
