"""What the tests of consumers share: members of a group, in this process and as processes, on a topic of their own."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

import asyncpg
from prometheus_client import CollectorRegistry

from audit.codec import encode
from audit.ids import EventIds
from audit.kafka.consumer import Consumer
from audit.kafka.health import Pulse
from audit.kafka.message import event_message
from audit.kafka.writer import KafkaWriter
from audit.metrics import IngestMetrics
from audit.store import Store
from tests.audit.test_relay import until
from tests.builders.audit import make_event
from tests.builders.patience import PATIENCE_S
from tests.servers.kafka.admin import create_topic
from tests.servers.kafka.server import ADDRESS_VARIABLE, topic
from tests.servers.postgres import Logins

ROOT = Path(__file__).parents[3]
IDS = EventIds()
SESSION_S = 6.0 if os.environ.get(ADDRESS_VARIABLE) else 1.0  # a broker that is not ours allows no less
PROGRAM = """
import json, sys
from audit.kafka.run import run
from audit.settings import AuditSettings, StoreSettings
audit, store = json.loads(sys.argv[1])
sys.exit(run(AuditSettings.model_validate(audit), StoreSettings.model_validate(store)))
"""


class Topics:
    """A topic and its dead letters' topic.

    Attributes:
        sent: Events sent so far.
    """

    def __init__(self, bootstrap_servers: str, name: str, partitions: int) -> None:
        self.bootstrap_servers = bootstrap_servers
        self.name = name
        self.dead = f"{name}.dlq"
        self.group = f"{name}.store"
        self.partitions = partitions
        self.sent = 0
        self._writer = KafkaWriter(bootstrap_servers, name, deadline_s=10.0, batch_bytes=524_288)

    async def send(self, number: int) -> None:
        """Events of many tenants, so that every partition has some."""
        await self._writer.send(
            [
                event_message(encode(make_event(event_id=IDS.next(), tenant_id=f"tenant-{index % 40}")))
                for index in range(number)
            ]
        )
        self.sent += number

    async def close(self) -> None:
        """Give the producer up."""
        await self._writer.close()


@asynccontextmanager
async def topics(bootstrap_servers: str, partitions: int = 1) -> AsyncIterator[Topics]:
    """Fresh ones."""
    made = Topics(bootstrap_servers, topic(), partitions)
    await create_topic(bootstrap_servers, made.name, partitions)
    await create_topic(bootstrap_servers, made.dead, 1)
    try:
        yield made
    finally:
        await made.close()


class Member:
    """A consumer of this process."""

    def __init__(self, made: Consumer, registry: CollectorRegistry, pulse: Pulse) -> None:
        self.consumer = made
        self.pulse = pulse
        self._registry = registry

    def value(self, name: str, **labels: str) -> float | None:
        """What a metric says."""
        return self._registry.get_sample_value(name, labels)


@asynccontextmanager
async def member(of: Topics, writer_dsn: str, **settings: Any) -> AsyncIterator[Member]:
    """A running one."""
    registry = CollectorRegistry()
    metrics, pulse = IngestMetrics(registry), Pulse(2.0)
    store = Store(writer_dsn, metrics=metrics)
    chosen = {"deadline_s": 3.0, "session_timeout_s": SESSION_S, **settings}
    made = Consumer(
        of.bootstrap_servers, store, topic=of.name, dead_letter_topic=of.dead, group_id=of.group, metrics=metrics,
        pulse=pulse, **chosen,
    )  # fmt: skip
    task = asyncio.ensure_future(made.run())
    try:
        yield Member(made, registry, pulse)
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await store.close()


@contextmanager
def process(of: Topics, logins: Logins, port: int | None = None) -> Iterator["subprocess.Popen[bytes]"]:
    """A consumer as a process."""
    to = logins.writer.removeprefix("postgresql://")
    host, _, database = to.rpartition("@")[2].partition("/")
    store = {"host": host.partition(":")[0], "port": int(host.partition(":")[2]), "database": database}
    for name, dsn in (("writer", logins.writer), ("keeper", logins.keeper)):
        user, _, password = dsn.removeprefix("postgresql://").rpartition("@")[0].partition(":")
        store[name] = {"user": user, "password": password}
    kafka = {
        "bootstrap_servers": of.bootstrap_servers, "topic": of.name, "dead_letter_topic": of.dead, "group_id": of.group,
        "deadline_s": 3.0, "session_timeout_s": SESSION_S, "consumer_metrics_port": port,
    }  # fmt: skip
    child = subprocess.Popen([sys.executable, "-c", PROGRAM, json.dumps([{"kafka": kafka}, store])], cwd=ROOT)
    try:
        yield child
    finally:
        if child.poll() is None:
            child.send_signal(signal.SIGCONT)
            child.kill()
        child.wait()


async def count(connection: "asyncpg.Connection[asyncpg.Record]", table: str = "audit_events") -> int:
    """How many rows."""
    return int(await connection.fetchval(f"SELECT count(*) FROM {table}"))  # noqa: S608  # names of ours


async def until_stored(
    connection: "asyncpg.Connection[asyncpg.Record]", of: Topics, within_s: float = PATIENCE_S
) -> None:
    """Wait until everything sent is in the store; then it is there once."""

    async def there() -> bool:
        return await count(connection) >= of.sent

    await until(there, within_s)
    assert await count(connection) == of.sent
    assert await count(connection, "audit_conflicts") == 0
