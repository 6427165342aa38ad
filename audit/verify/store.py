"""Reading the store for a verification: as its owner, who sees every tenant's rows, and in one snapshot."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple, TypeAlias
from uuid import UUID

import asyncpg

from audit.ingest import COLUMNS
from audit.integrity.chain import Kept
from audit.integrity.leaf import Leaf
from audit.verify.manifest import Block

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

PAGE_ROWS = 2_000
_CONNECT_TIMEOUT_S = 10.0
_FIRST = UUID(int=0)

_CHAIN = "SELECT seq, kind, partition, record, signature FROM public.audit_seals WHERE seq > $1 ORDER BY seq LIMIT 1000"
_BLOCKS = """
SELECT block, leaves, signature FROM public.audit_seal_blocks WHERE seq = $1 AND block >= $2 ORDER BY block LIMIT 16
"""
# Not through our own function: whoever tampers with rows may tamper with that.
_PARTITIONS = """
SELECT c.relname::text, c.relkind::text, pg_catalog.pg_get_expr(c.relpartbound, c.oid)
FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid
WHERE i.inhparent = 'public.audit_events'::pg_catalog.regclass ORDER BY 3
"""
_LATE = """
SELECT l.event_id, l.phase, l.login, l.arrived_at > pg_catalog.clock_timestamp() - interval '1 day' AS recent
FROM public.audit_late_rows l
JOIN unnest($1::uuid[], $2::text[]) AS k(event_id, phase) ON k.event_id = l.event_id AND k.phase = l.phase
WHERE l.partition = $3
"""
_PURGED = """
SELECT p.event_id, p.phase, p.payload_hash,
       public.audit_purge_is_due(p.event_id, p.purged_at, $3)
       AND p.purged_at > pg_catalog.clock_timestamp() - interval '1 day' AS due
FROM public.audit_purged_leaves p
JOIN unnest($1::uuid[], $2::text[]) AS k(event_id, phase) ON k.event_id = p.event_id AND k.phase = p.phase
"""
_DROPPED = """
SELECT EXISTS (SELECT FROM public.audit_purged_partitions
               WHERE name = $1 AND public.audit_purge_is_due(to_id, purged_at, $2)
                 AND purged_at > pg_catalog.clock_timestamp() - interval '1 day')
"""
_TIMES = """
SELECT (extract(epoch FROM pg_catalog.clock_timestamp()) * 1000)::bigint,
       (extract(epoch FROM public.audit_complete_through()) * 1000)::bigint,
       coalesce((SELECT (extract(epoch FROM applied_at) * 1000)::bigint FROM public.audit_migrations
                 WHERE name LIKE '%_integrity.sql'), 0)
