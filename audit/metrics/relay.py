"""What the relay counts."""

from typing import Final

from prometheus_client import CollectorRegistry

from audit.metrics.buckets import LAG_BUCKETS
from audit.metrics.closed import Counter, Gauge, Histogram, Label
from audit.spool.segment import LOSS_REASONS

SINKS: Final = ("store", "kafka", "ndjson", "search")
REFUSALS: Final = ("mapping", "too_large", "unreadable")


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
            "audit_relay_backlog_bytes",
            "Undelivered bytes on disk, all folders (main sink).",
            registry=registry,
        )
        self.oldest_seconds = Gauge(
            "audit_relay_oldest_seconds",
            "Age of the oldest undelivered record (main sink).",
            registry=registry,
        )
        self.sink_up = Gauge(
            "audit_sink_up", "Whether the sink took the last batch it was given: 1 or 0.", [sink], registry=registry
        )
        self.sink_lag_bytes = Gauge(
            "audit_sink_lag_bytes", "Bytes on disk that the sink has not taken.", [sink], registry=registry
        )
        self.sink_oldest_seconds = Gauge(
            "audit_sink_oldest_seconds",
            "Age of the oldest record in hand that the sink has not taken.",
            [sink],
            registry=registry,
        )
        self.sink_skipped = Counter(
            "audit_sink_skipped",
            "Records that a sink which is not required was moved over; each is named in an audit.sink.skipped event.",
            [sink],
            registry=registry,
        )
        self.sink_refused = Counter(
            "audit_sink_refused",
            "Records that a sink cannot hold, by reason; named in its file of refusals.",
            [sink, Label("reason", REFUSALS)],
            registry=registry,
        )
        self.sink_files_gone = Counter(
            "audit_sink_files_gone",
            "Files that were renamed, cut or removed under a sink while it wrote them.",
            [sink],
            registry=registry,
        )
        self.free_bytes = Gauge(
            "audit_spool_free_bytes",
            "Free bytes of the spool's disk; 0 if it cannot be asked.",
            registry=registry,
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
