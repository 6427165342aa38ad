"""Four ways to keep tenants apart in one PostgreSQL, each in a database of its own with the same rows.

The shared tables are parted by week and indexed as ours are. A schema or a partition for each tenant is not parted by
week as well: that would be so many tables times so many weeks. Whoever asks logs in as `reader`, who owns nothing.
"""

# ruff: noqa: S608 - every statement is the study's own, and an injection among them is meant

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, TypeAlias

import asyncpg

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

HOUSE, READER, WRITER = "study_house", "study_reader", "study_writer"
PASSWORD = "of-a-server-that-is-gone-at-the-end"  # noqa: S105 - as it says
SETTING = "app.tenant_id"
_AT_ONCE = 100
"""Tenants made in one transaction: each takes half a dozen locks, and a transaction can hold some thousands."""

_COLUMNS = (
    "event_id uuid NOT NULL, tenant_id text NOT NULL, occurred_at timestamptz NOT NULL, actor_id text, action text,"
    " severity smallint NOT NULL, body jsonb NOT NULL"
)
_INDICES: Final = (
    "CREATE INDEX ON {table} (tenant_id, event_id DESC)",
    "CREATE INDEX ON {table} (tenant_id, actor_id, event_id DESC)",
    "CREATE INDEX ON {table} (tenant_id, event_id DESC) WHERE severity >= 3",
)
_FLOOR = "(lpad(to_hex((extract(epoch FROM {at}) * 1000)::bigint), 12, '0') || '70008000000000000000')::uuid"
_WEEKS = ("2025-01-06", "2025-01-13", "2025-01-20", "2025-01-27", "2025-02-03")

# Rows as ours, from their number alone: the share of a tenant falls with its rank, as it does in life.
_SOURCE = """
CREATE UNLOGGED TABLE source AS
SELECT (lpad(to_hex(ms), 12, '0') || '70008000' || lpad(to_hex(n), 12, '0'))::uuid AS event_id,
  't_' || lpad(floor($2 * u ^ 2)::int::text, 5, '0') AS tenant_id,
  to_timestamp(ms / 1000.0) AS occurred_at,
  't_' || lpad(floor($2 * u ^ 2)::int::text, 5, '0') || ':user-' || (n * 7919 % 40) AS actor_id,
  (ARRAY['order:read', 'order:list', 'order:create', 'payment:refund'])[1 + n % 4] AS action,
  (CASE WHEN n % 97 = 0 THEN 5 WHEN n % 31 = 0 THEN 3 ELSE 1 END)::smallint AS severity,
  jsonb_build_object('note', 'note-of-' || 't_' || lpad(floor($2 * u ^ 2)::int::text, 5, '0'), 'number', n,
                     'agent', repeat('x', 180)) AS body
FROM (SELECT n, 1736121600000 + n::bigint * (4 * 7 * 86400000::bigint) / ($1::bigint + 1) AS ms,
        ('x' || substr(md5(n::text), 1, 8))::bit(32)::bigint / 4294967296.0 AS u
      FROM generate_series(1, $1) n) rows
"""


