"""What the supervisor knows: the sources in hand, who decides by them, and what is still missing.

It changes the sources of all workers together, and it is what the operations port shows (`gateway.ops.app.Operated`).
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import msgspec
import structlog

from gateway.clock import Clock
from gateway.fleet.member import Member
from gateway.identify.keys import KeyFetcher, KeyPlace
from gateway.metrics import SupervisorMetrics
from gateway.snapshot import Snapshot, build_snapshot
from gateway.sources import IssuerKeys, Sources
from gateway.supervisor.crew import Crew, InstallResult
from gateway.supervisor.delivery import Delivery
from gateway.supervisor.errors import NotTaken
from gateway.supervisor.freshness import Freshness
from gateway.supervisor.sources import UNBUILDABLE

_METRICS_S = 5.0
"""How long a scrape waits for a worker; then what it said last is shown. Prometheus gives a scrape ten seconds."""

_log = structlog.get_logger(__name__)


class Supervisor:
    """The state of the gateway on this machine.

    Attributes:
        crew: The workers.
        fetcher: Keeps the issuers' keys.
        draining: Whether a stop was asked for.
        shown: What else the status shows, by name.
    """

    def __init__(
        self,
        sources: Sources,
        snapshot: Snapshot,
        make_crew: Callable[[Callable[[str, str], None]], Crew],
        delivery: Delivery,
        metrics: SupervisorMetrics,
        key_places: Sequence[KeyPlace],
        clock: Clock,
        version: str,
        freshness: Freshness,
        member: Member | None = None,
    ) -> None:
        self._sources = sources
        self._member = member
        self._snapshot = self._with_revocations(snapshot)
        self.crew = make_crew(self.kid_unknown)
        self._delivery = delivery
        self._metrics = metrics
        self._started_at = clock.text(clock.now())
        self._version = version
        self._freshness = freshness
        self._changing = asyncio.Lock()
        self._keys_installed: set[str] = set()
        self._changed = asyncio.Event()
        metrics.issuer.allow(place.issuer for place in key_places)
        self.fetcher = KeyFetcher(key_places, self._keys_changed, clock.now)
        self.draining = False
        self.shown: dict[str, Callable[[], object]] = {}

    @property
    def snapshot(self) -> Snapshot:
        """The one that decides in this process."""
        return self._snapshot

    @property
    def sources(self) -> Sources:
        """Those in hand."""
        return self._sources

    @property
    def waiting_for(self) -> tuple[str, ...]:
        """What readiness waits for; empty when the gateway can take requests."""
        found: list[str] = []
        if self.draining:
            found.append("draining")
        if not self.crew.complete_once or self.crew.serving == 0:
            found.append("workers")
        if self._freshness.stale:
            found.append("policies")
        found += [f"keys:{issuer.name}" for issuer in self._sources.issuers if issuer.name not in self._keys_installed]
        # Reached once is enough: when the store goes away the spool carries on, and a gateway that is full of work
        # must not be taken out for it.
        if not self._delivery.reached:
            found.append("store")
        if self._delivery.clock_off:
            found.append("clock")
        return (*found, *(self._member.waiting_for if self._member is not None else ()))

    async def _keys_changed(self, keys: IssuerKeys) -> None:
        """Have everybody decide with an issuer's new keys; returns when all have acknowledged."""
        self._metrics.key_changes.labels(keys.issuer).inc()
        async with self._changing:
            # Of all issuers: while this waited for its turn, another may have changed.
            await self._change(msgspec.structs.replace(self._sources, keys=self.fetcher.keys))

    async def reload(self, read: Callable[[Sources], Sources], check: Callable[[Sources], Snapshot]) -> bool:
        """Decide by other sources; returns when all workers have acknowledged them.

        Args:
            read: From the sources in hand to the new ones; runs in a thread. The very same ones mean that nothing is
                to be done.
            check: Builds the snapshot; runs in a thread.

        Returns:
            Whether other sources are in force than before.

        Raises:
            StartRefused: The one or the other says no. Nothing has changed.
            NotTaken: A worker could not build them. Nothing has changed, in any worker.
        """
        async with self._changing:
            current = self._sources
            sources = await asyncio.to_thread(read, current)
            if sources is current:
                return False
            snapshot = await asyncio.to_thread(check, sources)
            result = await self.crew.install(sources, together=True)
            if result.problems and not result.installed:
                raise NotTaken("\n".join(f"worker {slot}: {why}" for slot, why in sorted(result.problems.items())))
            self._in_force(sources, snapshot, result)
            return True

    async def _change(self, sources: Sources) -> None:
        """Check, then hand out. What cannot be built here is not handed out, and the old stays in force."""
        try:
            snapshot = await asyncio.to_thread(build_snapshot, sources)
        except UNBUILDABLE as exc:
            _log.error("sources_refused", reason=str(exc))
            return
        await self._hand_out(sources, snapshot)

    async def _hand_out(self, sources: Sources, snapshot: Snapshot) -> None:
        """Keys: whoever cannot take them is replaced, so that a key that was withdrawn is believed by nobody."""
        self._in_force(sources, snapshot, await self.crew.install(sources))

    def _in_force(self, sources: Sources, snapshot: Snapshot, result: InstallResult) -> None:
        self._sources, self._snapshot = sources, self._with_revocations(snapshot)
        self._changed.set()
        self._keys_installed = {keys.issuer for keys in sources.keys}
        _log.info(
            "sources_installed",
            version=result.version,
            policy_version=snapshot.bundle.version,
            slots=result.installed,
            problems=result.problems,
        )

    def _with_revocations(self, snapshot: Snapshot) -> Snapshot:
        """Have a snapshot know what is revoked, as one of a worker does."""
        if self._member is not None:
            snapshot.revocations = self._member.index
        return snapshot

    def kid_unknown(self, issuer: str, _kid: str) -> None:
        """Have an issuer's keys fetched again, soon: somebody met one that is not in the set.

        Not logged: strangers choose how often this happens. The fetcher bounds what comes of it.
        """
        self.fetcher.kid_unknown(issuer)

    async def first_keys(self, within_s: float) -> None:
        """Wait until every issuer's keys are in the sources, but not long: tokens of the others hold without them."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while len(self._sources.keys) < len(self._sources.issuers):
                    self._changed.clear()
                    await self._changed.wait()

    async def refresh_metrics(self) -> None:
        """Bring the totals up to date."""
        self._metrics.ready.set(not self.waiting_for)
        self._metrics.workers_behind.set(self.crew.behind)
        for issuer, failing_s in self.fetcher.failing_s.items():
            self._metrics.keys_failing.labels(issuer).set(failing_s)
        self._freshness.refresh_metrics(self._sources)
        await self.crew.ask_metrics(_METRICS_S)

    def status(self) -> dict[str, Any]:
        """Everything an operator asks first."""
        bundle = self._snapshot.bundle
        return {
            "version": self._version,
            "started_at": self._started_at,
            "ready": not self.waiting_for,
            "waiting_for": list(self.waiting_for),
            "sources_version": self._sources.version,
            "policy_version": bundle.version,
            "schema_version": bundle.schema_version,
            "decision_api_version": self._snapshot.decision_api,
            "bundle_serial": self._sources.bundle_serial,
            **self._freshness.status(),
            "policies": len(bundle.policies),
            "routes": len(self._snapshot.routes.routes),
            "refusing_routes": {route.id: route.problem for route in self._snapshot.routes.routes if route.problem},
            "workers": [msgspec.structs.asdict(report) for report in self.crew.report()],
            "issuers": [
                {
                    "issuer": keys.issuer,
                    "keys": keys.key_count,
                    "confirmed_at": keys.confirmed_at,
                    "problem": keys.problem,
                    "ignored": list(keys.ignored),
                }
                for keys in self.fetcher.status
            ],
            "audit": self._delivery.status(),
            **{name: show() for name, show in self.shown.items()},
            "fleet": self._member.status() if self._member is not None else {},
        }
