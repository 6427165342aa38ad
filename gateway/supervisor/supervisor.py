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
from gateway.supervisor.crew import Crew
from gateway.supervisor.delivery import Delivery
from gateway.supervisor.sources import UNBUILDABLE

_METRICS_S = 1.0
"""How long a scrape waits for a worker; then what it said last is shown."""

_log = structlog.get_logger(__name__)


class Supervisor:
    """The state of the gateway on this machine.

    Attributes:
        crew: The workers.
        fetcher: Keeps the issuers' keys.
        draining: Whether a stop was asked for.
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
        self._changing = asyncio.Lock()
        self._keys_installed: set[str] = set()
        self._changed = asyncio.Event()
        self.fetcher = KeyFetcher(key_places, self._keys_changed, clock.now)
        self.draining = False

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
        found += [f"keys:{issuer.name}" for issuer in self._sources.issuers if issuer.name not in self._keys_installed]
        # Reached once is enough: when the store goes away the spool carries on, and a gateway that is full of work
        # must not be taken out for it.
        if not self._delivery.reached:
            found.append("store")
        return (*found, *(self._member.waiting_for if self._member is not None else ()))

    async def _keys_changed(self, keys: IssuerKeys) -> None:
        """Have everybody decide with an issuer's new keys; returns when all have acknowledged."""
        self._metrics.key_changes.labels(keys.issuer).inc()
        async with self._changing:
            # Of all issuers: while this waited for its turn, another may have changed.
            await self._change(msgspec.structs.replace(self._sources, keys=self.fetcher.keys))

    async def reload(self, read: Callable[[Sources], Sources], check: Callable[[Sources], Snapshot]) -> None:
        """Decide by other sources; returns when all workers have acknowledged them.

        Args:
            read: From the sources in hand to the new ones; runs in a thread.
            check: Builds the snapshot; runs in a thread.

        Raises:
            StartRefused: The one or the other says no. Nothing has changed.
        """
        async with self._changing:
            sources = await asyncio.to_thread(read, self._sources)
            await self._hand_out(sources, await asyncio.to_thread(check, sources))

    async def _change(self, sources: Sources) -> None:
        """Check, then hand out. What cannot be built here is not handed out, and the old stays in force."""
        try:
            snapshot = await asyncio.to_thread(build_snapshot, sources)
        except UNBUILDABLE as exc:
            _log.error("sources_refused", reason=str(exc))
            return
        await self._hand_out(sources, snapshot)

    async def _hand_out(self, sources: Sources, snapshot: Snapshot) -> None:
        self._sources, self._snapshot = sources, self._with_revocations(snapshot)
        self._changed.set()
        result = await self.crew.install(sources)
        self._keys_installed = {keys.issuer for keys in sources.keys}
        _log.info("sources_installed", version=result.version, slots=result.installed, problems=result.problems)

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
            "fleet": self._member.status() if self._member is not None else {},
        }
