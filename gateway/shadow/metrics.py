"""What the shadow counts: the one home of these names. Actions are those of the candidate's schema."""

from collections.abc import Iterable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge

from gateway.metrics import OTHER, closed
from policies.replay.decide import UNDECIDABLE
from policies.replay.tally import FLIPS

KINDS: Final = tuple(kind.value for kind in FLIPS)
DROPS: Final = ("queue", "process")
"""More was recorded than can be decided; the process ended before it answered."""


class ShadowMetrics:
    """What the shadow does."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._actions: frozenset[str] = frozenset()
        self.compared = Counter(
            "lychgate_shadow_compared", "Decisions that the shadow set has made again.", registry=registry
        )
        self.divergences = Counter(
            "lychgate_shadow_divergences",
            "Decisions that the shadow set makes otherwise, or for other reasons.",
            ("action", "kind"),
            registry=registry,
        )
        self.undecidable = Counter(
            "lychgate_shadow_undecidable",
            "Decisions that the shadow set cannot make again from their record, by reason.",
            ("why",),
            registry=registry,
        )
        self.dropped = Counter(
            "lychgate_shadow_dropped", "Sampled records that were not looked at.", ("why",), registry=registry
        )
        self.unrecorded = Counter(
            "lychgate_shadow_events_withheld",
            "Divergences that were counted and not recorded, because there were too many in a second.",
            registry=registry,
        )
        self.loads = Counter(
            "lychgate_shadow_loads",
            "Shadow sets that were read, by their fate.",
            ("result",),
            registry=registry,
        )
        self.restarts = Counter(
            "lychgate_shadow_restarts", "Times the shadow's process ended and was started again.", registry=registry
        )
        self.in_use = Gauge("lychgate_shadow_in_use", "1 when a shadow set decides.", registry=registry)

    def declare(self, actions: Iterable[str]) -> None:
        """Say which actions there are."""
        self._actions = frozenset(actions)

    def diverged(self, action: str, kind: str) -> None:
        """Count a divergence."""
        self.divergences.labels(closed(action, self._actions), closed(kind, KINDS)).inc()

    def undecided(self, why: str, count: int) -> None:
        """Count what cannot be decided."""
        self.undecidable.labels(closed(why, UNDECIDABLE) if why else OTHER).inc(count)
