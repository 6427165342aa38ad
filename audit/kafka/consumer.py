"""From the topic into the store: rows and offsets in one transaction, so each event is visible exactly once.

The offsets that count are PostgreSQL's. Each assignment of a partition claims it there under a new epoch; whoever held
it before is fenced and writes nothing more. What is committed to Kafka is a hint for lag tools.
"""

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import msgspec
import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import KafkaError
from prometheus_client import CollectorRegistry

from audit.errors import AuditError, Fenced, SinkUnavailable
from audit.ingest import DeadLetter
from audit.kafka.connection import Connection
from audit.kafka.message import Message, is_watermark, read_watermark
from audit.kafka.trouble import trouble
from audit.kafka.writer import KafkaWriter
from audit.metrics import IngestMetrics
from audit.store import Mark, Offset, Store

_POLL_MS = 50
_HINT_S = 5.0
_STOP_S = 2.0
_BACKOFF_FIRST_S = 0.1
_BACKOFF_MAX_S = 5.0
_BACKOFF_DOUBLINGS = 10
_MS = 1e-3
_NS = 1e-9

_log = structlog.get_logger("audit.consumer")


class Consumer:
    """One member of the group. Runs until cancelled; comes back by itself after every failure."""

    def __init__(
        self,
        connection: Connection | str,
        store: Store,
        *,
        topic: str,
        dead_letter_topic: str,
        group_id: str,
        batch_records: int = 2000,
        deadline_s: float = 10.0,
        batch_bytes: int = 524_288,
        metrics: IngestMetrics | None = None,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._connection = Connection.to(connection)
        self._store = store
        self._topic = topic
        self._group_id = group_id
        self._batch_records = batch_records
        self._dead_letters = KafkaWriter(
            self._connection, dead_letter_topic, deadline_s=deadline_s, batch_bytes=batch_bytes
        )
        self._metrics = metrics or IngestMetrics(CollectorRegistry())
        self._now_ns = now_ns
        self._failures = 0
        self._claims: dict[TopicPartition, Offset] = {}
        self._hinted_at = 0.0

    @property
    def assigned(self) -> frozenset[int]:
        """The partitions it holds and has claimed."""
        return frozenset(partition.partition for partition in self._claims)

    async def run(self) -> None:
        """Consume until cancelled."""
        try:
            while True:
                try:
                    await self._session()
                except (KafkaError, OSError, TimeoutError, SinkUnavailable, Fenced) as exc:
                    await self._pause(exc)
        finally:
            await self._dead_letters.close()

    async def _session(self) -> None:
        """Be a member of the group until something fails; then leave it, so that another may take over."""
        consumer = AIOKafkaConsumer(
            **self._connection.arguments(),
            group_id=self._group_id,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=_POLL_MS,
        )
        self._claims = {}
        try:
            consumer.subscribe([self._topic], listener=_Forget(self._claims))
            await consumer.start()
            while True:
                await self._claim_new(consumer)
                await self._round(consumer)
        finally:
            self._claims = {}
            with suppress(KafkaError, OSError, TimeoutError):
                await asyncio.wait_for(consumer.stop(), _STOP_S)

    async def _pause(self, exc: Exception) -> None:
        self._failures += 1
        if self._failures & (self._failures - 1) == 0:
            if not isinstance(exc, AuditError):
                exc = await trouble(exc, self._connection, self._topic, _STOP_S)
            _log.warning("audit_consumer_interrupted", error=str(exc), failures=self._failures)
        ceiling = min(_BACKOFF_MAX_S, _BACKOFF_FIRST_S * 2 ** min(self._failures, _BACKOFF_DOUBLINGS))
        await asyncio.sleep(ceiling * (0.5 + random.random() / 2))  # noqa: S311  # jitter

    async def _claim_new(self, consumer: AIOKafkaConsumer) -> None:
        """Claim what was assigned since the last round, and go on where the store says.

        Not in the rebalance listener: what it raises is swallowed, and a lock taken there can wait for ever.
        """
        new = [partition for partition in consumer.assignment() if partition not in self._claims]
        if not new:
            return
        claimed = await self._store.claim(self._topic, [partition.partition for partition in new], self._group_id)
        for offset in claimed:
            partition = TopicPartition(self._topic, offset.partition)
            if partition in consumer.assignment():
                consumer.seek(partition, offset.next_offset)
                self._claims[partition] = offset

    async def _round(self, consumer: AIOKafkaConsumer) -> None:
        claims = dict(self._claims)
        taken = await consumer.getmany(timeout_ms=_POLL_MS, max_records=self._batch_records)
        # What came from a partition that changed hands meanwhile is dropped: it is read again from the claimed offset.
        held = {
            partition: messages
            for partition, messages in taken.items()
            if messages and partition in claims and self._claims.get(partition) is claims[partition]
        }
        if not held:
            return
        records, marks = self._sorted(held, len(consumer.partitions_for_topic(self._topic) or ()))
        moved = [
            Offset(self._topic, partition.partition, self._group_id, messages[-1].offset + 1, claims[partition].epoch)
            for partition, messages in held.items()
        ]
        await self._store.write(records, offsets=moved, marks=marks, bury=self._bury)
        self._failures = 0
        for offset in moved:
            partition = TopicPartition(self._topic, offset.partition)
            if partition in self._claims:
                self._claims[partition] = offset
        self._measure(consumer, held)
        await self._hint(consumer, moved)

    def _sorted(self, held: dict[TopicPartition, list[Any]], lanes: int) -> tuple[list[bytes], list[Mark]]:
        """Events and watermarks apart."""
        records: list[bytes] = []
        marks: dict[tuple[str, int, int], Mark] = {}
        for partition, messages in held.items():
            for message in messages:
                value = message.value or b""
                if not is_watermark(message.headers):
                    records.append(value)
                    continue
                try:
                    mark = read_watermark(value)
                except msgspec.DecodeError:
                    records.append(value)  # no event either: it ends in the dead letters
                    continue
                lane = partition.partition
                marks[mark.producer, mark.epoch, lane] = (
                    mark.producer, mark.epoch, lane, max(lanes, mark.lanes), mark.at_ms, mark.ended,
                )  # fmt: skip
        return records, list(marks.values())

    async def _bury(self, letters: Sequence[DeadLetter]) -> None:
        """Before the transaction ends: after a crash in between a letter is there twice, and never not at all."""
        await self._dead_letters.send(
            [
                Message(
                    None,
                    letter.payload,
                    [("reason", letter.reason.value.encode()), ("error", letter.error.encode("utf-8", "replace"))],
                    0,
                )
                for letter in letters
            ]
        )

    def _measure(self, consumer: AIOKafkaConsumer, held: dict[TopicPartition, list[Any]]) -> None:
        for partition, messages in held.items():
            end = consumer.highwater(partition)
            if end is not None:
                behind = max(0, end - messages[-1].offset - 1)
                self._metrics.consumer_lag_events.labels(str(partition.partition)).set(behind)
        newest_ms = max(messages[-1].timestamp for messages in held.values())
        self._metrics.consumer_lag.set(max(0.0, self._now_ns() * _NS - newest_ms * _MS))

    async def _hint(self, consumer: AIOKafkaConsumer, moved: Sequence[Offset]) -> None:
        if time.monotonic() - self._hinted_at < _HINT_S:
            return
        self._hinted_at = time.monotonic()
        with suppress(KafkaError, TimeoutError):
            async with asyncio.timeout(_STOP_S):
                await consumer.commit(
                    {TopicPartition(offset.topic, offset.partition): offset.next_offset for offset in moved}
                )


class _Forget(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    """A partition that comes or goes has to be claimed again before anything of it is written."""

    def __init__(self, claims: dict[TopicPartition, Offset]) -> None:
        self._claims = claims

    def on_partitions_revoked(self, revoked: Sequence[TopicPartition]) -> None:
        """Forget their claims."""
        for partition in revoked:
            self._claims.pop(partition, None)

    def on_partitions_assigned(self, assigned: Sequence[TopicPartition]) -> None:
        """Forget their claims."""
        for partition in assigned:
            self._claims.pop(partition, None)
