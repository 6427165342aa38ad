"""What is counted of records that pass a real broker: each once at every stage."""

import asyncio
from pathlib import Path

import asyncpg
from prometheus_client import CollectorRegistry

from audit.codec import encode
from audit.emit import Emitter
from audit.kafka.consumer import Consumer
from audit.kafka.producer import KafkaSink
from audit.metrics import EmitMetrics, IngestMetrics, RelayMetrics
from audit.relay import Relay
from audit.store import Store
from tests.audit.kafka.test_consumer import count, running
from tests.audit.test_relay import stamped, until
from tests.servers.kafka.admin import create_topic
from tests.servers.kafka.server import topic
from tests.servers.postgres import Logins

RECORDS = 300


async def test_every_record_is_counted_once_on_both_sides_of_the_broker(
    tmp_path: Path, migrated_database: Logins, kafka: str
) -> None:
    """N emitted are N relayed, N ingested and N rows; sent a second time they are N duplicates and no row more."""
    name = topic()
    await create_topic(kafka, name, 3)
    await create_topic(kafka, f"{name}.dlq", 1)
    registry = CollectorRegistry()
    emitter = Emitter(tmp_path / "p", "p", metrics=EmitMetrics(registry))
    sink = KafkaSink(kafka, name, deadline_s=10.0)
    relay = Relay(tmp_path, sink, metrics=RelayMetrics(registry))
    metrics = IngestMetrics(registry)
    store = Store(migrated_database.writer, metrics=metrics)
    consumer = Consumer(kafka, store, topic=name, dead_letter_topic=f"{name}.dlq", group_id=name, metrics=metrics)

    def counted(metric: str, **labels: str) -> float:
        return registry.get_sample_value(metric, labels) or 0.0

    connection = await asyncpg.connect(migrated_database.owner)
    try:
        async with running(consumer.run(), relay.run()):
            events = [stamped(emitter, tenant_id=f"t{number % 5}") for number in range(RECORDS)]
            await asyncio.gather(*(emitter.emit_durable(event) for event in events))
            async with asyncio.timeout(60):
                await until(lambda: counted("audit_events_ingested_total") >= RECORDS, within_s=60)
            assert counted("audit_emitted_total", guarantee="durable") == RECORDS
            assert counted("audit_emit_latency_seconds_count", guarantee="durable") == RECORDS
            assert counted("audit_relayed_total", sink="kafka") == RECORDS
            assert counted("audit_events_ingested_total") == RECORDS == await count(connection)
            assert counted("audit_duplicates_total") == counted("audit_conflicts_total") == 0
            await sink.deliver([encode(event) for event in events])
            await until(lambda: counted("audit_duplicates_total") >= RECORDS, within_s=60)
            assert counted("audit_duplicates_total") == RECORDS
            assert counted("audit_events_ingested_total") == RECORDS == await count(connection)
    finally:
        await connection.close()
        await sink.close()
        await store.close()
        await emitter.aclose()
