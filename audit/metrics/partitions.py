"""What the making of partitions counts."""

from prometheus_client import CollectorRegistry, Gauge


class PartitionMetrics:
    """Of the events' partitions."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.premade_days = Gauge(
            "audit_partitions_premade_days", "Days from now for which partitions are there.", registry=registry
        )
