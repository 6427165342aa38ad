"""What whoever writes the store counts."""

from typing import Final

from prometheus_client import CollectorRegistry

from audit.ingest import DeadReason
from audit.kafka.position import Misfit
from audit.metrics.buckets import BATCH_BUCKETS, LAG_BUCKETS
from audit.metrics.closed import Counter, Gauge, Histogram, Label

PARTITIONS: Final = tuple(str(number) for number in range(1000))


class IngestMetrics:
    """Of whoever writes the store: the relay in the direct form, the consumer behind Kafka."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.ingested = Counter("audit_events_ingested", "Rows made visible.", registry=registry)
        self.duplicates = Counter("audit_duplicates", "Records that were there already, unchanged.", registry=registry)
        self.conflicts = Counter(
            "audit_conflicts", "Records whose key was there with another content; kept apart.", registry=registry
        )
        self.dead_letters = Counter(
            "audit_dead_letters",
            "Records that cannot become rows, by reason.",
            [Label("reason", DeadReason)],
            registry=registry,
        )
        self.late = Counter(
            "audit_late_events",
            "Events that became visible below what readers had been told was complete; each is named in audit.late.",
            registry=registry,
        )
        self.failures = Counter("audit_ingest_failures", "Batches the store did not take.", registry=registry)
        self.batch_rows = Histogram(
            "audit_ingest_batch_rows", "Rows in one transaction.", buckets=BATCH_BUCKETS, registry=registry
        )
        self.seconds = Histogram("audit_ingest_seconds", "One transaction.", buckets=LAG_BUCKETS, registry=registry)
        self.lag = Histogram(
            "audit_ingest_lag_seconds",
            "From occurred_at to visible; the oldest row of each transaction.",
            buckets=LAG_BUCKETS,
            registry=registry,
        )
        self.last = Gauge(
            "audit_last_ingest_timestamp_seconds", "When the last row was made visible.", registry=registry
        )
        self.consumer_lag_events = Gauge(
            "audit_consumer_lag_events",
            "Records in the topic behind this consumer.",
            [Label("partition", PARTITIONS, of="0 to 999")],
            registry=registry,
        )
        self.consumer_lag = Gauge(
            "audit_consumer_lag_seconds",
            "Age of the oldest record of the topic that is not in the store; 0 when there is none.",
            registry=registry,
        )
        self.fenced = Counter(
            "audit_consumer_fenced",
            "Transactions given up because another consumer owns the partition.",
            registry=registry,
        )
        self.resets = Counter(
            "audit_consumer_resets",
            "Partitions whose offset no longer fitted the topic, by reason: records may be lost.",
            [Label("reason", Misfit)],
            registry=registry,
        )
        self.missed = Counter(
            "audit_consumer_missed", "Records the topic deleted before they were read: lost.", registry=registry
        )
        self.untold = Counter(
            "audit_dead_letters_untold",
            "Dead letters that are in the store and did not reach the dead-letter topic.",
            registry=registry,
        )
