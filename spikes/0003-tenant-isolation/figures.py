"""What each model costs: catalogue, memory, planning, answering, pooling, writing, migrating, leaving, searching."""

# ruff: noqa: S608 - every statement is the study's own, and an injection among them is meant

import asyncio
import json
import os
import random
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import asyncpg
from models import PASSWORD, READER, WRITER, Connection, Model, tenant

from lychgate.postgres.place import wheel
from spikes.measured import percentile

QUERIES: Final = {
    "newest page": "SELECT event_id, body FROM events WHERE tenant_id = $1 ORDER BY event_id DESC LIMIT 50",
    "newest page of an actor": "SELECT event_id, body FROM events WHERE tenant_id = $1 AND actor_id = $1 || ':user-7'"
    " ORDER BY event_id DESC LIMIT 50",
    "what is grave": "SELECT event_id, body FROM events WHERE tenant_id = $1 AND severity >= 3"
    " ORDER BY event_id DESC LIMIT 50",
    "counts by action": "SELECT action, count(*) FROM events WHERE tenant_id = $1 GROUP BY action ORDER BY action",
}
_GRAVE_OF_ALL = "SELECT event_id FROM {table} WHERE severity >= 5 ORDER BY event_id DESC LIMIT 50"
_LOCKS = "SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'relation'"
_POOL = 4


@dataclass(frozen=True)
class Care:
    """How much is measured.

    Attributes:
        queries: Times each query is timed.
        plans: Times each query is planned.
        touched: Tenants whose tables one backend opens for its memory to be asked.
        batches: Batches of 1,000 rows that are inserted.
    """

    queries: int = 300
    plans: int = 30
    touched: int = 1000
    batches: int = 10


QUICK = Care(queries=6, plans=3, touched=8, batches=1)


@dataclass(frozen=True)
class Base:
    """A model's database.

    Attributes:
        owner_dsn: A superuser's login.
    """

    owner_dsn: str
    model: Model
    tenants: int
    care: Care

    def dsn(self, user: str) -> str:
        """Of another login."""
        parts = urlsplit(self.owner_dsn)
        return parts._replace(netloc=f"{user}:{PASSWORD}@{parts.netloc.rpartition('@')[2]}").geturl()

    async def reader(self, *, as_it_comes: bool = False) -> Connection:
        """A fresh backend for whoever asks.

        Args:
            as_it_comes: Without what the model needs to be asked at all.
        """
        return await asyncpg.connect(self.dsn(READER), server_settings={} if as_it_comes else self.model.settings)

    def some(self, count: int) -> list[str]:
        """Tenants as they come, the same in each model."""
        dice = random.Random(self.tenants)  # noqa: S311 - the same for each model
        return [tenant(int(self.tenants * dice.random())) for _ in range(count)]


