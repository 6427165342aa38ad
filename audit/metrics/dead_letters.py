"""What is known of the dead letters."""

from prometheus_client import CollectorRegistry

from audit.ingest import DeadReason
from audit.metrics.closed import Gauge, Label


class DeadLetterMetrics:
    """Of the dead letters that wait in the store."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.pending = Gauge(
            "audit_dead_letters_pending",
            "Dead letters that wait for a replay, by reason.",
            [Label("reason", DeadReason)],
            registry=registry,
        )
