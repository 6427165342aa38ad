"""What the supervisor knows, with stand-in workers: readiness step by step, and sources that change for all."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from prometheus_client import CollectorRegistry

from gateway.clock import Clock
from gateway.control import WorkerConfig
from gateway.freshness_metrics import FreshnessMetrics
from gateway.identify.keys import KeyPlace
from gateway.metrics import SupervisorMetrics
from gateway.snapshot import build_snapshot
from gateway.supervisor.crew import Crew
from gateway.supervisor.errors import NotTaken
from gateway.supervisor.freshness import Freshness
from gateway.supervisor.listen import public_socket
from gateway.supervisor.supervisor import Supervisor
from gateway.supervisor.totals import Totals
from tests.builders import plane, tokens
from tests.gateway.supervisor.crews import STANDIN, until


class Delivered:
    """Stands for the relay."""

    reached = False
    clock_off = False

    def status(self) -> dict[str, Any]:
        """Nothing to tell."""
        return {"reached": self.reached}


@asynccontextmanager
async def _standing(
    folder: Path, *, slots: int = 1, stale_after_s: float = 0
) -> AsyncIterator[tuple[Supervisor, Delivered, CollectorRegistry]]:
    """A supervisor whose issuer has published nothing yet."""
    sources = msgspec.structs.replace(plane.sources(1), keys=())
    registry = CollectorRegistry()
    metrics = SupervisorMetrics(registry)
    delivered = Delivered()
    places = [KeyPlace("dev", file=folder / "jwks.json", refresh_s=0.2, unknown_kid_interval_s=0.05)]
    with public_socket("127.0.0.1", 0, 4) as sock:

        def crew(on_kid_unknown: Callable[[str, str], None]) -> Crew:
            return Crew(
                slots=slots,
                configure=lambda slot: WorkerConfig(
                    slot=slot, listen_fd=sock.fileno(), producer_id="w", spool_folder="spool"
                ),
                totals=Totals(registry),
                metrics=metrics,
                on_kid_unknown=on_kid_unknown,
                backoff_s=0.5,
                command=STANDIN,
            )

        supervisor = Supervisor(
            sources,
            build_snapshot(sources),
            crew,
            delivered,  # type: ignore[arg-type]
            metrics,
            places,
            Clock(),
            "1.0",
            Freshness(FreshnessMetrics(registry), metrics, Clock(), stale_after_s),
        )
        async with supervisor.fetcher, asyncio.TaskGroup() as tasks:
            fetching = tasks.create_task(supervisor.fetcher.run())
            try:
                yield supervisor, delivered, registry
            finally:
                fetching.cancel()


async def test_readiness_step_by_step(tmp_path: Path) -> None:
    """Workers, keys and store are waited for, each until it has come; draining ends it."""
    async with _standing(tmp_path) as (supervisor, delivered, registry):
        assert supervisor.waiting_for == ("workers", "keys:dev", "store")
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(supervisor.crew.run(supervisor.sources))
            await until(lambda: supervisor.waiting_for == ("keys:dev", "store"), "a worker decides")
            await until(lambda: supervisor.fetcher.failing_s["dev"] > 0, "there are no keys yet")
            await supervisor.refresh_metrics()
            assert (registry.get_sample_value("lychgate_issuer_keys_failing_seconds", {"issuer": "dev"}) or 0) > 0
            (tmp_path / "jwks.json").write_text(tokens.jwks(tokens.signing_key().public()))
            await until(lambda: supervisor.waiting_for == ("store",), "the keys are installed")
            delivered.reached = True
            assert supervisor.waiting_for == ()
            delivered.clock_off = True
            assert supervisor.waiting_for == ("clock",)
            delivered.clock_off = False
            await supervisor.refresh_metrics()
            assert registry.get_sample_value("lychgate_ready") == 1
            assert registry.get_sample_value("lychgate_issuer_keys_failing_seconds", {"issuer": "dev"}) == 0
            assert registry.get_sample_value("lychgate_issuer_key_changes_total", {"issuer": "dev"}) == 1
            status = supervisor.status()
            assert status["ready"]
            assert status["issuers"][0]["keys"] == 1
            assert status["workers"][0]["version"] == supervisor.sources.version == status["sources_version"]
            supervisor.draining = True
            assert supervisor.waiting_for == ("draining",)
            await supervisor.crew.drain(2.0)


async def test_new_keys_change_the_snapshot_here_and_in_the_workers(tmp_path: Path) -> None:
    """The supervisor decides by the same keys as the workers."""
    async with _standing(tmp_path) as (supervisor, _, _registry), asyncio.TaskGroup() as tasks:
        tasks.create_task(supervisor.crew.run(supervisor.sources))
        await until(lambda: supervisor.crew.ready, "a worker decides")
        before = supervisor.sources.version
        assert supervisor.snapshot.keyring.waiting_for == ("dev",)
        (tmp_path / "jwks.json").write_text(tokens.jwks(tokens.signing_key().public()))
        await until(
            lambda: supervisor.crew.ready and supervisor.sources.version != before, "all decide by the new keys"
        )
        assert supervisor.snapshot.keyring.waiting_for == ()
        assert supervisor.crew.report()[0].version == supervisor.snapshot.version
        await supervisor.crew.drain(2.0)


async def test_the_first_keys_are_waited_for_but_not_long(tmp_path: Path) -> None:
    """A start takes the keys with it when they come soon, and goes on without them when they do not."""
    async with _standing(tmp_path) as (supervisor, _, _registry):
        await supervisor.first_keys(0.05)
        assert supervisor.sources.keys == ()
        (tmp_path / "jwks.json").write_text(tokens.jwks(tokens.signing_key().public()))
        await supervisor.first_keys(5.0)
        assert [keys.issuer for keys in supervisor.sources.keys] == ["dev"]


async def test_an_unknown_key_has_the_set_fetched_soon(tmp_path: Path) -> None:
    """A report of a worker brings the next fetch forward."""
    (tmp_path / "jwks.json").write_text(tokens.jwks(tokens.signing_key().public()))
    async with _standing(tmp_path) as (supervisor, _, _registry):
        await supervisor.first_keys(5.0)
        both = tokens.jwks(tokens.signing_key().public(), tokens.signing_key(kid="k2", which=1).public())
        (tmp_path / "jwks.json").write_text(both)
        supervisor.kid_unknown("dev", "k2")
        supervisor.kid_unknown("nobody", "k2")
        await until(lambda: len(supervisor.snapshot.keyring.key_refs) == 2, "both keys are in force")


async def test_stale_policies_are_waited_for(tmp_path: Path) -> None:
    """And shown with what became of the last reload."""
    async with _standing(tmp_path, stale_after_s=1e-9) as (supervisor, _, _registry):
        assert "policies" not in supervisor.waiting_for
        supervisor._freshness.refused("policies", "why", "v1")
        await until(lambda: "policies" in supervisor.waiting_for, "stale")
        assert supervisor.status()["last_reload"]["reason"] == "why"
        assert supervisor.status()["bundle_serial"] is None


async def test_what_a_worker_cannot_build_is_in_force_nowhere(tmp_path: Path) -> None:
    """Neither in another worker nor here, and whoever asked for it is told which worker and why."""
    async with _standing(tmp_path, slots=2) as (supervisor, _, _registry), asyncio.TaskGroup() as tasks:
        tasks.create_task(supervisor.crew.run(supervisor.sources))
        await until(lambda: supervisor.crew.ready, "workers decide")
        before = supervisor.sources
        routes = msgspec.structs.replace(before.routes, name="refuse-slot-1")
        with pytest.raises(NotTaken, match=r"^worker 1: cannot build$"):
            await supervisor.reload(lambda current: msgspec.structs.replace(current, routes=routes), build_snapshot)
        assert supervisor.sources is before
        assert supervisor.snapshot.version == before.version
        assert {report.version for report in supervisor.crew.report()} == {before.version}
        assert not await supervisor.reload(lambda current: current, build_snapshot)
        await supervisor.crew.drain(2.0)
