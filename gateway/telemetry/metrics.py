"""What became of spans."""

from typing import Final

from prometheus_client import CollectorRegistry

from audit.metrics.closed import Counter, Gauge, Label

DROPPED: Final = ("worker", "queue", "collector")
"""A worker had too many in a moment; the collector was too slow; it refused them or did not answer."""


class TelemetryMetrics:
    """Counted by the supervisor, where `telemetry` is configured."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.exported = Counter("lychgate_spans_exported", "Spans that the collector took.", registry=registry)
        self.dropped = Counter(
            "lychgate_spans_dropped",
            "Spans, or of a worker requests, that no collector has.",
            (Label("reason", DROPPED),),
            registry=registry,
        )
        self.waiting = Gauge("lychgate_spans_waiting", "Spans that wait for the collector.", registry=registry)
