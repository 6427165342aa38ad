"""What the shadow counts: the one home of these names. Actions are those of the candidate's schema."""

from collections.abc import Iterable
from typing import Final

from prometheus_client import CollectorRegistry

from audit.metrics.closed import Counter, Gauge, Label
from gateway.metrics import FATES
from policies.replay.decide import UNDECIDABLE
from policies.replay.tally import FLIPS

KINDS: Final = tuple(kind.value for kind in FLIPS)
DROPS: Final = ("queue", "process")
"""More was recorded than can be decided; the process ended before it answered."""


class ShadowMetrics:
    """What the shadow does."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._action = Label("action", of="the actions of the candidate's schema")
        self.compared = Counter(
            "lychgate_shadow_compared", "Decisions that the shadow set has made again.", registry=registry
        )
        self.divergences = Counter(
            "lychgate_shadow_divergences",
            "Decisions that the shadow set makes otherwise, or for other reasons.",
            (self._action, Label("kind", KINDS)),
            registry=registry,
        )
        self.undecidable = Counter(
            "lychgate_shadow_undecidable",
            "Decisions that the shadow set cannot make again from their record, by reason.",
            (Label("why", UNDECIDABLE),),
            registry=registry,
        )
        self.dropped = Counter(
            "lychgate_shadow_dropped",
            "Sampled records that were not looked at.",
            (Label("why", DROPS),),
            registry=registry,
        )
        self.unrecorded = Counter(
            "lychgate_shadow_events_withheld",
            "Divergences that were counted and not recorded, because there were too many in a second.",
            registry=registry,
        )
        self.loads = Counter(
            "lychgate_shadow_loads",
            "Shadow sets that were read, by their fate.",
            (Label("result", FATES),),
            registry=registry,
        )
        self.restarts = Counter(
            "lychgate_shadow_restarts", "Times the shadow's process ended and was started again.", registry=registry
        )
        self.in_use = Gauge("lychgate_shadow_in_use", "1 when a shadow set decides.", registry=registry)

    def declare(self, actions: Iterable[str]) -> None:
        """Say which actions there are."""
        self._action.allow(actions)

    def diverged(self, action: str, kind: str) -> None:
        """Count a divergence."""
        self.divergences.labels(action, kind).inc()

    def undecided(self, why: str, count: int) -> None:
        """Count what cannot be decided."""
        self.undecidable.labels(why).inc(count)
