"""The purge: rows that are older than they are kept go, partitions whole where none of their rows stays.

Each step is a transaction of its own and leaves a tally beside what it took away; the event that tells of it empties
the tally in its own transaction. So whatever is killed when, what is gone and what was told of agree: at the latest
after the next run.
"""

import json
import time
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import asyncpg
import structlog

from audit.event import NO_TENANT
from audit.keeper.event import keeper_event, record
from audit.keeper.jobs import Connection, Job
from audit.metrics import PurgeMetrics
from audit.settings import RetentionSettings
from audit.store_clock import event_id

PURGED: Final = "audit.purge.completed"
LEAST_ID: Final = "00000000-0000-0000-0000-000000000000"

_LOCKED: Final = (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError)
_TAKEN_OUT: Final = "SELECT name FROM audit_purged_partitions WHERE rows IS NULL"

_log = structlog.get_logger("audit.purge")


class Step(NamedTuple):
    """What goes, or went, from one partition for one tenant.

    Attributes:
        partition: Its name.
        tenant: Whose rows; None for a partition without any.
        how: `delete`, `drop` (the partition whole), or `unsealed` (it waits until it is sealed).
        rows: How many.
    """

    partition: str
    tenant: str | None
    how: str
    rows: int


class Outcome(NamedTuple):
    """What a purge did.

    Attributes:
        steps: What went, with what a killed purge had left untold.
        postponed: Partitions that were left for the next run, by name; to why.
    """

    steps: list[Step]
    postponed: dict[str, str]


def purge_job(settings: RetentionSettings, metrics: PurgeMetrics) -> Job:
    """The keeper's job."""

    async def work(connection: Connection) -> None:
        outcome = await purge(connection, settings, metrics)
        if outcome.steps:
            _log.info("audit_purged", rows=sum(step.rows for step in outcome.steps), postponed=outcome.postponed)

    return Job("purge", settings.every_s, work)


async def plan(connection: Connection, settings: RetentionSettings) -> list[Step]:
    """What a purge would do now: the same condition, counted instead of deleted by."""
    floors = await _floors(connection, settings)
    rows = await connection.fetch("SELECT partition, tenant_id, how, rows FROM audit_purge_plan($1)", floors)
    return [Step(*row) for row in rows]


async def purge(
    connection: Connection,
    settings: RetentionSettings,
    metrics: PurgeMetrics,
    *,
    now_ns: Callable[[], int] = time.time_ns,
) -> Outcome:
    """Take away what is older than it is kept.

    Args:
        connection: The keeper's, outside any transaction; nobody else may be at it (`audit.keeper.jobs`).
        settings: How long rows stay.
        metrics: Where it is counted.
        now_ns: Nanoseconds since the epoch.

    Raises:
        asyncpg.PostgresError: it failed; what had gone by then is told of by the next run.
    """
    began = time.monotonic()
    floors = await _floors(connection, settings)
    postponed: dict[str, str] = {}
    for partition, how, signature in await connection.fetch(
        "SELECT partition, how, signature FROM audit_purge_partitions($1)", floors
    ):
        if how == "unsealed" or (how == "drop" and "lock" in postponed.values()):
            postponed[partition] = how if how == "unsealed" else "lock"  # all drops want the same lock: waited for once
            continue
        try:
            if how == "drop":
                await connection.fetchval("SELECT audit_purge_detach($1, $2)", partition, floors)
            else:
                await _delete(connection, partition, floors, settings.batch_rows)
                await connection.execute("SELECT audit_purge_mark($1, $2)", partition, signature)
        except _LOCKED:
            postponed[partition] = "lock"  # somebody reads for long: this one at the next run
    try:
        while await connection.fetchrow("SELECT partition, rows FROM audit_purge_drop()") is not None:
            pass
    except _LOCKED:
        postponed |= {row["name"]: "lock" for row in await connection.fetch(_TAKEN_OUT)}
    await connection.execute("SELECT audit_purge_aside($1)", settings.longest)
    steps = await _tell(connection, settings)
    for reason in postponed.values():
        metrics.postponed.labels(reason).inc()
    for step in steps:
        metrics.purged.labels(step.how).inc(step.rows)
    metrics.seconds.set(time.monotonic() - began)
    metrics.last_run.set(now_ns() / 1e9)
    return Outcome(steps, postponed)


async def _floors(connection: Connection, settings: RetentionSettings) -> str:
    """Tenant to the least id that stays, as the store's clock and `complete_through` have it; JSON."""
    floors: str = await connection.fetchval(
        "SELECT audit_purge_floors($1, $2)", settings.days, json.dumps(settings.tenants)
    )
    return floors


async def _delete(connection: Connection, partition: str, floors: str, batch_rows: int) -> None:
    """Delete the rows of a partition that go, a batch a transaction."""
    since: Any = LEAST_ID
    while True:
        gone, last = await connection.fetchrow(
            "SELECT gone, last_id FROM audit_purge_batch($1, $2, $3, $4)", partition, floors, since, batch_rows
        ) or (0, None)
        if gone < batch_rows:
            return
        since = last


async def _tell(connection: Connection, settings: RetentionSettings) -> list[Step]:
    """Write the events of what is gone and not told of: one for each tenant, and one of all for no tenant."""
    async with connection.transaction():
        rows = await connection.fetch("DELETE FROM audit_purge_tally RETURNING partition, tenant_id, how, rows")
        steps = sorted(Step(*row) for row in rows)
        if not steps:
            return steps
        by_tenant: dict[str, list[Step]] = {}
        for step in (each for each in steps if each.rows):  # a week in which there was nothing is nobody's
            by_tenant.setdefault(step.tenant or NO_TENANT, []).append(step)
        for tenant, own in sorted(by_tenant.items()):
            details = {**_details(own), "kept_days": settings.of(tenant)}
            made = keeper_event(PURGED, await event_id(connection), details, tenant_id=tenant)
            await record(connection, made)
        everything = {**_details(steps), "tenants": len(by_tenant), "kept_days": settings.days, "all_tenants": True}
        await record(connection, keeper_event(PURGED, await event_id(connection), everything))
    return steps


def _details(steps: list[Step]) -> dict[str, Any]:
    return {
        "count": sum(step.rows for step in steps),
        "deleted_from": sorted({step.partition for step in steps if step.how == "delete"}),
        "dropped": sorted({step.partition for step in steps if step.how == "drop"}),
    }
