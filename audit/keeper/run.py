"""The keeper, put together from the configuration: which jobs there are and how often they run."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from prometheus_client import CollectorRegistry

from audit.errors import WrongRole
from audit.keeper.jobs import Job, Keeper
from audit.keeper.seal import Publish, seal_job
from audit.metrics import KeeperMetrics
from audit.settings import AuditSettings, StoreSettings


def make_keeper(audit: AuditSettings, store: StoreSettings, registry: CollectorRegistry) -> Keeper:
    """The keeper of the configured store.

    Args:
        audit: Retention and integrity.
        store: The store and its logins.
        registry: Where it counts.
    """
    jobs: list[Job] = []
    sealing = seal_job(
        audit.integrity,
        retention_days=audit.least_days,
        publish=_checkpoints(audit),
        registry=registry,
    )
    jobs += [sealing] if sealing is not None else []
    return Keeper(store.dsn(store.keeper), jobs, metrics=KeeperMetrics(registry))


def _checkpoints(audit: AuditSettings) -> Publish | None:
    """Where seals go besides, with a broker."""
    kafka = audit.kafka
    if kafka.bootstrap_servers is None:
        return None
    from audit.kafka.checkpoints import CheckpointTopic  # without a broker its client is not loaded
    from audit.kafka.writer import KafkaWriter

    return CheckpointTopic(
        KafkaWriter(
            kafka.bootstrap_servers, audit.integrity.topic, deadline_s=kafka.deadline_s, batch_bytes=kafka.batch_bytes
        )
    ).publish


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
