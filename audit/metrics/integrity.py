"""What the keeper of the seals counts."""

from prometheus_client import CollectorRegistry

from audit.integrity.record import SealKind
from audit.metrics.closed import Counter, Gauge, Label

FAILURES = ("chain", "young_purge")
"""The chain of seals is not what it was; rows were deleted that were not due."""


class IntegrityMetrics:
    """Of the seals over closed partitions."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.enabled = Gauge("audit_sealing_enabled", "Whether there is a key to seal with: 1 or 0.", registry=registry)
        self.sealed = Counter("audit_sealed_partitions", "Partitions sealed.", registry=registry)
        self.records = Counter(
            "audit_seal_records",
            "Records added to the chain of seals, by kind.",
            [Label("kind", SealKind)],
            registry=registry,
        )
        self.late = Counter("audit_late_rows", "Rows that came after their partition's seal.", registry=registry)
        self.last = Gauge(
            "audit_last_seal_timestamp_seconds", "When a record was last added to the chain.", registry=registry
        )
        self.unsealed = Gauge(
            "audit_unsealed_partitions", "Partitions that are over since an hour and not sealed.", registry=registry
        )
        self.unsealed_age = Gauge(
            "audit_unsealed_age_seconds", "Since the end of the oldest of them; 0 without one.", registry=registry
        )
        self.unpublished = Gauge(
            "audit_seals_unpublished", "Records the broker does not have yet; 0 without one.", registry=registry
        )
        self.failures = Counter(
            "audit_integrity_failures",
            "Signs of tampering that the keeper saw, by reason; `lychgate audit verify` names the row.",
            [Label("reason", FAILURES)],
            registry=registry,
        )
