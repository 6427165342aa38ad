"""Tests of `audit.delivery`."""

from prometheus_client import CollectorRegistry

from audit.delivery import make_sink
from audit.kafka.producer import KafkaSink
from audit.metrics import IngestMetrics
from audit.settings import AuditSettings, KafkaSettings, StoreSettings
from audit.sinks import StoreSink


def test_the_broker_is_used_when_it_is_named() -> None:
    """No servers: the store; servers: the topic."""
    metrics = IngestMetrics(CollectorRegistry())
    assert isinstance(make_sink(AuditSettings(), StoreSettings(), metrics), StoreSink)
    audit = AuditSettings(kafka=KafkaSettings(bootstrap_servers="127.0.0.1:9092"))
    assert isinstance(make_sink(audit, StoreSettings(), metrics), KafkaSink)
