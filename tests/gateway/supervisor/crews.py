"""Builders for tests of the supervisor: sources, a crew of stand-in workers, and polling with a deadline."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import msgspec
from prometheus_client import CollectorRegistry

from gateway.control import WorkerConfig
from gateway.metrics import SupervisorMetrics
from gateway.revocations import Revocation
from gateway.sources import ContextSource, SourceFile, Sources
from gateway.supervisor.crew import Crew
from gateway.supervisor.listen import public_socket
from gateway.supervisor.totals import Totals
from lychgate.processes import identity
from tests.builders.patience import PATIENCE_S

STANDIN = (sys.executable, "-m", "tests.gateway.supervisor.standin")


def make_sources(mood: str = "obey", text: str = "") -> Sources:
    """Sources that no snapshot could be built of; the stand-in looks at the routes file's name alone."""
    nothing = SourceFile("nothing", "")
    return Sources(
        policies=(),
        schema=nothing,
        roles=nothing,
        routes=SourceFile(mood, text),
        issuers=(),
        keys=(),
        services=(),
        context=ContextSource(issuer="lychgate"),
    )


class Stand(msgspec.Struct):
    """A running crew and what its tests look at."""

    crew: Crew
    totals: Totals
    registry: CollectorRegistry
    kids: list[tuple[str, str]]


@asynccontextmanager
async def running_crew(
    sources: Sources, *, slots: int = 2, install_s: float = 30.0, revoked: tuple[Revocation, ...] = ()
) -> AsyncIterator[Stand]:
    """A crew of stand-ins on a free port; drained, and if need be killed, at the end."""
    registry = CollectorRegistry()
    totals = Totals(registry)
    kids: list[tuple[str, str]] = []
    with public_socket("127.0.0.1", 0, 16) as sock:
        crew = Crew(
            slots=slots,
            configure=lambda slot: WorkerConfig(
                slot=slot, listen_fd=sock.fileno(), producer_id=f"w{slot}", spool_folder=f"spool/w{slot}"
            ),
            totals=totals,
            metrics=SupervisorMetrics(registry),
            on_kid_unknown=lambda issuer, kid: kids.append((issuer, kid)),
            backoff_s=0.5,
            command=STANDIN,
            install_s=install_s,
            revoked=lambda: [(revoked[:500], False), (revoked[500:], False)],
        )
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(crew.run(sources))
            try:
                yield Stand(crew, totals, registry, kids)
            finally:
                await crew.drain(2.0)


async def until(condition: Callable[[], bool], what: str, within_s: float = PATIENCE_S) -> None:
    """Poll until it holds."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within_s
    while not condition():
        if loop.time() > deadline:
            raise TimeoutError(f"not within {within_s} s: {what}")
        await asyncio.sleep(0.01)


def alive(pid: int) -> bool:
    """Whether a process runs (a zombie does not)."""
    return identity(pid) is not None
