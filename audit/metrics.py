"""Every metric of this package; `docs/reference/metrics.md` is generated from it.

Labels come from closed sets: never a tenant, a user, a path.
"""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_EMIT_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
_LAG_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600)
_BATCH_BUCKETS = (1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500)


class EmitMetrics:
    """Of whoever emits: gateway workers, services, the query process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.emitted = Counter(
            "audit_emitted", "Records taken into the spool's queue, by guarantee.", ["guarantee"], registry=registry
        )
        self.shed = Counter(
            "audit_shed",
            "Buffered records given up, by reason; each is named in an audit.loss event.",
            ["reason"],
            registry=registry,
        )
        self.refused = Counter(
            "audit_refused",
            "Durable records refused, and the requests with them, by reason.",
            ["reason"],
            registry=registry,
        )
        self.truncated = Counter("audit_truncated", "Records that lost their large parts.", registry=registry)
        self.folded = Counter(
            "audit_folded", "Refusals counted in a folded record instead of their own.", registry=registry
        )
        self.redacted = Counter(
            "audit_events_redacted",
            "Fields taken out (enforce) or found (log) before the spool, by mode.",
            ["mode"],
            registry=registry,
        )
        self.last_redacted = Gauge(
            "audit_last_redaction_timestamp_seconds", "When a field was last taken out or found.", registry=registry
        )
        self.redaction_failures = Counter(
            "audit_redaction_failures", "Records whose body went because masking failed.", registry=registry
        )
        self.queue_depth = Gauge("audit_queue_depth", "Records in memory, not yet written.", registry=registry)
        self.queue_bytes = Gauge("audit_queue_bytes", "Bytes in memory, not yet written.", registry=registry)
        self.queue_capacity_bytes = Gauge("audit_queue_capacity_bytes", "The queue's bound.", registry=registry)
        self.spool_bytes = Gauge(
            "audit_spool_bytes", "Bytes in this process's undelivered segments.", registry=registry
        )
        self.spool_capacity_bytes = Gauge("audit_spool_capacity_bytes", "The spool's bound.", registry=registry)
        self.emit_latency = Histogram(
            "audit_emit_latency_seconds",
            "From emit to written (buffered) or synced (durable); the oldest record of each group.",
            ["guarantee"],
            buckets=_EMIT_BUCKETS,
            registry=registry,
        )
        self.commit_records = Histogram(
            "audit_commit_records", "Records in one group commit.", buckets=_BATCH_BUCKETS, registry=registry
        )
        self.spool_errors = Counter(
            "audit_spool_errors", "Failed disk operations of the spool, by operation.", ["op"], registry=registry
        )


class RelayMetrics:
    """Of the relay, which empties all spool folders of a machine."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.relayed = Counter("audit_relayed", "Records the sink has taken, by sink.", ["sink"], registry=registry)
        self.failures = Counter(
            "audit_relay_failures", "Batches the sink did not take, by sink.", ["sink"], registry=registry
        )
        self.send_seconds = Histogram(
            "audit_relay_send_seconds",
            "One batch into the sink, by sink.",
            ["sink"],
            buckets=_LAG_BUCKETS,
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
            ["reason"],
            registry=registry,
        )
        self.quarantined = Counter("audit_spool_quarantined", "Damaged segments set aside.", registry=registry)
        self.adopted = Counter("audit_spool_adopted", "Folders taken over from dead producers.", registry=registry)


class IngestMetrics:
    """Of whoever writes the store: the relay in the direct form, the consumer behind Kafka."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.ingested = Counter("audit_events_ingested", "Rows made visible.", registry=registry)
        self.duplicates = Counter("audit_duplicates", "Records that were there already, unchanged.", registry=registry)
        self.conflicts = Counter(
            "audit_conflicts", "Records whose key was there with another content; kept apart.", registry=registry
        )
        self.dead_letters = Counter(
            "audit_dead_letters", "Records that cannot become rows, by reason.", ["reason"], registry=registry
        )
        self.failures = Counter("audit_ingest_failures", "Batches the store did not take.", registry=registry)
        self.batch_rows = Histogram(
            "audit_ingest_batch_rows", "Rows in one transaction.", buckets=_BATCH_BUCKETS, registry=registry
        )
        self.seconds = Histogram("audit_ingest_seconds", "One transaction.", buckets=_LAG_BUCKETS, registry=registry)
        self.lag = Histogram(
            "audit_ingest_lag_seconds",
            "From occurred_at to visible; the oldest row of each transaction.",
            buckets=_LAG_BUCKETS,
            registry=registry,
        )
        self.last = Gauge(
            "audit_last_ingest_timestamp_seconds", "When the last row was made visible.", registry=registry
        )
        self.consumer_lag_events = Gauge(
            "audit_consumer_lag_events", "Records in the topic behind this consumer.", ["partition"], registry=registry
        )
        self.consumer_lag = Gauge(
            "audit_consumer_lag_seconds", "Age of the last record taken from the topic.", registry=registry
        )
        self.fenced = Counter(
            "audit_consumer_fenced",
            "Transactions given up because another consumer owns the partition.",
            registry=registry,
        )
