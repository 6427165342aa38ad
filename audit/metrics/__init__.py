"""Every metric of this package; `docs/reference/metrics.md` is generated from it.

Labels come from closed sets: never a tenant, a user, a path.
"""

from audit.metrics.dead_letters import DeadLetterMetrics
from audit.metrics.emit import EmitMetrics
from audit.metrics.ingest import IngestMetrics
from audit.metrics.keeper import KeeperMetrics
from audit.metrics.partitions import PartitionMetrics
from audit.metrics.relay import RelayMetrics
from audit.metrics.sink import SinkMetrics

__all__ = [
    "DeadLetterMetrics",
    "EmitMetrics",
    "IngestMetrics",
    "KeeperMetrics",
    "PartitionMetrics",
    "RelayMetrics",
    "SinkMetrics",
]
