"""Every metric of this package; `docs/reference/metrics.md` is generated from it.

Labels come from closed sets: never a tenant, a user, a path.
"""

from audit.metrics.emit import EmitMetrics
from audit.metrics.ingest import IngestMetrics
from audit.metrics.integrity import IntegrityMetrics
from audit.metrics.keeper import KeeperMetrics
from audit.metrics.relay import RelayMetrics

__all__ = ["EmitMetrics", "IngestMetrics", "IntegrityMetrics", "KeeperMetrics", "RelayMetrics"]
