"""What goes wrong in life, tried on each model: one tenant's code reaches for what is another's.

Each attempt gives back what its author would see, an error's text included. It leaked if that holds something of the
other tenant: a word of its rows, its name from the catalogue, how many rows it has, or that an id of it exists.
"""

# ruff: noqa: S608 - every statement is the study's own, and an injection among them is meant

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

import asyncpg
from models import HOUSE, READER, SETTING, Connection, Model, tenant

ME, OTHER = tenant(2), tenant(0)
_WORD = f"note-of-{OTHER}"
HOLDS, LEAKS, NO_SUCH, REFUSED = "holds", "LEAKS", "-", "refused"


@dataclass(frozen=True)
class Doors:
    """The ways in.

    Attributes:
        reader: The pooled login of whoever asks.
        writer: That of whoever inserts.
        owner: A superuser, for what a developer left behind.
    """

    reader: Connection
    writer: Connection
    owner: Connection


Attempt = Callable[[Model, Doors], Awaitable[str]]
_ATTEMPTS: list[tuple[str, Attempt]] = []


def _attempt(worded: str) -> Callable[[Attempt], Attempt]:
    def kept(work: Attempt) -> Attempt:
        _ATTEMPTS.append((worded, work))
        return work

    return kept


async def _seen(connection: Connection, statement: str, *values: Any) -> str:
    """Everything the author of a statement is shown, the error too."""
    try:
        return str([tuple(row) for row in await connection.fetch(statement, *values)])
    except asyncpg.PostgresError as exc:
        return f"{exc} {exc.detail or ''} {exc.hint or ''}"


async def _as_me(model: Model, doors: Doors, statement: str, *values: Any) -> str:
    async with model.of(doors.reader, ME):
        return await _seen(doors.reader, statement, *values)


def _found(text: str) -> str:
    return LEAKS if _WORD in text else HOLDS


def _elsewhere(model: Model) -> str:
    """How the other's rows are named by whoever knows the model."""
    return f"{OTHER}.events" if model.by_schema else "events"


@_attempt("the filter is forgotten")
async def _forgotten(model: Model, doors: Doors) -> str:
    return _found(await _as_me(model, doors, "SELECT body FROM events"))


@_attempt("injected into a filter: `OR true`")
async def _or(model: Model, doors: Doors) -> str:
    asked = "SELECT body FROM events WHERE tenant_id = $1 AND actor_id = '' OR true"
    return _found(await _as_me(model, doors, asked, ME))


@_attempt("injected: `UNION` over the other's rows by name")
async def _union(model: Model, doors: Doors) -> str:
    theirs = f"SELECT body FROM {_elsewhere(model)} WHERE tenant_id = '{OTHER}'"
    asked = f"SELECT body FROM events WHERE tenant_id = $1 UNION ALL {theirs}"
    return _found(await _as_me(model, doors, asked, ME))


@_attempt("injected: a second statement that says another tenant")
async def _stacked(model: Model, doors: Doors) -> str:
    said = {"rls": f"SET {SETTING} = '{OTHER}'", "schema": f"SET search_path = {OTHER}"}.get(model.name, "SELECT 1")
    try:
        async with model.of(doors.reader, ME):
            await doors.reader.execute(said)  # as a driver without parameters would send both at once
            return _found(await _seen(doors.reader, f"SELECT body FROM events WHERE tenant_id = '{OTHER}'"))
    finally:
        await doors.reader.execute("RESET ALL")


@_attempt("injected: `set_config` inside the one statement")
async def _set_inside(model: Model, doors: Doors) -> str:
    name = {"rls": SETTING, "schema": "search_path"}.get(model.name, SETTING)
    asked = (
        f"SELECT e.body FROM (SELECT set_config('{name}', '{OTHER}', true) AS said OFFSET 0) s, LATERAL"
        f" (SELECT body FROM events WHERE tenant_id = s.said OR tenant_id = '{OTHER}' OFFSET 0) e"
    )
    return _found(await _as_me(model, doors, asked))


@_attempt("pooled connection: said for the session, the next says nothing")
async def _left(model: Model, doors: Doors) -> str:
    name = {"rls": SETTING, "schema": "search_path"}.get(model.name)
    if name is None:
        return NO_SUCH
    try:
        await doors.reader.execute("SELECT set_config($1, $2, false)", name, OTHER)
        return _found(await _seen(doors.reader, "SELECT body FROM events"))
    finally:
        await doors.reader.execute("RESET ALL")


@_attempt("pooled connection: said for the transaction, the next says nothing")
async def _ended(model: Model, doors: Doors) -> str:
    if not (model.by_setting or model.by_schema):
        return NO_SUCH
    async with model.of(doors.reader, OTHER):
        await doors.reader.fetch("SELECT body FROM events LIMIT 1")
    return _found(await _seen(doors.reader, "SELECT body FROM events"))


@_attempt("prepared under the other, run again as me")
async def _prepared(model: Model, doors: Doors) -> str:
    async with model.of(doors.reader, OTHER):
        statement = await doors.reader.prepare("SELECT body FROM events WHERE tenant_id = $1 OR $1 <> ''")
        for _ in range(6):  # from the sixth on the plan is the same for all values
            await statement.fetch(OTHER)
    async with model.of(doors.reader, ME):
        rows = await statement.fetch(ME)
    return _found(str([tuple(row) for row in rows]))


