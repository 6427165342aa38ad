"""From the topic into the store: rows and offsets in one transaction, so each event is visible exactly once.

The offsets that count are PostgreSQL's. Each assignment of a partition claims it there under a new epoch; whoever held
it before is fenced and writes nothing more. What is committed to Kafka is a hint for lag tools.

An offset that no longer fits the topic (retention has passed it, or the topic was made anew) is said loudly, counted,
and told in an event of its own; then the consumer goes on with what there is.
"""

import asyncio
import random
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import msgspec
import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import KafkaError
from prometheus_client import CollectorRegistry

from audit.codec import encode
from audit.errors import AuditError, Fenced, SinkUnavailable
from audit.event import Outcome, Producer, Severity
from audit.ids import EventIds
from audit.ingest import DeadLetter
from audit.kafka.abandon import dismiss
from audit.kafka.bootstrap import tidy
from audit.kafka.connection import Connection
from audit.kafka.health import Pulse
from audit.kafka.lag import Lag
from audit.kafka.letters import tell
from audit.kafka.position import Misfit, Restart, anchor, misplaced
from audit.kafka.taken import Held, place, sort
from audit.kafka.trouble import trouble
from audit.kafka.writer import KafkaWriter
from audit.keeper.event import keeper_event
from audit.metrics import IngestMetrics
from audit.store import Offset, Store

RESET = "audit.consumer.reset"
_PRODUCER = "audit-consumer"
_POLL_MS = 50
_HINT_S = 5.0
_LOOK_S = 1.0
_PING_S = 5.0
_STOP_S = 2.0
_BACKOFF_FIRST_S = 0.1
_BACKOFF_MAX_S = 5.0
_BACKOFF_DOUBLINGS = 10
_BEATS = 4  # heartbeats in a session
_TELL_DEADLINES = 2.0  # so that the writer's own, and what it finds out about its failure, comes first
_MS = 1e-3
_NS = 1e-9

_log = structlog.get_logger("audit.consumer")


