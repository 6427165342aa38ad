"""The keeper's job `premake`: the partitions of the next days.

Dropping old ones is retention's, in a job of its own: what holds up one never holds up the other.
"""

import time
from collections.abc import Callable

from prometheus_client import CollectorRegistry

from audit.ids import id_ms
from audit.keeper.jobs import Connection, Job
from audit.metrics.partitions import PartitionMetrics

PREMAKE = "premake"
_EVERY_S = 600.0
_SECOND_MS = 1000


def premake_job(
    ahead_days: int,
    *,
    metrics: PartitionMetrics | None = None,
    every_s: float = _EVERY_S,
    now_ns: Callable[[], int] = time.time_ns,
) -> Job:
    """The job.

    Args:
        ahead_days: How far ahead, `store.premake_days`.
        metrics: Where it counts.
        every_s: A lock it could not get it asks for again at the keeper's own retry.
        now_ns: Nanoseconds since the epoch.
    """
    counted = metrics or PartitionMetrics(CollectorRegistry())

    async def work(connection: Connection) -> None:
        try:
            await connection.execute("SELECT audit_premake($1)", ahead_days)
        finally:  # also when it failed: that is when somebody wants to know
            if not connection.is_closed():
                beyond = await connection.fetchval("SELECT beyond FROM audit_bounds()")
                left_ms = 0 if beyond is None else id_ms(str(beyond)) - now_ns() // 1_000_000
                counted.premade_seconds.set(max(0, left_ms) / _SECOND_MS)

    return Job(PREMAKE, every_s, work)