@_attempt("`SET row_security = off` by the login")
async def _off(model: Model, doors: Doors) -> str:
    if not model.by_setting:
        return NO_SUCH
    async with model.of(doors.reader, ME):
        await doors.reader.execute("SET LOCAL row_security = off")
        text = await _seen(doors.reader, "SELECT body FROM events")
    return _found(text)


@_attempt("a cast that quotes the value in its error")
async def _quoted(model: Model, doors: Doors) -> str:
    asked = f"SELECT 1 FROM events WHERE (CASE WHEN tenant_id = '{OTHER}' THEN body->>'note' ELSE '1' END)::int = 0"
    return _found(await _as_me(model, doors, asked))


@_attempt("`EXPLAIN`: how many rows the other has")
async def _explained(model: Model, doors: Doors) -> str:
    sizes = []
    for whom in (OTHER, "nobody"):
        text = await _as_me(
            model, doors, f"EXPLAIN (FORMAT JSON) SELECT 1 FROM {_elsewhere(model)} WHERE tenant_id = '{whom}'"
        )
        sizes.append(text.partition('"Plan Rows": ')[2].partition(",")[0])
    return LEAKS if sizes[0] != sizes[1] else HOLDS


@_attempt("`pg_stats`: values of the other's columns")
async def _statistics(model: Model, doors: Doors) -> str:
    asked = (
        "SELECT most_common_vals::text, histogram_bounds::text FROM pg_stats WHERE attname IN ('tenant_id', 'actor_id')"
    )
    return LEAKS if OTHER in await _as_me(model, doors, asked) else HOLDS


@_attempt("the catalogue: who the tenants are, and how large")
async def _catalogue(model: Model, doors: Doors) -> str:
    asked = "SELECT n.nspname, c.relname, c.reltuples FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    return LEAKS if OTHER in await _as_me(model, doors, asked) else HOLDS


@_attempt("`COPY (SELECT ...) TO STDOUT`")
async def _copied(model: Model, doors: Doors) -> str:
    taken: list[bytes] = []

    async def keep(data: bytes) -> None:
        taken.append(data)

    async with model.of(doors.reader, ME):
        await doors.reader.copy_from_query("SELECT body FROM events", output=keep)
    return _found(b"".join(taken).decode())


@_attempt("straight from a partition or table underneath")
async def _underneath(model: Model, doors: Doors) -> str:
    name = {"schema": f"{OTHER}.events", "partition": f"{OTHER}_events"}.get(model.name, "events_0")
    return _found(await _as_me(model, doors, f"SELECT body FROM {name}"))


@_attempt("a `SECURITY DEFINER` function that forgets the tenant")
async def _definer(model: Model, doors: Doors) -> str:
    await doors.owner.execute(
        f"SET ROLE {HOUSE}; CREATE OR REPLACE FUNCTION public.all_bodies() RETURNS SETOF jsonb LANGUAGE plpgsql"
        " SECURITY DEFINER AS $$ BEGIN RETURN QUERY SELECT body FROM events; END $$; RESET ROLE"
    )
    return _found(await _as_me(model, doors, "SELECT public.all_bodies()"))


@_attempt("a view of the owner's, without `security_invoker`")
async def _view(model: Model, doors: Doors) -> str:
    if model.by_schema:
        return NO_SUCH
    await doors.owner.execute(
        f"SET ROLE {HOUSE}; CREATE OR REPLACE VIEW public.bodies AS SELECT body FROM events;"
        f" GRANT SELECT ON public.bodies TO {READER}; RESET ROLE"
    )
    return _found(await _as_me(model, doors, "SELECT body FROM public.bodies"))


@_attempt("a key's conflict tells that the other's id exists (needs INSERT)")
async def _key(model: Model, doors: Doors) -> str:
    there = await doors.owner.fetchval(f"SELECT event_id FROM {_elsewhere(model)} WHERE tenant_id = '{OTHER}' LIMIT 1")
    one = "INSERT INTO events VALUES ($1, $2, '2025-01-07', 'x', 'x', 1, '{}')"
    undone = doors.writer.transaction()
    await undone.start()
    try:
        async with model.of(doors.writer, ME):
            await doors.writer.execute(one, there, ME)
    except asyncpg.UniqueViolationError:
        return LEAKS
    else:
        return HOLDS
    finally:
        await undone.rollback()


@_attempt("the search path names another tenant, by mistake")
async def _path(model: Model, doors: Doors) -> str:
    if not model.by_schema:
        return NO_SUCH
    async with doors.reader.transaction():
        await doors.reader.execute(f"SET LOCAL search_path = nowhere, {OTHER}")
        return _found(await _seen(doors.reader, "SELECT body FROM events WHERE tenant_id = $1 OR true", ME))


WORDED: Final = tuple(worded for worded, _ in _ATTEMPTS)


async def battery(model: Model, doors: Doors) -> dict[str, str]:
    """Attempt to what became of it."""
    return {worded: await _made(work, model, doors) for worded, work in _ATTEMPTS}


async def _made(work: Attempt, model: Model, doors: Doors) -> str:
    try:
        return await work(model, doors)
    except asyncpg.OutOfMemoryError:  # more partitions than one statement can lock: it showed nothing
        return REFUSED
