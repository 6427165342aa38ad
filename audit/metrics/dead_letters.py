"""What is known of the dead letters."""

from prometheus_client import CollectorRegistry, Gauge


class DeadLetterMetrics:
    """Of the dead letters that wait in the store."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.pending = Gauge(
            "audit_dead_letters_pending",
            "Dead letters that wait for a replay, by reason.",
            ["reason"],
            registry=registry,
        )
