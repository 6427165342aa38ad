"""Tests of `audit.metrics`."""

from prometheus_client import CollectorRegistry

from audit.metrics import EmitMetrics, IngestMetrics, RelayMetrics

LABELS = {"guarantee", "reason", "effect", "class", "mode", "op", "sink", "partition", "le"}


def test_one_process_can_hold_all_of_them() -> None:
    """No two metrics share a name, all speak of the audit, and labels come from the known set."""
    registry = CollectorRegistry()
    emit, relay, ingest = EmitMetrics(registry), RelayMetrics(registry), IngestMetrics(registry)
    emit.shed.labels("full").inc()
    relay.lost.labels("killed").inc()
    ingest.dead_letters.labels("malformed").inc()
    families = list(registry.collect())
    assert len(families) > 30
    assert all(family.name.startswith("audit_") and family.documentation for family in families)
    assert {label for family in families for sample in family.samples for label in sample.labels} <= LABELS
