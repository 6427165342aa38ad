"""What the making of partitions counts."""

from prometheus_client import CollectorRegistry, Gauge


class PartitionMetrics:
    """Of the events' partitions."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.premade_seconds = Gauge(
            "audit_partitions_premade_seconds", "How far ahead of now partitions are there.", registry=registry
        )
