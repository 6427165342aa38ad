"""What a sink's breaker counts."""

from prometheus_client import CollectorRegistry, Counter, Gauge


class SinkMetrics:
    """Of each sink, as its breaker sees it."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.breaker_state = Gauge(
            "audit_sink_breaker_state",
            "Whether a sink is left alone: 0 closed, 1 half open (one is out to see), 2 open, by sink.",
            ["sink"],
            registry=registry,
        )
        self.errors = Counter(
            "audit_sink_errors",
            "What a sink did not take, by sink and cause (a word of `audit.errors.Cause`).",
            ["sink", "error"],
            registry=registry,
        )
