"""docs/reference/metrics.md, from each package's `metrics.py`."""

from typing import NamedTuple

from prometheus_client import CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase

from audit.metrics import (
    CompletenessMetrics,
    DeadLetterMetrics,
    EmitMetrics,
    IngestMetrics,
    IntegrityMetrics,
    KeeperMetrics,
    OutboxMetrics,
    PartitionMetrics,
    PurgeMetrics,
    RelayMetrics,
    SinkMetrics,
    StandingMetrics,
)
from audit.metrics.closed import Label
from audit.metrics.tally import CounterTally, HistogramTally
from gateway.certificate_metrics import CertificateMetrics
from gateway.decision_metrics import DecisionMetrics
from gateway.doors.metrics import DoorMetrics
from gateway.fleet.metrics import FleetMetrics
from gateway.freshness_metrics import FreshnessMetrics
from gateway.metrics import GatewayMetrics, SupervisorMetrics
from gateway.shadow.metrics import ShadowMetrics
from gateway.telemetry.metrics import TelemetryMetrics
from lychgate.coverage.metrics import CoverageMetrics
from lychgate.reference.markdown import first_sentence, table
from lychgate.reference.markdown import page as markdown_page
from lychgate.replay.metrics import ReplayMetrics
from query.metrics import QueryMetrics

_HOMES = (
    GatewayMetrics,
    SupervisorMetrics,
    FreshnessMetrics,
    CertificateMetrics,
    FleetMetrics,
    DecisionMetrics,
    DoorMetrics,
    ShadowMetrics,
    TelemetryMetrics,
    EmitMetrics,
    RelayMetrics,
    SinkMetrics,
    OutboxMetrics,
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
    CoverageMetrics,
)


class Described(NamedTuple):
    """A metric as it is scraped.

    Attributes:
        name: With the suffix of its kind.
        kind: Counter, gauge, histogram or info.
        labels: Names of its labels.
        closed: Those of them whose values are a closed set.
        text: What it means.
    """

    name: str
    kind: str
    labels: tuple[str, ...]
    closed: tuple[Label, ...]
    text: str


def described() -> dict[type, list[Described]]:
    """Every metric there is, by the class that is its home, sorted by name."""
    kinds = MetricWrapperBase | CounterTally | HistogramTally
    found: dict[type, list[Described]] = {}
    for home in _HOMES:
        held = vars(home(CollectorRegistry())).values()
        collectors = [_described(item) for item in held if isinstance(item, kinds)]
        found[home] = sorted(collectors, key=lambda each: each.name)
    return found


def page() -> str:
    """The page."""
    parts = []
    for home, metrics in described().items():
        rows = [(f"`{each.name}`", each.kind, "; ".join(map(_label, each.closed)), each.text) for each in metrics]
        title = f"## {home.__module__}.{home.__name__}"
        parts.append(f"{title}\n\n{first_sentence(home)}\n\n{table(('name', 'type', 'labels', 'meaning'), rows)}")
    return markdown_page(
        "Metrics",
        """
Prometheus text on `/internal/metrics`: of the gateway and its workers, summed, on the operations port; of the query
API, the consumer and each sample service on its own; of `lychgate policy replay` and
`lychgate audit coverage` in a textfile. Labels come from closed
sets, never a tenant, a user or a path; a value outside its set becomes `other`. `docs/runbook/metrics-and-alerts.md`
says what to watch.
""",
        *parts,
    )


def _label(label: Label) -> str:
    """A label and its values."""
    values = label.of or ", ".join(f"`{value}`" for value in sorted(label.values))
    return f"`{label.name}`: {values}"


def _described(collector: MetricWrapperBase | CounterTally | HistogramTally) -> Described:
    if isinstance(collector, MetricWrapperBase):
        (family,), labels = collector.describe(), tuple(collector._labelnames)  # noqa: SLF001 -- no public name
    else:
        (family,), labels = collector.collect(), collector.labels
    name = f"{family.name}_total" if family.type == "counter" else family.name
    name = f"{family.name}_info" if family.type == "info" else name
    closed: tuple[Label, ...] = getattr(collector, "closed", ())
    return Described(name, family.type, labels, closed, family.documentation)
