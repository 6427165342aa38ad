"""The keeper's loop, against a real PostgreSQL."""

import asyncio

import pytest
from prometheus_client import CollectorRegistry

from audit.errors import WrongRole
from audit.keeper.jobs import Connection, Job, Keeper, opened
from audit.metrics import KeeperMetrics
from tests.builders.patience import PATIENCE_S
from tests.servers.postgres import Logins

BOTH_SERVERS = True


async def _until(condition: "asyncio.Event") -> None:
    await asyncio.wait_for(condition.wait(), PATIENCE_S)


async def test_a_job_that_fails_holds_up_no_other(migrated_database: Logins) -> None:
    """One fails each time and is counted; the other runs all the same."""
    ran = asyncio.Event()
    registry = CollectorRegistry()

    async def works(connection: Connection) -> None:
        assert await connection.fetchval("SELECT session_user::text") == "audit_keeper"
        if registry.get_sample_value("audit_keeper_failures_total", {"job": "fails"}):
            ran.set()

    async def fails(_: Connection) -> None:
        raise OSError("no")

    jobs = [Job("fails", 0.02, fails), Job("works", 0.02, works)]
    keeper = Keeper(migrated_database.keeper, jobs, metrics=KeeperMetrics(registry), retry_s=0.02)
    task = asyncio.ensure_future(keeper.run())
    try:
        await _until(ran)
        async with asyncio.timeout(PATIENCE_S):  # a failure is counted when its connection is closed
            while not registry.get_sample_value("audit_keeper_failures_total", {"job": "fails"}):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert registry.get_sample_value("audit_keeper_last_success_timestamp_seconds", {"job": "works"})


async def test_a_job_runs_in_one_place_at_a_time(migrated_database: Logins) -> None:
    """While one keeper is at it, another one is told that it is not needed."""
    begun, end = asyncio.Event(), asyncio.Event()

    async def long(_: Connection) -> None:
        begun.set()
        await end.wait()

    one, two = (Keeper(migrated_database.keeper, [Job("long", 60, long)]) for _ in range(2))
    first = asyncio.ensure_future(one.once("long"))
    await _until(begun)
    assert not await two.once("long")
    end.set()
    assert await first
    assert await two.once("long")


async def test_a_keeper_that_may_do_more_is_refused(migrated_database: Logins) -> None:
    """The owner's login does not keep house."""
    with pytest.raises(WrongRole):
        async with opened(migrated_database.owner):
            pass
