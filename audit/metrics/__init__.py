"""Every metric of this package; `docs/reference/metrics.md` is generated from it.

Labels come from closed sets: never a tenant, a user, a path.
"""

from audit.metrics.completeness import CompletenessMetrics, StandingMetrics
from audit.metrics.dead_letters import DeadLetterMetrics
from audit.metrics.emit import EmitMetrics
from audit.metrics.ingest import IngestMetrics
from audit.metrics.integrity import IntegrityMetrics
from audit.metrics.keeper import KeeperMetrics
from audit.metrics.outbox import OutboxMetrics
from audit.metrics.partitions import PartitionMetrics
from audit.metrics.purge import PurgeMetrics
from audit.metrics.relay import RelayMetrics
from audit.metrics.sink import SinkMetrics

__all__ = [
    "CompletenessMetrics",
    "DeadLetterMetrics",
    "EmitMetrics",
    "IngestMetrics",
    "IntegrityMetrics",
    "KeeperMetrics",
    "OutboxMetrics",
    "PartitionMetrics",
    "PurgeMetrics",
    "RelayMetrics",
    "SinkMetrics",
    "StandingMetrics",
]
