"""The keeper, put together from the configuration: which jobs there are and how often they run."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from prometheus_client import CollectorRegistry

from audit.errors import WrongRole
from audit.keeper.completeness import completeness_job
from audit.keeper.jobs import Job, Keeper
from audit.keeper.partitions import premake_job
from audit.keeper.pending import pending_job
from audit.keeper.retention import purge_job
from audit.keeper.seal import Publish, seal_job
from audit.metrics import CompletenessMetrics, DeadLetterMetrics, KeeperMetrics, PartitionMetrics, PurgeMetrics
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
        completeness_job(CompletenessMetrics(registry)),
        purge_job(audit.retention, PurgeMetrics(registry)),
    ]
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
    from audit.kafka.connection import Connection
    from audit.kafka.writer import KafkaWriter

    return CheckpointTopic(
        KafkaWriter(
            Connection.of(kafka), audit.integrity.topic, deadline_s=kafka.deadline_s, batch_bytes=kafka.batch_bytes
        )
    ).publish


async def beside(writing: Coroutine[Any, Any, None], keeper: Keeper, *others: Coroutine[Any, Any, None]) -> None:
    """Keep the store in order while somebody writes it; ends when cancelled, or when one of them fails.

    Raises:
        WrongRole: one of their logins may do more than it must.
    """
    try:
        async with asyncio.TaskGroup() as tasks:
            for work in (writing, keeper.run(), *others):
                tasks.create_task(work)
    except* WrongRole as group:
        raise group.exceptions[0] from None
