"""What a broker's troubles mean for readers: relay, breaker, a real broker, consumer and store in one story.

The broker is killed, comes back, falls silent, grows partitions. Afterwards: every event has one row, the topic shows
each producer's events of a tenant in the order they were emitted (by first appearance), and no watermark stands before
an event it speaks of.
"""

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import pytest
from prometheus_client import CollectorRegistry

from audit.breaker import Breaker
from audit.emit import Emitter
from audit.event import AuditEvent
from audit.guard import GuardedSink
from audit.ids import id_ms
from audit.kafka.consumer import Consumer
from audit.kafka.message import is_watermark, read_watermark
from audit.kafka.producer import KafkaSink
from audit.metrics import SinkMetrics
from audit.relay import Relay
from audit.store import Store
from tests.audit.test_relay import stamped, until
from tests.servers.kafka.admin import create_topic, grow_topic
from tests.servers.kafka.broker import Found, read_topic
from tests.servers.kafka.server import KafkaServer, own_server, topic
from tests.servers.postgres import Logins

PROMISE = """SELECT coalesce(extract(epoch FROM audit_complete_through()) * 1000, 0),
                    (SELECT count(*) FROM audit_events)"""
TENANTS = ("acme", "globex", "initech", "umbrella", "hooli")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaServer]:
    """A broker that tests here kill; each leaves it running."""
    made = own_server(tmp_path_factory.mktemp("kafka"))
    made.start()
    try:
        yield made
    finally:
        made.kill()


class Line:
    """From an emitter to rows, over a topic of its own."""

    def __init__(self, server: KafkaServer, name: str, folder: Path, database: Logins) -> None:
        self.server = server
        self.name = name
        self.registry = CollectorRegistry()
        self.emitter = Emitter(folder / "gw-w0", "gw-w0")
        self.sink = GuardedSink(
            KafkaSink(server.bootstrap_servers, name, dead_letter_topic=f"{name}.dlq", deadline_s=1.0, probe_s=0.5),
            Breaker(max_s=0.5),
            SinkMetrics(self.registry),
        )
        self.relay = Relay(folder, self.sink, batch_records=50, adopt_after_s=60)
        self.store = Store(database.writer)
        self.consumer = Consumer(
            server.bootstrap_servers, self.store, topic=name, dead_letter_topic=f"{name}.dlq", group_id=name,
            deadline_s=2.0,
        )  # fmt: skip
        self.emitted: dict[str, list[str]] = {tenant: [] for tenant in TENANTS}

        self.reading: asyncio.Task[None] | None = None

    async def begin_consumer(self) -> None:
        """Start it, or start it anew."""
        await self.end_consumer()
        self.reading = asyncio.ensure_future(self.consumer.run())

    async def end_consumer(self) -> None:
        """Stop it."""
        if self.reading is not None:
            self.reading.cancel()
            with suppress(asyncio.CancelledError):
                await self.reading

    async def emit(self, count: int, pause_s: float = 0.0) -> None:
        """Durable events, of all tenants by turns."""
        for number in range(count):
            event = stamped(self.emitter, tenant_id=TENANTS[number % len(TENANTS)])
            await self.emitter.emit_durable(event)
            self.emitted[event.tenant_id].append(event.event_id)
            await asyncio.sleep(pause_s)

    @property
    def count(self) -> int:
        """How many were emitted."""
        return sum(map(len, self.emitted.values()))

    def breaker(self) -> float:
        """Its state, as it is scraped."""
        return self.registry.get_sample_value("audit_sink_breaker_state", {"sink": "kafka"}) or 0.0


@asynccontextmanager
async def line(server: KafkaServer, partitions: int, folder: Path, database: Logins) -> AsyncIterator[Line]:
    """One that runs for the time of the block."""
    name = topic()
    await create_topic(server.bootstrap_servers, name, partitions)
    await create_topic(server.bootstrap_servers, f"{name}.dlq", 1)
    made = Line(server, name, folder, database)
    await made.begin_consumer()
    relaying = asyncio.ensure_future(made.relay.run())
    try:
        yield made
    finally:
        relaying.cancel()
        with suppress(asyncio.CancelledError):
            await relaying
        await made.end_consumer()
        await made.sink.close()
        await made.store.close()


