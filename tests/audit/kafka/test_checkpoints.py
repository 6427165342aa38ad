"""Tests of `audit.kafka.checkpoints`: seals in a real topic, and a store that is held against a dump of it."""

import asyncio
import uuid
from pathlib import Path

from aiokafka import AIOKafkaConsumer

from audit.integrity.checkpoints import read_checkpoints
from audit.kafka.checkpoints import CheckpointTopic
from audit.kafka.writer import KafkaWriter
from tests.builders.patience import PATIENCE_S
from tests.builders.seals import SealedStore, event_of
from tests.servers.kafka.admin import create_topic
from tests.servers.postgres import Logins


async def test_a_seal_that_was_published_cannot_be_taken_away(
    kafka: str, migrated_database: Logins, tmp_path: Path
) -> None:
    """Nor from the file beside it: the topic has every record, in order, as the lines of a checkpoint file."""
    topic = f"checkpoints-{uuid.uuid4().hex}"
    await create_topic(kafka, topic, 3)
    store = SealedStore(migrated_database, tmp_path)
    writer = KafkaWriter(kafka, topic, deadline_s=20.0, batch_bytes=524_288)
    store.publish = CheckpointTopic(writer).publish
    await store.write([event_of(3, at) for at in range(5)])
    await store.complete()
    await store.seal()
    await store.write([event_of(3, 5000)])
    await store.seal()
    published = store.settings.checkpoint_file.read_text()
    dump = tmp_path / "dump.jsonl"
    dump.write_text("".join(f"{line}\n" for line in await _lines(kafka, topic, published.count("\n"))))
    assert dump.read_text() == published
    await store.tamper(
        "DELETE FROM audit_seals WHERE seq = (SELECT max(seq) FROM audit_seals)",
        "DELETE FROM audit_seal_blocks WHERE seq > (SELECT max(seq) FROM audit_seals)",
        ("DELETE FROM audit_events WHERE event_id = $1", uuid.UUID(event_of(3, 5000).event_id)),
    )
    store.settings.checkpoint_file.unlink()
    assert (await store.verify(anchors=False)).findings == []  # nothing in the store says so
    dump.rename(store.settings.checkpoint_file)
    [finding] = (await store.verify()).findings
    assert "was published: taken away" in finding.what
    assert read_checkpoints(store.settings.checkpoint_file, store.keys)


async def _lines(kafka: str, topic: str, lines: int) -> list[str]:
    """So many messages."""
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=kafka, auto_offset_reset="earliest", group_id=None)
    await consumer.start()
    try:
        return [(await asyncio.wait_for(consumer.getone(), PATIENCE_S)).value.decode() for _ in range(lines)]
    finally:
        await consumer.stop()
