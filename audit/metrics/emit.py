"""What whoever emits counts."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from audit.metrics.buckets import BATCH_BUCKETS, EMIT_BUCKETS


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
        self.queue_capacity = Gauge("audit_queue_capacity", "The queue's bound, in records.", registry=registry)
        self.queue_oldest_seconds = Gauge(
            "audit_queue_oldest_seconds",
            "How long the oldest record that is not on disk has waited, of all processes together; a disk that hangs.",
            registry=registry,
        )
        self.spool_bytes = Gauge(
            "audit_spool_bytes", "Bytes in this process's undelivered segments.", registry=registry
        )
        self.spool_capacity_bytes = Gauge("audit_spool_capacity_bytes", "The spool's bound.", registry=registry)
        self.emit_latency = Histogram(
            "audit_emit_latency_seconds",
            "From emit to written (buffered) or synced (durable); the oldest record of each group.",
            ["guarantee"],
            buckets=EMIT_BUCKETS,
            registry=registry,
        )
        self.commit_records = Histogram(
            "audit_commit_records", "Records in one group commit.", buckets=BATCH_BUCKETS, registry=registry
        )
        self.spool_errors = Counter(
            "audit_spool_errors", "Failed disk operations of the spool, by operation.", ["op"], registry=registry
        )
