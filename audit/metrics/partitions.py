"""What the making of partitions counts."""

import math

from prometheus_client import CollectorRegistry, Gauge


class PartitionMetrics:
    """Of the events' partitions."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.premade_seconds = Gauge(
            "audit_partitions_premade_seconds",
            "How far ahead of now partitions are there; no number before the first look.",
            registry=registry,
        )
        self.premade_seconds.set(math.nan)  # 0 would say that there are none, where another keeper was at it
