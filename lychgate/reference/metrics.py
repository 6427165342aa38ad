"""docs/reference/metrics.md, from each package's `metrics.py`."""

from prometheus_client import CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase

from audit.metrics import (
    CompletenessMetrics,
    DeadLetterMetrics,
    EmitMetrics,
    IngestMetrics,
    IntegrityMetrics,
    KeeperMetrics,
    PartitionMetrics,
    PurgeMetrics,
    RelayMetrics,
    SinkMetrics,
    StandingMetrics,
)
from gateway.decision_metrics import DecisionMetrics
from gateway.doors.metrics import DoorMetrics
from gateway.fleet.metrics import FleetMetrics
from gateway.freshness_metrics import FreshnessMetrics
from gateway.metrics import GatewayMetrics, SupervisorMetrics
from gateway.shadow.metrics import ShadowMetrics
from gateway.tally import CounterTally, HistogramTally
from lychgate.reference.markdown import first_sentence, table
from lychgate.reference.markdown import page as markdown_page
from lychgate.replay.metrics import ReplayMetrics
from query.metrics import QueryMetrics

_HOMES = (
    GatewayMetrics,
    SupervisorMetrics,
    FreshnessMetrics,
    FleetMetrics,
    DecisionMetrics,
    DoorMetrics,
    ShadowMetrics,
    EmitMetrics,
    RelayMetrics,
    SinkMetrics,
    IngestMetrics,
    KeeperMetrics,
    PartitionMetrics,
    DeadLetterMetrics,
    CompletenessMetrics,
    PurgeMetrics,
    StandingMetrics,
    IntegrityMetrics,
    QueryMetrics,
    ReplayMetrics,
)


def page() -> str:
    """The page."""
    parts = []
    for home in _HOMES:
        held = vars(home(CollectorRegistry())).values()
        found = [item for item in held if isinstance(item, MetricWrapperBase | CounterTally | HistogramTally)]
        rows = [
            (f"`{name}`", kind, ", ".join(f"`{label}`" for label in labels), text)
            for name, kind, labels, text in sorted(_described(collector) for collector in found)
        ]
        title = f"## {home.__module__}.{home.__name__}"
        parts.append(f"{title}\n\n{first_sentence(home)}\n\n{table(('name', 'type', 'labels', 'meaning'), rows)}")
    return markdown_page(
        "Metrics",
        """
Prometheus text on `/internal/metrics`: of the gateway and its workers, summed, on the operations port; of the query
API on its own; of `lychgate policy replay` in a textfile. Labels come from closed sets, never a tenant, a user or a
path; a value outside its set becomes `other`.
""",
        *parts,
    )


def _described(collector: MetricWrapperBase | CounterTally | HistogramTally) -> tuple[str, str, tuple[str, ...], str]:
    """Name as it is scraped, type, labels, help."""
    if isinstance(collector, MetricWrapperBase):
        (family,), labels = collector.describe(), collector._labelnames  # noqa: SLF001 -- no public name
    else:
        (family,), labels = collector.collect(), collector.labels
    name = f"{family.name}_total" if family.type == "counter" else family.name
    name = f"{family.name}_info" if family.type == "info" else name
    return name, family.type, tuple(labels), family.documentation
