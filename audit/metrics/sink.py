"""What a sink's breaker counts."""

from prometheus_client import CollectorRegistry

from audit.errors import Cause
from audit.metrics.closed import Counter, Gauge, Label
from audit.metrics.relay import SINKS


class SinkMetrics:
    """Of each sink, as its breaker sees it."""

    def __init__(self, registry: CollectorRegistry) -> None:
        sink = Label("sink", SINKS)
        self.breaker_state = Gauge(
            "audit_sink_breaker_state",
            "Whether a sink is left alone: 0 closed, 1 half open (one is out to see), 2 open, by sink.",
            [sink],
            registry=registry,
        )
        self.errors = Counter(
            "audit_sink_errors",
            "What a sink did not take, by sink and cause (a word of `audit.errors.Cause`).",
            [sink, Label("error", Cause)],
            registry=registry,
        )
