"""Jobs, and the loop that runs them: each at its own pace, each in one place at a time.

A job runs under an advisory lock of its own, so gateways and consumers of one store may all have a keeper. It gets a
connection as `audit_keeper`, outside any transaction, and owns its transactions.
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import NamedTuple, TypeAlias

import asyncpg
import structlog
from prometheus_client import CollectorRegistry

from audit.driver import described
from audit.errors import AuditError
from audit.login import check_role
from audit.metrics import KeeperMetrics

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

_CONNECT_TIMEOUT_S = 5.0
_COMMAND_TIMEOUT_S = 600.0
_LOOK_S = 1.0
_LOCK_SPACE = 0x6C79  # "ly": the first half of our advisory locks' keys; the second is of the job's name

_log = structlog.get_logger("audit.keeper")


class Job(NamedTuple):
    """Something to be done again and again.

    Attributes:
        name: A word; a metric's label, and its lock.
        every_s: From the end of one run to the next; after a failure sooner.
        work: Does it.
    """

    name: str
    every_s: float
    work: Callable[[Connection], Awaitable[None]]


class Keeper:
    """Runs jobs until cancelled.

    Args:
        dsn: The login of `audit_keeper`.
        jobs: What there is to do.
        metrics: Where runs are counted.
        retry_s: After a failure.
        now_ns: Nanoseconds since the epoch.
    """

    def __init__(
        self,
        dsn: str,
        jobs: Sequence[Job],
        *,
        metrics: KeeperMetrics | None = None,
        retry_s: float = 30.0,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._dsn = dsn
        self._jobs = jobs
        self._metrics = metrics or KeeperMetrics(CollectorRegistry())
        self._metrics.keeping(job.name for job in jobs)
        self._retry_s = retry_s
        self._now_ns = now_ns

    async def run(self) -> None:
        """Run each job when it is due, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for job in self._jobs:
                tasks.create_task(self._repeat(job))

    async def once(self, name: str) -> bool:
        """Run one job now, whether it is due or not.

        Returns:
            Whether it ran; if not, somebody else is at it.

        Raises:
            AuditError, OSError, asyncpg.PostgresError: it failed.
        """
        job = next(job for job in self._jobs if job.name == name)
        return await self._do(job)

    async def _repeat(self, job: Job) -> None:
        failures = 0
        while True:
            try:
                await self._do(job)
            except (AuditError, OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as exc:
                failures += 1
                self._metrics.failures.labels(job.name).inc()
                if failures & (failures - 1) == 0:  # the 1st, 2nd, 4th ...: an outage does not fill the log
                    _log.warning("audit_keeper_job_failed", job=job.name, error=described(exc), failures=failures)
                pause = min(self._retry_s, job.every_s)
            else:
                failures = 0
                pause = job.every_s
            await asyncio.sleep(pause * (0.9 + random.random() / 5))  # noqa: S311  # so that not all come at once

    async def _do(self, job: Job) -> bool:
        async with opened(self._dsn) as connection, alone(connection, job.name) as ours:
            if not ours:
                return False
            await job.work(connection)
            self._metrics.succeeded.labels(job.name).set(self._now_ns() / 1e9)
            return True


@asynccontextmanager
async def opened(dsn: str) -> AsyncIterator[Connection]:
    """A connection as the keeper, checked.

    Raises:
        WrongRole: the login may do more than it must.
        OSError: the server cannot be reached.
    """
    connection = await asyncpg.connect(dsn, timeout=_CONNECT_TIMEOUT_S, command_timeout=_COMMAND_TIMEOUT_S)
    try:
        await check_role(connection)
        yield connection
    finally:
        with suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
            await connection.close(timeout=_LOOK_S)


@asynccontextmanager
async def alone(connection: Connection, name: str) -> AsyncIterator[bool]:
    """Whether nobody else is at this job; the lock ends with the connection, whatever becomes of us."""
    ours = bool(await connection.fetchval("SELECT pg_try_advisory_lock($1, hashtext($2))", _LOCK_SPACE, name))
    try:
        yield ours
    finally:
        if ours and not connection.is_closed():
            with suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
                await connection.execute("SELECT pg_advisory_unlock($1, hashtext($2))", _LOCK_SPACE, name)
