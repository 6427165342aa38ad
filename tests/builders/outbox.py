"""A service's own database with an outbox in it: real roles, a table of orders, and what stands behind the relay."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg
from prometheus_client import CollectorRegistry

from audit.codec import decode
from audit.errors import SinkUnavailable
from audit.event import Actor, AuditEvent
from audit.metrics.outbox import OutboxMetrics
from audit.outbox import Outbox
from audit.outbox.install import outbox_sql
from audit.outbox.relay import OutboxRelay, Pace
from audit.sinks.port import Sink, Watermark

SCHEMA = 'shop "front"'
PRODUCER = "outbox-order"
PASSWORD = "the-service-of-the-tests"
ACTOR = Actor("user", "u-1", ("Cashier",), issuer="dev")
WHO: dict[str, Any] = {"tenant_id": "acme", "actor": ACTOR}


class Shop:
    """The database.

    Attributes:
        owner: The owner's DSN.
        app: How the service logs in.
        relay: How the relay does.
        outbox: What the service calls.
    """

    def __init__(self, owner: str) -> None:
        self.owner = owner
        self._suffix = uuid.uuid4().hex[:12]  # roles are the whole server's
        self.app = self._login("app")
        self.relay = self._login("relay")
        self.outbox = Outbox("order", schema=SCHEMA)

    def _role(self, name: str) -> str:
        return f"{name}_{self._suffix}"

    def _login(self, name: str) -> str:
        parts = urlsplit(self.owner)
        host = parts.netloc.rpartition("@")[2]
        return urlunsplit(parts._replace(netloc=f"{self._role(name)}:{PASSWORD}@{host}"))

    async def install(self, **options: Any) -> None:
        """Make the roles, a table of orders and the outbox."""
        roles = [self._role("app"), self._role("relay")]
        async with self.connected(self.owner) as owner:
            for role in roles:
                await owner.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{PASSWORD}'")
            await owner.execute('CREATE SCHEMA "shop ""front"""')
            await owner.execute('CREATE TABLE "shop ""front""".orders (id text PRIMARY KEY)')
            await owner.execute(outbox_sql(PRODUCER, schema=SCHEMA, writer=roles[0], relay=roles[1], **options))
            await owner.execute(f'GRANT INSERT, SELECT ON "shop ""front""".orders TO {roles[0]}')

    async def remove(self) -> None:
        """Take the roles away; the database goes with its test."""
        async with self.connected(self.owner) as owner:
            for role in (self._role("app"), self._role("relay")):
                await owner.execute(f"DROP OWNED BY {role}")
                await owner.execute(f"DROP ROLE {role}")

    @asynccontextmanager
    async def connected(self, dsn: str | None = None) -> AsyncIterator["asyncpg.Connection[Any]"]:
        """A connection; the service's unless said otherwise."""
        connection = await asyncpg.connect(dsn or self.app)
        try:
            yield connection
        finally:
            await connection.close()

    async def sell(self, connection: "asyncpg.Connection[Any]", order_id: str, **more: Any) -> str:
        """A change with its event; the event's id."""
        async with connection.transaction():
            await connection.execute('INSERT INTO "shop ""front""".orders VALUES ($1)', order_id)
            given = {**WHO, "details": {"order": order_id}, **more}
            return await self.outbox.emit(connection, "order.order.created", action="order:create", **given)

    async def rows(self) -> list[asyncpg.Record]:
        """What is in the outbox."""
        async with self.connected(self.owner) as owner:
            return list(await owner.fetch('SELECT * FROM "shop ""front""".audit_outbox ORDER BY event_id'))

    def emptied_by(self, sink: Sink, dsn: str | None = None, **pace: Any) -> "Relaying":
        """A relay into a sink."""
        return Relaying(self, sink, dsn or self.relay, pace)


class Relaying:
    """A relay, and what it counts."""

    def __init__(self, shop: Shop, sink: Sink, dsn: str, pace: dict[str, Any]) -> None:
        self.registry = CollectorRegistry()

        async def connect() -> "asyncpg.Connection[Any]":
            return await asyncpg.connect(dsn)

        usual = {"poll_interval_s": 0.05, "backoff_max_s": 0.05, **pace}
        self.relay = OutboxRelay(
            connect, SCHEMA, sink, metrics=OutboxMetrics(self.registry), pace=Pace(**usual), dice=lambda: 0.0
        )

    def counted(self, name: str, **labels: str) -> float:
        """A metric."""
        found = self.registry.get_sample_value(name, labels)
        assert found is not None, name
        return found

    async def drain(self) -> int:
        """Relay until nothing is left; how many rows were dealt with."""
        total = 0
        while went := await self.relay.step():
            total += went
        return total


class Collecting:
    """A sink that keeps what it is given; `away` makes it refuse, `broken` makes it fail on some."""

    name = "store"

    def __init__(self) -> None:
        self.events: list[AuditEvent] = []
        self.records: list[bytes] = []
        self.batches: list[int] = []
        self.marks: list[Watermark] = []
        self.away = False
        self.broken: bytes | None = None
        self.holds: asyncio.Event | None = None
        self.entered = asyncio.Event()

    async def deliver(self, records: Sequence[bytes]) -> None:
        """See `Sink`."""
        self.entered.set()
        if self.holds is not None:
            await self.holds.wait()
        if self.away:
            raise SinkUnavailable("away")
        if self.broken is not None and any(self.broken in record for record in records):
            raise ValueError("what the record holds")
        self.batches.append(len(records))
        self.records += records
        self.events += [decode(record) for record in records]

    async def report(self, marks: Sequence[Watermark]) -> None:
        """See `Sink`."""
        self.marks += marks

    async def ping(self) -> None:
        """See `Sink`."""

    async def close(self) -> None:
        """See `Sink`."""
