"""What the purge counts."""

from typing import Final

from prometheus_client import CollectorRegistry

from audit.metrics.closed import Counter, Gauge, Label

HOW: Final = ("delete", "drop")
POSTPONED: Final = ("lock", "unsealed")


class PurgeMetrics:
    """Of the purge, which takes away what is older than it is to be kept."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.purged = Counter(
            "audit_purged_events",
            "Rows taken away because they were older than they are kept, by how (delete, drop of a whole partition).",
            [Label("how", HOW)],
            registry=registry,
        )
        self.last_run = Gauge(
            "audit_purge_last_run_timestamp_seconds",
            "When a purge last ended well, seconds since the epoch.",
            registry=registry,
        )
        self.seconds = Gauge("audit_purge_duration_seconds", "How long the last purge took.", registry=registry)
        self.postponed = Counter(
            "audit_purge_postponed",
            "Partitions left for the next run, by reason (lock, unsealed).",
            [Label("reason", POSTPONED)],
            registry=registry,
        )