def check_topic(found: list[Found], emitted: dict[str, list[str]]) -> int:
    """Order by first appearance, and watermarks behind what they speak of; returns how many copies there are."""
    events: list[tuple[int, int, AuditEvent]] = []
    for each in found:
        if not is_watermark(each.headers):
            event = msgspec.json.decode(each.value, type=AuditEvent)
            assert each.key == event.tenant_id.encode()
            events.append((each.partition, each.offset, event))
    first: dict[str, tuple[int, int]] = {}
    for partition, offset, event in events:
        first.setdefault(event.event_id, (partition, offset))
    for tenant, ids in emitted.items():
        seen = dict.fromkeys(event.event_id for _, _, event in events if event.tenant_id == tenant)
        assert set(seen) == set(ids)
        for partition in {first[event_id][0] for event_id in ids}:
            here = [event_id for event_id in ids if first[event_id][0] == partition]
            assert here == sorted(here, key=lambda event_id: first[event_id][1])
    for each in found:
        if is_watermark(each.headers):
            mark = read_watermark(each.value)
            for event_id, (partition, offset) in first.items():
                if partition == each.partition and offset > each.offset:
                    assert id_ms(event_id) >= mark.at_ms
    return len(events) - len(first)


async def test_killed_silent_and_back_nothing_is_lost_and_nothing_visible_twice(
    server: KafkaServer, tmp_path: Path, migrated_database: Logins
) -> None:
    """A kill and a silence in the middle of the stream."""
    connection = await asyncpg.connect(migrated_database.owner)
    async with line(server, 3, tmp_path, migrated_database) as made:

        async def visible() -> bool:
            return await connection.fetchval("SELECT count(*) FROM audit_events") == made.count  # type: ignore[no-any-return]

        await made.emit(100)
        await until(visible, 60)
        emitting = asyncio.ensure_future(made.emit(600, 0.005))
        await asyncio.sleep(0.3)
        await asyncio.to_thread(server.kill)
        await until(lambda: made.breaker() == 2, 30)
        await asyncio.to_thread(server.start)
        await until(lambda: made.breaker() == 0, 30)
        server.signal(signal.SIGSTOP)
        await until(lambda: made.breaker() == 2, 30)
        server.signal(signal.SIGCONT)
        await emitting
        await until(visible, 90)
        assert await connection.fetchval("SELECT count(*) FROM audit_conflicts") == 0
        through = id_ms(made.emitted[TENANTS[-1]][-1])

        async def complete() -> bool:
            at = await connection.fetchval("SELECT extract(epoch FROM audit_complete_through()) * 1000")
            return at is not None and at > through

        await until(complete, 60)
        await made.emitter.aclose()
    check_topic(await read_topic(server.bootstrap_servers, made.name), made.emitted)
    await connection.close()


async def test_a_topic_may_grow_while_it_is_written_to(
    server: KafkaServer, tmp_path: Path, migrated_database: Logins, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Events go to partitions the consumer does not know of yet: nothing is called complete that is not visible."""
    connection = await asyncpg.connect(migrated_database.owner)
    async with line(server, 1, tmp_path, migrated_database) as made:

        async def visible() -> bool:
            return await connection.fetchval("SELECT count(*) FROM audit_events") == made.count  # type: ignore[no-any-return]

        await made.emit(50)
        await until(visible, 60)
        monkeypatch.setattr("audit.kafka.connection.METADATA_MAX_AGE_S", 0.2)
        await made.sink.close()  # the next producer looks for partitions often; the consumer does not
        await made.emit(10)
        await until(visible, 60)
        promised: list[tuple[Any, ...]] = []
        await grow_topic(server.bootstrap_servers, made.name, 4)
        for _ in range(100):
            await made.emit(5, 0.002)
            promised.append(tuple(await connection.fetchrow(PROMISE)))
        assert not await visible()
        await made.begin_consumer()  # as a restart: it sees the new partitions
        await until(visible, 60)
        through = id_ms(made.emitted[TENANTS[-1]][-1])

        async def complete() -> bool:
            return (await connection.fetchrow(PROMISE))[0] > through  # type: ignore[no-any-return]

        await until(complete, 60)
        await made.emitter.aclose()
    ids = [id_ms(event_id) for some in made.emitted.values() for event_id in some]
    for at, rows in promised:
        assert sum(each < at for each in ids) <= rows
    found = await read_topic(server.bootstrap_servers, made.name)
    assert len({each.partition for each in found if each.key}) > 1
    check_topic(found, made.emitted)
    await connection.close()
