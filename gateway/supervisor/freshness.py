"""Whether what decides is what stands in the files: how the last reload went, and since when the files differ.

Written by `gateway.supervisor.reload` and `gateway.supervisor.live`, shown by `/internal/status`, `/readyz`, metrics.
"""

from typing import Any, Final

import msgspec
import structlog

from gateway.clock import Clock
from gateway.freshness_metrics import POLICIES, FreshnessMetrics
from gateway.metrics import RELOADS, SupervisorMetrics
from gateway.sources import Sources

EVERYTHING: Final = "configuration"
"""What was read anew on SIGHUP, certificates and keys with it; one of `gateway.metrics.RELOADS`."""

_log = structlog.get_logger(__name__)


class LastReload(msgspec.Struct, frozen=True):
    """How a reload went.

    Attributes:
        at: When, RFC 3339.
        what: `configuration`, `policies`, `certificates` or `context_keys`.
        installed: Whether it is in force.
        reason: Why not; one finding a line.
    """

    at: str
    what: str
    installed: bool
    reason: str | None = None


class Freshness:
    """How far files and what is in force are apart.

    Args:
        metrics: Its own.
        reloads: Where reloads are counted.
        clock: For the times that are shown.
        stale_after_s: How long the files may differ before the gateway is not ready; 0 for ever.

    Attributes:
        last: How the last reload went; None before the first.
    """

    def __init__(
        self, metrics: FreshnessMetrics, reloads: SupervisorMetrics, clock: Clock, stale_after_s: float
    ) -> None:
        self.last: LastReload | None = None
        self._metrics = metrics
        self._reloads = reloads
        self._clock = clock
        self._stale_after_s = stale_after_s
        self._differs_since: float | None = None
        metrics.succeeded_at.set(clock.now())
        for what in RELOADS:
            self.well(what)

    @property
    def stale(self) -> bool:
        """Whether the files have differed for too long."""
        return 0 < self._stale_after_s < self._differs_s()

    def installed(self, what: str, *, rules: bool = True) -> None:
        """A reload went well.

        Args:
            what: Of `gateway.metrics.RELOADS`.
            rules: Whether it was of policies, roles and routes.
        """
        self._reloads.reloaded(what, installed=True)
        self.last = LastReload(self._now(), what, installed=True)
        for read in RELOADS if what == EVERYTHING else (what,):
            self.well(read)
        if rules:
            self._metrics.succeeded_at.set(self._clock.now())
            self.same()

    def refused(self, what: str, reason: str, kept: str, *, rules: bool = True) -> None:
        """A reload did not go well.

        Args:
            what: Of `gateway.metrics.RELOADS`.
            reason: With file, line and why, a finding a line.
            kept: The version of the sources that stay in force.
            rules: Whether it was of policies, roles and routes.
        """
        self._reloads.reloaded(what, installed=False)
        self._metrics.successful.labels(what).set(0)
        self.last = LastReload(self._now(), what, installed=False, reason=reason)
        _log.error("reload_refused", what=what, reason=reason, kept=kept)
        if rules and self._differs_since is None:
            self._differs_since = self._clock.now()

    def same(self) -> None:
        """The files of policies, roles and routes are what is in force."""
        self._differs_since = None
        self.well(POLICIES)

    def well(self, what: str) -> None:
        """What was refused stands in its files no more; `what` is of `gateway.metrics.RELOADS`."""
        self._metrics.successful.labels(what).set(1)

    def refresh_metrics(self, sources: Sources) -> None:
        """Bring the numbers up to date; `sources` are those in force."""
        serial = sources.bundle_serial
        self._metrics.differ_s.set(self._differs_s())
        self._metrics.bundle_serial.set(-1 if serial is None else serial)
        self._metrics.rules_hash.set(sources.rules_hash)

    def status(self) -> dict[str, Any]:
        """As `/internal/status` shows it."""
        return {
            "last_reload": msgspec.structs.asdict(self.last) if self.last is not None else None,
            "files_differ_s": round(self._differs_s(), 1),
            "stale": self.stale,
        }

    def _differs_s(self) -> float:
        return 0.0 if self._differs_since is None else max(0.0, self._clock.now() - self._differs_since)

    def _now(self) -> str:
        return self._clock.text(self._clock.now())
