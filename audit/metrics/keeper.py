"""What the keeper of the store counts."""

from prometheus_client import CollectorRegistry, Counter, Gauge


class KeeperMetrics:
    """Of the store's upkeep, by job."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.succeeded = Gauge(
            "audit_keeper_last_success_timestamp_seconds",
            "When a job last ended well, seconds since the epoch, by job.",
            ["job"],
            registry=registry,
        )
        self.failures = Counter("audit_keeper_failures", "Runs that failed, by job.", ["job"], registry=registry)