async def answers(base: Base) -> dict[str, Any]:
    """What each query says of a few tenants: the same in every model."""
    connection = await base.reader()
    said: dict[str, Any] = {}
    try:
        for name, text in QUERIES.items():
            for whom in (tenant(0), tenant(base.tenants // 2), tenant(base.tenants - 1)):
                async with base.model.of(connection, whom):
                    rows = await connection.fetch(text, whom)
                said[f"{name} {whom}"] = [
                    len(rows),
                    str(rows[0][0]) if rows else None,
                    str(rows[-1][0]) if rows else None,
                ]
    finally:
        await connection.close()
    return said


async def catalogue(owner: Connection, base: Base) -> dict[str, Any]:
    """Relations, and what the catalogue and the data take."""
    row = await owner.fetchrow(
        "SELECT count(*) FILTER (WHERE oid >= 16384) AS relations,"
        " sum(pg_total_relation_size(oid)) FILTER (WHERE relnamespace = 'pg_catalog'::regnamespace AND relkind = 'r')"
        " AS catalogue, pg_database_size(current_database()) AS everything FROM pg_class"
    )
    assert row is not None
    connection = await base.reader()
    try:
        memory = "SELECT sum(total_bytes)::bigint FROM pg_backend_memory_contexts"
        fresh = await connection.fetchval(memory)
        for number in range(min(base.care.touched, base.tenants)):
            async with base.model.of(connection, tenant(number)):
                await connection.fetch("SELECT event_id FROM events WHERE tenant_id = $1 LIMIT 1", tenant(number))
        touched = await connection.fetchval(memory)
    finally:
        await connection.close()
    return {
        "relations": row["relations"],
        "catalogue_mib": int(row["catalogue"]) / (1 << 20),
        "database_mib": int(row["everything"]) / (1 << 20),
        "backend_fresh_mib": fresh / (1 << 20),
        "backend_touched_mib": touched / (1 << 20),
    }


async def latency(base: Base) -> dict[str, Any]:
    """p50 and p95 of each query over many tenants, on one pooled connection; milliseconds, the transaction and all."""
    connection = await base.reader()
    figures = {}
    try:
        for name, text in QUERIES.items():
            taken = []
            for whom in base.some(base.care.queries):
                began = time.perf_counter()
                async with base.model.of(connection, whom):
                    await connection.fetch(text, whom)
                taken.append((time.perf_counter() - began) * 1000)
            figures[name] = {"p50_ms": percentile(taken, 0.5), "p95_ms": percentile(taken, 0.95)}
    finally:
        await connection.close()
    return figures


async def planning(base: Base) -> dict[str, float]:
    """What the planner says it took, milliseconds: first in a backend, and once it knows the tables."""
    first, again = [], []
    for text in QUERIES.values():
        connection = await base.reader()
        try:
            for number, whom in enumerate(base.some(base.care.plans)):
                async with base.model.of(connection, whom):
                    told = await connection.fetchval(f"EXPLAIN (SUMMARY, FORMAT JSON) {text.replace('$1', repr(whom))}")
                    (again if number else first).append(json.loads(told)[0]["Planning Time"])
                    told = await connection.fetchval(f"EXPLAIN (SUMMARY, FORMAT JSON) {text.replace('$1', repr(whom))}")
                    again.append(json.loads(told)[0]["Planning Time"])
        finally:
            await connection.close()
    return {"first_ms": percentile(first, 0.5), "again_ms": percentile(again, 0.5)}


async def prepared(base: Base) -> int | None:
    """Locks a read holds once its plan is kept, the server choosing plans by itself; None if it is refused for them."""
    connection = await base.reader(as_it_comes=True)
    held = 0
    try:
        for whom in base.some(8):  # five plans for a value, then perhaps one for all
            async with base.model.of(connection, whom):
                await connection.fetch(QUERIES["newest page"], whom)
                held = await connection.fetchval(_LOCKS)
    except asyncpg.OutOfMemoryError:
        return None
    finally:
        await connection.close()
    return held


async def pooled(base: Base) -> dict[str, Any]:
    """Four readers on a pool of as many connections, each request another tenant's."""
    pool = await asyncpg.create_pool(
        base.dsn(READER), min_size=_POOL, max_size=_POOL, server_settings=base.model.settings
    )
    text = QUERIES["newest page"]
    whom = iter(base.some(base.care.queries * 4))

    async def read() -> int:
        done = 0
        for one in whom:
            async with pool.acquire() as connection, base.model.of(connection, one):  # type: ignore[arg-type]
                await connection.fetch(text, one)
            done += 1
        return done

    began = time.perf_counter()
    done = sum(await asyncio.gather(*(read() for _ in range(_POOL))))
    seconds = time.perf_counter() - began
    async with pool.acquire() as connection:
        left = await connection.fetchval("SELECT current_setting('app.tenant_id', true)")
        path = await connection.fetchval("SELECT current_setting('search_path')")
        plans = await connection.fetchrow(
            "SELECT count(*) AS prepared, coalesce(sum(generic_plans), 0)::int AS generic,"
            " coalesce(sum(custom_plans), 0)::int AS custom FROM pg_prepared_statements"
            " WHERE statement LIKE '%ORDER BY%'"
        )
    await pool.close()
    assert plans is not None
    return {
        "reads_s": done / seconds,
        "setting_left": left or "",
        "path_left": path,
        "generic_plans": plans["generic"],
        "custom_plans": plans["custom"],
    }


async def inserting(base: Base) -> float | None:
    """Rows a second, a thousand in a transaction, of tenants as they come; None if it is refused for its locks."""
    connection = await asyncpg.connect(base.dsn(WRITER))
    columns = "$1::uuid[], $2::text[], $3::timestamptz[], $4::text[], $5::text[], $6::smallint[], $7::jsonb[]"
    statement = f"INSERT INTO events SELECT * FROM unnest({columns})"
    moment = await connection.fetchval("SELECT '2025-01-28 00:00+00'::timestamptz")
    floor = int(moment.timestamp() * 1000)
    body = json.dumps({"note": "new", "agent": "x" * 180})
    whom = base.some(base.care.batches * 1000)
    began = time.perf_counter()
    try:
        for batch in range(base.care.batches):
            rows = [
                (f"{floor + batch:012x}-7000-8000-{number:012x}", one)
                for number, one in enumerate(whom[batch * 1000 : batch * 1000 + 1000])
            ]
            async with connection.transaction():
                if not base.model.by_schema:
                    await connection.execute(statement, *_columns(rows, moment, body))
                    continue
                by_tenant: dict[str, list[tuple[str, str]]] = {}
                for row in rows:
                    by_tenant.setdefault(row[1], []).append(row)
                for one in sorted(by_tenant):
                    await connection.execute("SELECT set_config('search_path', $1, true)", one)
                    await connection.execute(statement, *_columns(by_tenant[one], moment, body))
    except asyncpg.OutOfMemoryError:
        return None
    finally:
        await connection.close()
    return len(whom) / (time.perf_counter() - began)


def _columns(rows: list[tuple[str, str]], moment: Any, body: str) -> list[list[Any]]:
    count = len(rows)
    return [
        [row[0] for row in rows], [row[1] for row in rows], [moment] * count, [f"{row[1]}:user-1" for row in rows],
        ["order:read"] * count, [1] * count, [body] * count,
    ]  # fmt: skip


async def migrating(owner: Connection, base: Base) -> dict[str, Any]:
    """A column and an index for everybody: in one transaction if that can be, else a tenant at a time."""
    tables = [f"{tenant(n)}.events" for n in range(base.tenants)] if base.model.by_schema else ["events"]
    change = ["ALTER TABLE {0} ADD COLUMN region text", "CREATE INDEX ON {0} (tenant_id, region)"]
    began = time.perf_counter()
    whole, locks, error = True, 0, ""
    try:
        async with owner.transaction():
            for table in tables:
                for statement in change:
                    await owner.execute(statement.format(table))
            locks = await owner.fetchval(_LOCKS)
    except asyncpg.OutOfMemoryError as exc:
        whole, error = False, f"{exc}: {exc.hint}"
    except asyncpg.PostgresError as exc:
        whole, error = False, str(exc)
    one_s = time.perf_counter() - began
    steps_s = None
    if not whole and base.model.by_schema:
        began = time.perf_counter()
        for table in tables:
            async with owner.transaction():
                for statement in change:
                    await owner.execute(statement.format(table))
        steps_s = time.perf_counter() - began
    return {
        "whole": whole,
        "one_s": one_s,
        "locks": locks,
        "error": error,
        "steps_s": steps_s,
        "transactions": 1 if whole else len(tables),
    }


async def across(base: Base) -> dict[str, Any]:
    """The fifty newest grave events of all tenants, as the model lets its reader ask; milliseconds."""
    connection = await base.reader()
    asked = _GRAVE_OF_ALL.format(table="events")
    try:
        began = time.perf_counter()
        if base.model.by_setting or base.model.by_schema:
            found = []
            for number in range(base.tenants):
                async with base.model.of(connection, tenant(number)):
                    found += [str(row[0]) for row in await connection.fetch(asked)]
            found = sorted(found, reverse=True)[:50]
        else:
            try:
                found = [str(row[0]) for row in await connection.fetch(asked)]
            except asyncpg.OutOfMemoryError:  # more partitions than one statement can lock
                return {"ms": None, "found": None}
        return {"ms": (time.perf_counter() - began) * 1000, "found": [len(found), found[0], found[-1]]}
    finally:
        await connection.close()


def backed_up(base: Base, folder: Path) -> dict[str, Any]:
    """One tenant's rows in a file: by `pg_dump` where they are a thing of their own, else by COPY of a query."""
    whom = tenant(1)
    chosen = {"schema": ["-n", whom], "partition": ["-t", f"{whom}_events", "--data-only"]}.get(base.model.name)
    target = folder / "one-tenant"
    if chosen is not None:
        command = [str(wheel() / "bin" / "pg_dump"), "-f", str(target), *chosen]
    else:
        asked = f"COPY (SELECT * FROM events WHERE tenant_id = '{whom}') TO STDOUT"
        command = [str(wheel() / "bin" / "psql"), "-X", "-q", "-o", str(target), "-c", asked]
    parts = urlsplit(base.owner_dsn)
    login = {"PGHOST": parts.hostname or "", "PGPORT": str(parts.port), "PGUSER": parts.username or ""}
    login |= {"PGPASSWORD": parts.password or "", "PGDATABASE": parts.path[1:]}
    began = time.perf_counter()
    done = subprocess.run(command, env={**os.environ, **login}, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - began
    size = target.stat().st_size if target.exists() else 0
    target.unlink(missing_ok=True)
    return {"seconds": seconds, "bytes": size, "error": done.stderr.strip()[:300] if done.returncode else ""}


async def leaving(owner: Connection, base: Base) -> dict[str, Any]:
    """The tenant with the most rows goes."""
    whom = tenant(0)
    statement = {
        "schema": f"DROP SCHEMA {whom} CASCADE",
        "partition": f"DROP TABLE {whom}_events",
    }.get(base.model.name, f"DELETE FROM events WHERE tenant_id = '{whom}'")
    before = await _size(owner)
    began = time.perf_counter()
    await owner.execute(statement)
    seconds = time.perf_counter() - began
    return {"seconds": seconds, "freed_mib": (before - await _size(owner)) / (1 << 20)}


async def _size(owner: Connection) -> int:
    return int(await owner.fetchval("SELECT pg_database_size(current_database())"))


def timed_stage(say: Callable[[str], None], worded: str) -> Callable[[], None]:
    """Says how long a stage took, when called."""
    began = time.perf_counter()
    return lambda: say(f"{worded} {time.perf_counter() - began:.1f} s")
