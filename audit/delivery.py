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
    servers = audit.kafka.bootstrap_servers
    if servers is None:
        return StoreSink(Store(store.dsn(store.writer), metrics=metrics))
    from audit.kafka.producer import KafkaSink  # without a broker its client is not loaded

    return KafkaSink(servers, audit.kafka.topic, deadline_s=audit.kafka.deadline_s, batch_bytes=audit.kafka.batch_bytes)
