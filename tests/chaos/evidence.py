"""What is there when a round is over, read without the product: rows by SQL as the owner, dead letters, counters."""

import asyncio
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from tests.builders.patience import PATIENCE_S
from tests.chaos.shop import Asked

_ROWS = """
SELECT event_id::text, phase, tenant_id, event_type, kind, producer_id, producer_epoch, producer_seq, actor_id, action,
       resource_type, resource_id, decision, outcome, status, trace_id,
       extract(epoch FROM ingested_at)::float8 AS seen_at, encode(payload_hash, 'hex') AS hash,
       body::text AS body
FROM audit_events ORDER BY event_id, phase
"""
_READ_WITHIN_S = 20.0
_WATERMARK = b"audit.watermark"


@dataclass(frozen=True)
class Row:
    """A record that readers can see, or one set apart for its time.

    Attributes:
        columns: The typed columns, by name; empty for a dead letter.
        body: The event as JSON.
        hash: SHA-256 as the store keeps it, in hex; empty for a dead letter.
        ingested_at: When it became visible, seconds since the epoch.
        dead: Why it was set apart; empty for what is in the store.
    """

    columns: Mapping[str, Any]
    body: Mapping[str, Any]
    hash: str = ""
    ingested_at: float = 0.0
    dead: str = ""

    @property
    def key(self) -> tuple[str, str]:
        """Event id and phase."""
        return str(self.body.get("event_id")), str(self.body.get("phase"))

    @property
    def producer(self) -> tuple[str, int]:
        """Whose, and of which opening."""
        producer = self.body.get("producer", {})
        return str(producer.get("id")), int(producer.get("epoch", 0))

    @property
    def seq(self) -> int:
        """Its number; 0 for what is about the numbering."""
        return int(self.body.get("producer", {}).get("seq", 0))

    def at(self, *path: str) -> Any:
        """A value in the body; None where there is none."""
        node: Any = self.body
        for name in path:
            node = node.get(name) if isinstance(node, dict) else None
        return node

    def __str__(self) -> str:
        producer, epoch = self.producer
        return f"{'/'.join(self.key)} {self.at('event_type')} {producer}/{epoch}#{self.seq} trace {self.at('trace_id')}"


@dataclass(frozen=True)
class Disturbance:
    """A fault that was carried out; times are the system's, seconds since the epoch."""

    fault: str
    began_at: float
    ended_at: float


@dataclass
class Evidence:
    """Everything the oracle looks at.

    Attributes:
        asked: What the clients sent and saw.
        rows: The store.
        dead: Dead letters, each once.
        conflicts: Keys with two contents.
        taken: Numbers each producer had taken in each epoch, at least.
        ended: Epochs the store has been told the end of.
        disturbed: What was done that can cost a record of the gateway's.
        promised: When `complete_through` said what, both in seconds since the epoch.
        ahead: Whether the clock was to go beyond what the store takes.
        steady: Whether the clock was left alone.
        duplicates: Records that came twice, where that can be counted.
    """

    asked: Sequence[Asked]
    rows: Sequence[Row]
    dead: Sequence[Row] = ()
    conflicts: Sequence[str] = ()
    taken: Mapping[tuple[str, int], int] = field(default_factory=dict)
    ended: frozenset[tuple[str, int]] = frozenset()
    disturbed: Sequence[Disturbance] = ()
    promised: Sequence[tuple[float, float]] = ()
    ahead: bool = False
    steady: bool = True
    duplicates: int | None = None


def canonical_hash(body: Mapping[str, Any]) -> str:
    """SHA-256 over keys in order and no spaces, made by another library than the product's."""
    text = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


async def stored(dsn: str) -> tuple[list[Row], list[Row], list[str]]:
    """Rows, the store's own dead letters, conflicts."""
    connection = await asyncpg.connect(dsn, timeout=10)
    try:
        return await read(connection)
    finally:
        await connection.close()


async def read(connection: "asyncpg.Connection[asyncpg.Record]") -> tuple[list[Row], list[Row], list[str]]:
    """As `stored`."""
    rows = []
    for found in await connection.fetch(_ROWS):
        columns = {name: value for name, value in found.items() if name not in {"body", "hash", "seen_at"}}
        rows.append(Row(columns, json.loads(found["body"]), found["hash"], found["seen_at"]))
    letters = await connection.fetch("SELECT reason, payload FROM audit_dead_letters ORDER BY id")
    conflicts = await connection.fetch("SELECT event_id, phase FROM audit_conflicts")
    return rows, [letter(r["reason"], bytes(r["payload"])) for r in letters], [f"{e}/{p}" for e, p in conflicts]


async def told_ended(dsn: str) -> frozenset[tuple[str, int]]:
    """Producers' epochs of which every lane has reported the end."""
    connection = await asyncpg.connect(dsn, timeout=10)
    try:
        found = await connection.fetch(
            "SELECT producer_id, producer_epoch FROM audit_producers GROUP BY 1, 2"
            " HAVING bool_and(ended) AND count(*) = max(lanes)"
        )
    finally:
        await connection.close()
    return frozenset((row["producer_id"], row["producer_epoch"]) for row in found)


async def complete_through(dsn: str) -> float | None:
    """What readers are promised now, seconds since the epoch; None while nobody can say."""
    try:
        connection = await asyncpg.connect(dsn, timeout=2)
        try:
            return await connection.fetchval("SELECT extract(epoch FROM audit_complete_through())::float8", timeout=2)  # type: ignore[no-any-return]
        finally:
            await asyncio.wait_for(connection.close(), PATIENCE_S)
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError):
        return None


def letter(reason: str, payload: bytes) -> Row:
    """A dead letter as what it would have been."""
    try:
        body = json.loads(payload)
    except ValueError:
        body = {}
    return Row({}, body if isinstance(body, dict) else {}, dead=reason)


async def topic(bootstrap_servers: str, name: str) -> list[Any]:
    """Every message of a topic, from its beginning to where it ends now."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap_servers, enable_auto_commit=False)
    found: list[Any] = []
    try:
        await consumer.start()
        partitions = [
            TopicPartition(name, n) for n in consumer.partitions_for_topic(name) or await _known(consumer, name)
        ]
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        ends = await consumer.end_offsets(partitions)
        async with asyncio.timeout(_READ_WITHIN_S):
            while any([await consumer.position(each) < end for each, end in ends.items()]):
                for messages in (await consumer.getmany(timeout_ms=200)).values():
                    found += messages
    finally:
        with suppress(KafkaError, OSError, TimeoutError):
            await asyncio.wait_for(consumer.stop(), PATIENCE_S)
    return found


async def _known(consumer: AIOKafkaConsumer, name: str) -> Iterable[int]:
    """A topic's partitions, where the client has not heard of it yet."""
    consumer.subscribe([name])
    async with asyncio.timeout(_READ_WITHIN_S):
        while not (found := consumer.partitions_for_topic(name)):  # noqa: ASYNC110 - nobody tells us
            await asyncio.sleep(0.1)
    consumer.unsubscribe()
    return set(found)


def each_once(letters: Iterable[Row]) -> list[Row]:
    """Dead letters without those a crash has written a second time."""
    found: dict[str, Row] = {}
    for row in letters:
        found.setdefault(f"{row.key} {canonical_hash(row.body)}", row)
    return list(found.values())


def repeated(messages: Iterable[Any]) -> int:
    """How many events of a topic are there again. Watermarks, which stand in every partition, are no events."""
    found = [dict(message.headers) for message in messages]
    ids = [headers["ce_id"] for headers in found if headers.get("ce_type") != _WATERMARK and "ce_id" in headers]
    return len(ids) - len(set(ids))
