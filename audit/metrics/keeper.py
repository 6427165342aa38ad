"""What the keeper of the store counts."""

from collections.abc import Iterable

from prometheus_client import CollectorRegistry

from audit.metrics.closed import Counter, Gauge, Label


class KeeperMetrics:
    """Of the store's upkeep, by job."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._job = Label("job", of="the keeper's jobs")
        self.succeeded = Gauge(
            "audit_keeper_last_success_timestamp_seconds",
            "When a job last ended well, seconds since the epoch, by job.",
            [self._job],
            registry=registry,
        )
        self.failures = Counter("audit_keeper_failures", "Runs that failed, by job.", [self._job], registry=registry)

    def keeping(self, jobs: Iterable[str]) -> None:
        """Say which jobs there are."""
        self._job.allow(jobs)
        self.failures.show_zeros()
        for job in sorted(self._job.values):
            self.succeeded.labels(job)  # at 0: one that never ends well is as stale as can be