@dataclass(frozen=True)
class Model:
    """One way.

    Attributes:
        name: A short word, in tables and in databases' names.
        worded: What it is.
        by_schema: Whether a tenant's table is found by the search path.
        by_setting: Whether the server compares the tenant with a setting.
        by_partition: Whether each tenant has a partition.
    """

    name: str
    worded: str
    by_schema: bool = False
    by_setting: bool = False
    by_partition: bool = False

    @property
    def settings(self) -> dict[str, str]:
        """What its reader's connections need: a plan for any tenant would lock each partition there is."""
        return {"plan_cache_mode": "force_custom_plan"} if self.by_partition else {}

    async def build(self, owner: Connection, tenants: int, rows: int) -> None:
        """Make it, and fill it.

        Args:
            owner: A superuser's connection to an empty database.
            tenants: How many.
            rows: How many, of all tenants together.
        """
        await owner.execute(
            f"GRANT CREATE, USAGE ON SCHEMA public TO {HOUSE}; GRANT USAGE ON SCHEMA public TO {READER}, {WRITER}"
        )
        source = _SOURCE.replace("$1", str(rows)).replace("$2", str(tenants))
        await owner.execute(source)
        await owner.execute(f"CREATE INDEX ON source (tenant_id); ANALYZE source; GRANT SELECT ON source TO {HOUSE}")
        await owner.execute(f"SET ROLE {HOUSE}")
        if self.by_schema:
            await self._schemas(owner, tenants)
        else:
            await self._shared(owner, tenants)
            await self._fill(owner, tenants)
        await owner.execute("RESET ROLE")
        await owner.execute("DROP TABLE source")
        await owner.execute("VACUUM")
        await self._analyze(owner, tenants)
        # So that a reader can say how much memory its own backend takes.
        await owner.execute(
            f"GRANT EXECUTE ON FUNCTION pg_get_backend_memory_contexts() TO {READER};"
            f" GRANT SELECT ON pg_backend_memory_contexts TO {READER}"
        )

    async def _shared(self, owner: Connection, tenants: int) -> None:
        if self.by_partition:
            await owner.execute(
                f"CREATE TABLE events ({_COLUMNS}, PRIMARY KEY (tenant_id, event_id)) PARTITION BY LIST (tenant_id)"
            )
        else:
            await owner.execute(
                f"CREATE TABLE events ({_COLUMNS}, PRIMARY KEY (event_id)) PARTITION BY RANGE (event_id)"
            )
        for index in _INDICES:
            await owner.execute(index.format(table="events"))
        if self.by_partition:
            for some in _batches(tenants):
                statements = [
                    f"CREATE TABLE {tenant}_events PARTITION OF events FOR VALUES IN ('{tenant}')" for tenant in some
                ]
                await owner.execute("; ".join(statements))
        else:
            for number, (since, until) in enumerate(pairwise(_WEEKS)):
                bounds = [await _floor(owner, since), await _floor(owner, until)]
                part = f"CREATE TABLE events_{number} PARTITION OF events"
                await owner.execute(f"{part} FOR VALUES FROM ('{bounds[0]}') TO ('{bounds[1]}')")
        await owner.execute(f"GRANT SELECT ON events TO {READER}; GRANT INSERT ON events TO {WRITER}")
        if self.by_setting:
            await owner.execute(
                "ALTER TABLE events ENABLE ROW LEVEL SECURITY; ALTER TABLE events FORCE ROW LEVEL SECURITY;"
                f" CREATE POLICY reads ON events FOR SELECT TO {READER}"
                f" USING (tenant_id = (SELECT current_setting('{SETTING}', true)));"
                f" CREATE POLICY inserts ON events FOR INSERT TO {WRITER} WITH CHECK (true);"
                f" CREATE POLICY keeps ON events TO {HOUSE} USING (true) WITH CHECK (true)"
            )

    async def _fill(self, owner: Connection, tenants: int) -> None:
        """One statement; where it would lock more tables and indices than there is room for, some tenants each."""
        copy = "INSERT INTO events SELECT * FROM source"
        if not self.by_partition:
            await owner.execute(f"{copy} ORDER BY event_id")
            return
        for some in _batches(tenants):
            await owner.execute(f"{copy} WHERE tenant_id BETWEEN '{some[0]}' AND '{some[-1]}' ORDER BY event_id")

    async def _analyze(self, owner: Connection, tenants: int) -> None:
        """Each table by itself, and a shared one whole, if its partitions can be locked at once."""
        if self.by_schema or self.by_partition:
            for number in range(tenants):
                whom = tenant(number)
                await owner.execute(f"ANALYZE {whom}.events" if self.by_schema else f"ANALYZE {whom}_events")
        if not self.by_schema:
            with suppress(asyncpg.OutOfMemoryError):
                await owner.execute("ANALYZE events")

    async def _schemas(self, owner: Connection, tenants: int) -> None:
        database = await owner.fetchval("SELECT quote_ident(current_database())")
        await owner.execute(f"RESET ROLE; GRANT CREATE ON DATABASE {database} TO {HOUSE}; SET ROLE {HOUSE}")
        for some in _batches(tenants):
            statements = []
            for tenant in some:
                table = f"{tenant}.events"
                statements += [f"CREATE SCHEMA {tenant}", f"CREATE TABLE {table} ({_COLUMNS}, PRIMARY KEY (event_id))"]
                statements += [index.format(table=table) for index in _INDICES]
                statements += [
                    f"GRANT USAGE ON SCHEMA {tenant} TO {READER}, {WRITER}",
                    f"GRANT SELECT ON {table} TO {READER}",
                    f"GRANT INSERT ON {table} TO {WRITER}",
                    f"INSERT INTO {table} SELECT * FROM public.source WHERE tenant_id = '{tenant}' ORDER BY event_id",
                ]
            await owner.execute("; ".join(statements))

    @asynccontextmanager
    async def of(self, connection: Connection, tenant: str) -> AsyncIterator[None]:
        """A transaction that is about one tenant, as the model has it; nothing of it stays on the connection."""
        async with connection.transaction():
            if self.by_setting:
                await connection.execute("SELECT set_config('app.tenant_id', $1, true)", tenant)
            if self.by_schema:
                await connection.execute("SELECT set_config('search_path', $1, true)", tenant)
            yield


MODELS: Final = (
    Model("filter", "shared table, a filter in each query"),
    Model("rls", "shared table, row-level security", by_setting=True),
    Model("schema", "a schema for each tenant", by_schema=True),
    Model("partition", "a partition for each tenant", by_partition=True),
)


def tenant(number: int) -> str:
    """A tenant's id, which is its schema's name too; 0 has the most rows."""
    return f"t_{number:05d}"


def _batches(tenants: int) -> list[list[str]]:
    return [
        [tenant(each) for each in range(first, min(first + _AT_ONCE, tenants))] for first in range(0, tenants, _AT_ONCE)
    ]


async def _floor(owner: Connection, day: str) -> Any:
    return await owner.fetchval("SELECT " + _FLOOR.format(at=f"'{day} 00:00+00'::timestamptz"))


async def roles(owner: Connection) -> None:
    """The server's: who owns, who reads, who writes."""
    for role, may in (
        (HOUSE, "NOLOGIN"),
        (READER, f"LOGIN PASSWORD '{PASSWORD}'"),
        (WRITER, f"LOGIN PASSWORD '{PASSWORD}'"),
    ):
        await owner.execute(f"CREATE ROLE {role} {may} NOSUPERUSER NOBYPASSRLS")