class Consumer:
    """One member of the group. Runs until cancelled; comes back by itself after every failure.

    Args:
        connection: Where the brokers are; a bare address is a plain connection.
        store: Where rows, offsets and dead letters go.
        topic: Of the events.
        dead_letter_topic: Told of dead letters, beside the store.
        group_id: The consumers of one store.
        batch_records: In one transaction, at most.
        deadline_s: On a request to the broker.
        batch_bytes: Of dead letters, in one produce request.
        session_timeout_s: Silent for so long, it loses its partitions.
        metrics: Where it counts.
        pulse: Told that it gets on.
        now_ns: Nanoseconds since the epoch.
    """

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
        session_timeout_s: float = 10.0,
        metrics: IngestMetrics | None = None,
        pulse: Pulse | None = None,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._connection = Connection.to(connection)
        self._store = store
        self._topic = topic
        self._group_id = group_id
        self._batch_records = batch_records
        self._deadline_s = deadline_s
        self._session_timeout_s = session_timeout_s
        self._dead_letters = KafkaWriter(
            self._connection, dead_letter_topic, deadline_s=deadline_s, batch_bytes=batch_bytes
        )
        self._metrics = metrics or IngestMetrics(CollectorRegistry())
        self._pulse = pulse or Pulse()
        self._now_ns = now_ns
        self._ids = EventIds(now_ns)
        self._failures = 0
        self._claims: dict[TopicPartition, Offset] = {}
        self._hinted_at = 0.0
        self._lag = Lag(lambda: now_ns() * _NS)
        self._shown: set[int] = set()
        self._metrics.consumer_lag.set_function(self._lag.seconds)  # at the scrape: it grows also when nothing moves

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
                except (KafkaError, OSError, TimeoutError, Fenced) as exc:
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
            session_timeout_ms=int(self._session_timeout_s * 1000),
            heartbeat_interval_ms=int(self._session_timeout_s * 1000 / _BEATS),
            request_timeout_ms=int(max(self._deadline_s, self._session_timeout_s) * 1000) + 1000,
        )
        tidy(consumer._client)  # noqa: SLF001
        self._claims = {}
        watching: asyncio.Task[None] | None = None
        try:
            consumer.subscribe([self._topic], listener=_Forget(self._drop))
            await consumer.start()
            watching = asyncio.ensure_future(self._watch(consumer))
            while True:
                try:
                    await self._claim_new(consumer)
                    await self._round(consumer)
                except SinkUnavailable as exc:
                    # No reason to leave the group: the others have the same store, and leaving would stop them too.
                    self._rewind(consumer)
                    await self._pause(exc)
                else:
                    self._pulse.beat("loop")
        finally:
            if watching is not None:
                watching.cancel()
                await asyncio.gather(watching, return_exceptions=True)
            self._drop(list(self._claims))
            await dismiss(consumer, _STOP_S)

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
        self._pulse.beat("store")
        begins, ends = await self._edges(consumer, new)
        for offset in claimed:
            partition = TopicPartition(self._topic, offset.partition)
            if partition not in consumer.assignment():
                continue
            restart = misplaced(offset.next_offset, begins[partition], ends[partition])
            if restart is not None:
                await self._restart(consumer, partition, offset, restart)
                continue
            # With an anchor the record before is read once more, to see that it is still the one we know.
            known = offset.anchor is not None and offset.next_offset > begins[partition]
            consumer.seek(partition, offset.next_offset - 1 if known else offset.next_offset)
            self._claims[partition] = offset
            self._lag.hold(offset.partition, offset.next_offset)

    async def _edges(
        self, consumer: AIOKafkaConsumer, partitions: Sequence[TopicPartition]
    ) -> tuple[Mapping[TopicPartition, int], Mapping[TopicPartition, int]]:
        """The first offset each partition has, and one past its last."""
        async with asyncio.timeout(self._deadline_s):
            return await consumer.beginning_offsets(partitions), await consumer.end_offsets(partitions)

    async def _restart(
        self, consumer: AIOKafkaConsumer, partition: TopicPartition, offset: Offset, restart: Restart
    ) -> None:
        """Go on elsewhere than the store says, and tell everybody who must know."""
        _log.error(
            "audit_consumer_reset",
            reason=restart.reason.value,
            partition=offset.partition,
            expected=offset.next_offset,
            found=restart.offset,
            missed=restart.missed,
        )
        event = keeper_event(
            RESET,
            self._ids.next(),
            {
                "topic": offset.topic,
                "partition": offset.partition,
                "reason": restart.reason.value,
                "expected": offset.next_offset,
                "found": restart.offset,
                "missed": restart.missed,
            },
            severity=Severity.ERROR,
            outcome=Outcome.FAILURE,
        )
        event = msgspec.structs.replace(event, producer=Producer(_PRODUCER, 0, 0))
        moved = replace(offset, next_offset=restart.offset, anchor=None)
        await self._store.move_to(moved, encode(event))
        self._metrics.resets.labels(restart.reason.value).inc()
        self._metrics.missed.inc(restart.missed)
        if partition in consumer.assignment():
            consumer.seek(partition, moved.next_offset)
            self._claims[partition] = moved
            self._lag.hold(moved.partition, moved.next_offset)

    async def _round(self, consumer: AIOKafkaConsumer) -> None:
        claims = dict(self._claims)
        taken = await consumer.getmany(timeout_ms=_POLL_MS, max_records=self._batch_records)
        # What came from a partition that changed hands meanwhile is dropped: it is read again from the claimed offset.
        held: Held = {}
        for partition, messages in taken.items():
            if messages and partition in claims and self._claims.get(partition) is claims[partition]:
                fitting = await self._fitting(consumer, partition, claims[partition], messages)
                if fitting:
                    held[partition] = fitting
        if held:
            await self._write(consumer, held, claims)

    async def _fitting(
        self, consumer: AIOKafkaConsumer, partition: TopicPartition, claim: Offset, messages: list[Any]
    ) -> list[Any]:
        """Those messages that follow what is stored; none if the partition is not where we left it."""
        first = messages[0]
        if first.offset == claim.next_offset - 1:
            if claim.anchor == anchor(first.timestamp, first.value):
                return messages[1:]
            begins, _ = await self._edges(consumer, [partition])
            await self._restart(consumer, partition, claim, Restart(begins[partition], Misfit.RENEWED, 0))
            return []
        if first.offset < claim.next_offset:  # the client was told that our offset is out of range, and began anew
            await self._restart(consumer, partition, claim, Restart(first.offset, Misfit.RENEWED, 0))
            return []
        if first.offset > claim.next_offset:  # a hole; marks of transactions leave some too, and are no loss
            begins, ends = await self._edges(consumer, [partition])
            restart = misplaced(claim.next_offset, begins[partition], ends[partition])
            if restart is not None:
                await self._restart(consumer, partition, claim, restart)
                return []
        return messages

    async def _write(self, consumer: AIOKafkaConsumer, held: Held, claims: Mapping[TopicPartition, Offset]) -> None:
        records, marks = sort(held, len(consumer.partitions_for_topic(self._topic) or ()))
        moved = {
            partition: replace(
                claims[partition],
                next_offset=messages[-1].offset + 1,
                anchor=anchor(messages[-1].timestamp, messages[-1].value),
            )
            for partition, messages in held.items()
        }
        for partition, messages in held.items():
            self._lag.took(partition.partition, messages[0].timestamp * _MS)
        try:
            await self._store.write(
                records, offsets=list(moved.values()), marks=marks, source=lambda letter: place(letter, held),
                tell=self._tell,
            )  # fmt: skip
        except Fenced:
            if all(self._claims.get(partition) is claims[partition] for partition in held):
                raise  # the group still calls them ours: it has not noticed yet that we were away
            self._rewind(consumer)  # a rebalance came in between
            return
        self._failures = 0
        self._pulse.beat("store")
        for partition, offset in moved.items():
            if self._claims.get(partition) is claims[partition]:
                self._claims[partition] = offset
                self._lag.stored(partition.partition, offset.next_offset)
        await self._hint(consumer, list(moved.values()))

    def _rewind(self, consumer: AIOKafkaConsumer) -> None:
        """Nothing was written: what is still ours is read again, the record before it too (see `_claim_new`)."""
        for partition, claim in self._claims.items():
            if partition in consumer.assignment():
                consumer.seek(partition, claim.next_offset - (claim.anchor is not None))

    async def _tell(self, letters: Sequence[DeadLetter]) -> None:
        """Others may follow the dead letters in their topic. The store keeps them whether or not it takes them.

        Before the transaction ends: after a crash in between a letter is there twice.
        """
        untold, error = len(letters), "not all were taken in time"
        # The writer's own deadline begins anew with each refusal: many would hold up the transaction, then the group.
        with suppress(TimeoutError):
            async with asyncio.timeout(_TELL_DEADLINES * self._deadline_s):
                untold, error = await tell(self._dead_letters, letters)
        if untold:  # one that is too large, or a topic that is not there, must not stop its partition for ever
            self._metrics.untold.inc(untold)
            _log.warning("audit_dead_letters_untold", count=untold, error=error)

    async def _watch(self, consumer: AIOKafkaConsumer) -> None:
        """Look each second how far the topic has come, also while a batch is under way or nothing arrives."""
        while True:
            partitions = list(self._claims)
            with suppress(KafkaError, OSError, TimeoutError):
                async with asyncio.timeout(self._deadline_s):
                    ends = await consumer.end_offsets(partitions or [TopicPartition(self._topic, 0)])
                self._pulse.beat("broker")
                for partition, end in ends.items():
                    self._lag.look(partition.partition, end)
            self._show()
            if self._pulse.age_s("store") > _PING_S:
                with suppress(AuditError):
                    await self._store.ping()
                    self._pulse.beat("store")
            await asyncio.sleep(_LOOK_S)

    def _show(self) -> None:
        behind = self._lag.events()
        gauge = self._metrics.consumer_lag_events
        for partition in self._shown - behind.keys():
            gauge.remove(str(partition))
        for partition, count in behind.items():
            gauge.labels(str(partition)).set(count)
        self._shown = set(behind)

    def _drop(self, partitions: Sequence[TopicPartition]) -> None:
        """They are not ours, or not yet claimed."""
        for partition in partitions:
            self._claims.pop(partition, None)
            self._lag.forget(partition.partition)
        self._show()

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

    def __init__(self, drop: Callable[[Sequence[TopicPartition]], None]) -> None:
        self._drop = drop

    def on_partitions_revoked(self, revoked: Sequence[TopicPartition]) -> None:
        """Forget their claims."""
        self._drop(revoked)

    def on_partitions_assigned(self, assigned: Sequence[TopicPartition]) -> None:
        """Forget their claims."""
        self._drop(assigned)