"""


class Attached(NamedTuple):
    """A partition that is there.

    Attributes:
        name: Its name.
        is_table: Whether it is an ordinary table.
        bounds: As PostgreSQL prints them.
    """

    name: str
    is_table: bool
    bounds: str


class Times(NamedTuple):
    """Milliseconds since the epoch.

    Attributes:
        now: The store's clock.
        through: Through when it is complete; None before any producer's word.
        sealable: Since when it has had seals.
    """

    now: int
    through: int | None
    sealable: int


class VerifiedStore:
    """The store, as far as a verification reads it.

    Args:
        connection: In one transaction that only reads, on one snapshot.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def chain(self) -> AsyncIterator[Kept]:
        """The records of the chain, in the order of their numbers."""
        after = 0
        while page := await self._connection.fetch(_CHAIN, after):
            for row in page:
                yield Kept(*row)
            after = page[-1]["seq"]

    async def partitions(self) -> list[Attached]:
        """The partitions that are attached."""
        return [Attached(row[0], row[1] == "r", row[2] or "") for row in await self._connection.fetch(_PARTITIONS)]

    async def blocks(self, seq: int, first: int) -> Sequence[Block]:
        """The next blocks of a record."""
        return [(row[0], row[1], row[2]) for row in await self._connection.fetch(_BLOCKS, seq, first)]

    async def exists(self, table: str) -> bool:
        """Whether there is a table of this name, attached or not."""
        query = "SELECT to_regclass('public.' || quote_ident($1)) IS NOT NULL"
        return bool(await self._connection.fetchval(query, table))

    async def count(self, table: str) -> int:
        """How many rows a table has, without asking an index."""
        for way in ("indexscan", "indexonlyscan", "bitmapscan"):
            await self._connection.execute(f"SET LOCAL enable_{way} = off")
        found: int = await self._connection.fetchval(f"SELECT count(*) FROM {_quoted(table)}")  # noqa: S608  # quoted
        for way in ("indexscan", "indexonlyscan", "bitmapscan"):
            await self._connection.execute(f"SET LOCAL enable_{way} = on")
        return found

    async def rows(self, table: str) -> AsyncIterator[Sequence[Any]]:
        """The rows of a partition in key order: `COLUMNS`, the body as text."""
        columns = ", ".join("body::text" if name == "body" else name for name in COLUMNS)
        query = await self._connection.prepare(
            f"SELECT {columns} FROM {_quoted(table)} WHERE (event_id, phase) > ($1, $2)"  # noqa: S608  # quoted
            f" ORDER BY event_id, phase LIMIT {PAGE_ROWS}"
        )
        after: tuple[UUID, str] = (_FIRST, "")
        while page := await query.fetch(*after):
            for row in page:
                yield tuple(row)
            after = page[-1][0], page[-1][1]

    async def late(self, partition: str, keys: Sequence[Leaf]) -> dict[tuple[bytes, str], tuple[str, bool]]:
        """Of rows that no seal knows: by which login they came, and whether that is less than a day ago."""
        rows = await self._connection.fetch(_LATE, *_keys(keys), partition)
        return {(row[0].bytes, row[1]): (row[2], row[3]) for row in rows}

    async def purged(self, keys: Sequence[Leaf], days: int) -> dict[tuple[bytes, str], tuple[bytes, bool]]:
        """Of rows that are gone: the hash that a purge has left, and whether the keeper is going to sign that."""
        rows = await self._connection.fetch(_PURGED, *_keys(keys), days)
        return {(row[0].bytes, row[1]): (row[2], row[3]) for row in rows}

    async def drop_is_due(self, partition: str, days: int) -> bool:
        """Whether a partition was dropped as it may be, less than a day ago."""
        return bool(await self._connection.fetchval(_DROPPED, partition, days))

    async def times(self) -> Times:
        """What the store's clock says, and what it knows about itself."""
        row = await self._connection.fetchrow(_TIMES)
        assert row is not None  # noqa: S101  # a SELECT without FROM
        return Times(*row)


@asynccontextmanager
async def opened(dsn: str) -> AsyncIterator[VerifiedStore]:
    """The store of a login that sees all its rows.

    Raises:
        OSError, asyncpg.PostgresError: it cannot be reached, or the login may not read it all.
    """
    connection = await asyncpg.connect(dsn, timeout=_CONNECT_TIMEOUT_S)
    try:
        if not await connection.fetchval("SELECT rolsuper FROM pg_roles WHERE rolname = current_user"):
            await connection.execute("SET ROLE audit_owner")
        await connection.execute("SET row_security = off")  # an error, where a policy would leave rows out
        await connection.execute("SET search_path = pg_catalog, public, pg_temp")
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            yield VerifiedStore(connection)
    finally:
        await connection.close(timeout=_CONNECT_TIMEOUT_S)


def _keys(leaves: Sequence[Leaf]) -> tuple[list[UUID], list[str]]:
    return [UUID(bytes=leaf.event_id) for leaf in leaves], [leaf.phase for leaf in leaves]


def _quoted(table: str) -> str:
    """A table's name for a statement; names come from the catalogue and from signed records."""
    return 'public."' + table.replace('"', '""') + '"'
