"""Tests of `audit.delivery`."""

from pathlib import Path

from prometheus_client import CollectorRegistry

from audit.delivery import make_beside, make_sink
from audit.kafka.producer import KafkaSink
from audit.metrics import IngestMetrics, RelayMetrics
from audit.settings import (
    AuditSettings,
    KafkaSettings,
    NdjsonSettings,
    SearchSettings,
    SinksSettings,
    SpoolSettings,
    StoreSettings,
)
from audit.sinks import StoreSink


def test_the_broker_is_used_when_it_is_named() -> None:
    """No servers: the store; servers: the topic."""
    metrics = IngestMetrics(CollectorRegistry())
    assert isinstance(make_sink(AuditSettings(), StoreSettings(), metrics), StoreSink)
    audit = AuditSettings(kafka=KafkaSettings(bootstrap_servers="127.0.0.1:9092"))
    assert isinstance(make_sink(audit, StoreSettings(), metrics), KafkaSink)


def test_sinks_stand_beside_the_main_one(tmp_path: Path) -> None:
    """Each as it is configured; what is not required may have its share of the spool kept for it, and no more."""
    registry = CollectorRegistry()
    ingest, relay = IngestMetrics(registry), RelayMetrics(registry)
    assert make_beside(AuditSettings(), StoreSettings(), ingest, relay) == []
    search = SearchSettings(url="https://search.internal:9200", refused_folder=tmp_path / "refused")
    sinks = SinksSettings(ndjson=NdjsonSettings(folder=tmp_path, required=True), search=search, store=True)
    spool = SpoolSettings(max_bytes=1000)
    made = make_beside(AuditSettings(sinks=sinks, spool=spool), StoreSettings(), ingest, relay)
    assert [(each.sink.name, each.bound_bytes) for each in made] == [("ndjson", None), ("search", 250)], "one store"
    kafka = KafkaSettings(bootstrap_servers="127.0.0.1:9092")
    made = make_beside(AuditSettings(sinks=sinks, kafka=kafka), StoreSettings(), ingest, relay)
    assert [each.sink.name for each in made] == ["store", "ndjson", "search"]
