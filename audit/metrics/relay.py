"""What the relay counts."""

from typing import Final

from prometheus_client import CollectorRegistry

from audit.metrics.buckets import LAG_BUCKETS
from audit.metrics.closed import Counter, Gauge, Histogram, Label
from audit.spool.segment import LOSS_REASONS

SINKS: Final = ("store", "kafka", "ndjson", "search")


class RelayMetrics:
    """Of the relay, which empties all spool folders of a machine."""

    def __init__(self, registry: CollectorRegistry) -> None:
        sink = Label("sink", SINKS)
        self.relayed = Counter("audit_relayed", "Records the sink has taken, by sink.", [sink], registry=registry)
        self.failures = Counter(
            "audit_relay_failures", "Batches the sink did not take, by sink.", [sink], registry=registry
        )
        self.send_seconds = Histogram(
            "audit_relay_send_seconds",
            "One batch into the sink, by sink.",
            [sink],
            buckets=LAG_BUCKETS,
            registry=registry,
        )
        self.backlog_bytes = Gauge(
            "audit_relay_backlog_bytes", "Undelivered bytes on disk, all folders.", registry=registry
        )
        self.oldest_seconds = Gauge(
            "audit_relay_oldest_seconds", "Age of the oldest undelivered record.", registry=registry
        )
        self.folders = Gauge("audit_relay_folders", "Spool folders in sight.", registry=registry)
        self.lost = Counter(
            "audit_lost",
            "Records known to be missing, by reason; each is named in an audit.loss event.",
            [Label("reason", LOSS_REASONS)],
            registry=registry,
        )
        self.quarantined = Counter("audit_spool_quarantined", "Damaged segments set aside.", registry=registry)
        self.adopted = Counter("audit_spool_adopted", "Folders taken over from dead producers.", registry=registry)
