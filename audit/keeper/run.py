"""The keeper, put together from the configuration: which jobs there are and how often they run."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from prometheus_client import CollectorRegistry

from audit.errors import WrongRole
from audit.keeper.jobs import Job, Keeper
from audit.keeper.partitions import premake_job
from audit.keeper.pending import pending_job
from audit.metrics import DeadLetterMetrics, KeeperMetrics, PartitionMetrics
from audit.settings import AuditSettings, StoreSettings


def make_keeper(audit: AuditSettings, store: StoreSettings, registry: CollectorRegistry) -> Keeper:
    """The keeper of the configured store.

    Args:
        audit: Retention and integrity.
        store: The store and its logins.
        registry: Where it counts.
    """
    jobs: list[Job] = [
        premake_job(store.premake_days, metrics=PartitionMetrics(registry)),
        pending_job(metrics=DeadLetterMetrics(registry)),
    ]
    del audit
    return Keeper(store.dsn(store.keeper), jobs, metrics=KeeperMetrics(registry))


async def beside(writing: Coroutine[Any, Any, None], keeper: Keeper) -> None:
    """Keep the store in order while somebody writes it; ends when cancelled, or when either fails.

    Raises:
        WrongRole: one of their logins may do more than it must.
    """
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(writing)
            tasks.create_task(keeper.run())
    except* WrongRole as group:
        raise group.exceptions[0] from None
