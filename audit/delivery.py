"""Which sink the relay delivers to, from the configuration: the broker where one is named, the store otherwise."""

from audit.metrics import IngestMetrics
from audit.settings import AuditSettings, StoreSettings
from audit.sinks import Sink, StoreSink
from audit.store import Store


def make_sink(audit: AuditSettings, store: StoreSettings, metrics: IngestMetrics) -> Sink:
    """The configured sink.

    Args:
        audit: With `kafka.bootstrap_servers`, or without.
        store: Where rows go in the direct form.
        metrics: Of the ingest, which in the direct form happens here.
    """
    kafka = audit.kafka
    if kafka.bootstrap_servers is None:
        return StoreSink(Store(store.dsn(store.writer), metrics=metrics))
    from audit.kafka.connection import Connection  # without a broker its client is not loaded
    from audit.kafka.producer import KafkaSink

    return KafkaSink(
        Connection.of(kafka),
        kafka.topic,
        dead_letter_topic=kafka.dead_letter_topic,
        deadline_s=kafka.deadline_s,
        probe_s=kafka.probe_s,
        batch_bytes=kafka.batch_bytes,
    )
