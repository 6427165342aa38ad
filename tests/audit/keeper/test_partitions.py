"""Tests of `audit.keeper.partitions`."""

from itertools import pairwise

import asyncpg
import pytest
from prometheus_client import CollectorRegistry

from audit.keeper.jobs import Keeper
from audit.keeper.partitions import PREMAKE, premake_job
from audit.metrics import PartitionMetrics
from tests.servers.postgres import Logins

BOTH_SERVERS = True


@pytest.fixture
def registry() -> CollectorRegistry:
    """Where the job counts."""
    return CollectorRegistry()


@pytest.fixture
def metrics(registry: CollectorRegistry) -> PartitionMetrics:
    """Its metrics."""
    return PartitionMetrics(registry)


def keeper(logins: Logins, days: int, metrics: PartitionMetrics) -> Keeper:
    """One with this job only."""
    return Keeper(logins.keeper, [premake_job(days, metrics=metrics)])


async def test_the_next_days_are_made(
    migrated_database: Logins, registry: CollectorRegistry, metrics: PartitionMetrics
) -> None:
    """As many as configured, one after the other without a gap; the second time there is nothing to do."""
    assert await keeper(migrated_database, 60, metrics).once(PREMAKE)
    assert await keeper(migrated_database, 60, metrics).once(PREMAKE)
    assert 60 <= (registry.get_sample_value("audit_partitions_premade_seconds") or 0) / 86400 < 67
    owner = await asyncpg.connect(migrated_database.owner)
    parts = await owner.fetch("SELECT *, (until AT TIME ZONE 'UTC')::text AS at FROM audit_partitions()")
    assert all(before["beyond"] == after["lowest"] for before, after in pairwise(parts))
    assert all(row["name"] == f"audit_events_{row['since']:%Y%m%d}" for row in parts)
    assert all(row["at"].endswith("00:00:00") and row["until"].weekday() == 0 for row in parts)
    indexes = await owner.fetch(
        "SELECT count(*) AS number FROM pg_index WHERE indrelid = ANY (SELECT name::regclass FROM audit_partitions())"
        " GROUP BY indrelid"
    )
    assert {row["number"] for row in indexes} == {6}
    await owner.close()


async def test_neither_a_reader_nor_a_writer_holds_it_up(
    migrated_database: Logins, registry: CollectorRegistry, metrics: PartitionMetrics
) -> None:
    """Transactions that read or write the events stay open while partitions are made."""
    reader, writer = await asyncpg.connect(migrated_database.owner), await asyncpg.connect(migrated_database.owner)
    async with reader.transaction(), writer.transaction():
        await reader.fetch("SELECT * FROM audit_events")
        await writer.execute("LOCK TABLE audit_events IN ROW EXCLUSIVE MODE")
        assert await keeper(migrated_database, 90, metrics).once(PREMAKE)
    assert (registry.get_sample_value("audit_partitions_premade_seconds") or 0) / 86400 >= 90
    await reader.close()
    await writer.close()


async def test_a_lock_it_cannot_get_is_given_up_and_told(
    migrated_database: Logins, registry: CollectorRegistry, metrics: PartitionMetrics
) -> None:
    """It does not queue for ever in front of everybody else; how far the partitions reach is known all the same."""
    owner = await asyncpg.connect(migrated_database.owner)
    async with owner.transaction():
        await owner.execute("LOCK TABLE audit_events IN SHARE UPDATE EXCLUSIVE MODE")
        with pytest.raises(asyncpg.LockNotAvailableError):
            await keeper(migrated_database, 90, metrics).once(PREMAKE)
    assert 7 <= (registry.get_sample_value("audit_partitions_premade_seconds") or 0) / 86400 < 15
    assert await keeper(migrated_database, 90, metrics).once(PREMAKE)
    await owner.close()
