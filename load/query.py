"""What reading the audit costs: run `python load/query.py [events]`, alone on the machine.

A real PostgreSQL from the wheel, four tenants, every third event a decision with its completion in a row of its own.
Statements run as `audit_reader` under row-level security. Interleaved rounds, medians, so that a busy neighbour hurts
every variant alike. ADRs 0030 to 0032 quote it.
"""

import asyncio
import json
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID

import asyncpg
import msgspec

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from audit.event import Outcome, Severity  # noqa: E402 - after the path
from audit.migrate import migrate  # noqa: E402
from audit.settings import RedactionSettings  # noqa: E402
from lychgate.postgres import PostgresServer  # noqa: E402
from policies.engine import Engine  # noqa: E402
from policies.load import load_bundle  # noqa: E402
from query import sql  # noqa: E402
from query.access import Access, Scope, View  # noqa: E402
from query.app import configured_views  # noqa: E402
from query.filters import Filter, Order  # noqa: E402
from query.history import Row  # noqa: E402
from query.reader import session  # noqa: E402
from query.settings import QuerySettings  # noqa: E402
from roles.load import load_catalogue  # noqa: E402
from roles.model import Principal  # noqa: E402
from tests.builders.audit import make_event  # noqa: E402

ROUNDS = 9
CALLS = 20
PAGE = 50
PASSWORD = "reads"  # noqa: S105 - of a server that is gone in a minute
SCOPE = Scope("tenant-1", ("tenant-1",))

# Two other ways to show two rows as one event, with the same index and the same page.
NOT_EXISTS = """
SELECT e.event_id, e.body, s.body AS completion FROM audit_events e
LEFT JOIN audit_events s ON s.tenant_id = e.tenant_id AND s.event_id = e.event_id AND s.phase = 'completed'
  AND e.phase = 'decided'
WHERE e.tenant_id = $1 AND (e.phase <> 'completed' OR NOT EXISTS (
  SELECT FROM audit_events d WHERE d.event_id = e.event_id AND d.phase = 'decided'))
ORDER BY e.event_id DESC LIMIT $2
"""
DISTINCT = """
WITH page AS (SELECT DISTINCT event_id FROM audit_events WHERE tenant_id = $1 ORDER BY event_id DESC LIMIT $2)
SELECT e.event_id, e.body FROM page JOIN audit_events e USING (event_id) WHERE e.tenant_id = $1
ORDER BY e.event_id DESC, e.phase
"""
FILL = """
INSERT INTO audit_events (event_id, phase, tenant_id, event_type, kind, occurred_at, producer_id, producer_epoch,
  producer_seq, actor_type, actor_id, action, resource_type, resource_id, service, decision, outcome, status, severity,
  trace_id, payload_hash, body)
SELECT id, p.phase, 'tenant-' || n % 4, 'authz.decision.evaluated', 'decision', at, 'gw', 1, n, 'user', 'u-' || n % 500,
  'order:read', 'Order', 'o-' || n, 'order', CASE WHEN n % 50 = 0 THEN 'deny' ELSE 'allow' END,
  CASE WHEN p.phase = 'decided' THEN NULL WHEN n % 100 = 1 THEN 'failure' ELSE 'success' END, 200,
  CASE WHEN n % 1000 = 1 THEN 4 ELSE 1 END, md5(n::text), '\\x00', $2::jsonb
FROM generate_series(1, $1::int) n, LATERAL (
  SELECT now() - n * interval '2 seconds' AS at) m, LATERAL (
  SELECT overlay(audit_id_floor(at)::text placing lpad(n::text, 12, '0') from 25)::uuid AS id) i, LATERAL (
  SELECT unnest(CASE WHEN n % 3 = 0 THEN ARRAY['decided', 'completed'] ELSE ARRAY['single'] END) AS phase) p
"""

Call = Callable[[], Awaitable[object]]


def page(wanted: Filter, order: Order = Order.DESC, *, after: UUID | None = None) -> sql.Statement:
    """A page as the API reads it."""
    return sql.page(wanted, SCOPE, order, after=after, until=datetime.now(UTC), limit=PAGE + 1)


async def statements(reader: "asyncpg.Connection[asyncpg.Record]", count: int) -> dict[str, Call]:
    """The reads, by name."""
    deep = await reader.fetchval(
        "SELECT event_id FROM audit_events WHERE tenant_id = 'tenant-1' ORDER BY event_id DESC OFFSET $1 LIMIT 1",
        count // 8,
    )
    ours = {
        "page, newest first": page(Filter()),
        "page, oldest first": page(Filter(), Order.ASC),
        "page, by a cursor half-way": page(Filter(), after=deep),
        "filter actor": page(Filter(actor="u-1")),
        "filter outcome=failure": page(Filter(outcome=Outcome.FAILURE)),
        "filter severity_gte=error": page(Filter(severity_gte=Severity.ERROR)),
        "one event": sql.one(deep, SCOPE),
    }
    others = {"page, NOT EXISTS": NOT_EXISTS, "page, DISTINCT": DISTINCT}
    calls: dict[str, Call] = {name: partial(reader.fetch, each.text, *each.args) for name, each in ours.items()}
    return calls | {name: partial(reader.fetch, text, "tenant-1", PAGE + 1) for name, text in others.items()}


def work() -> dict[str, Callable[[], object]]:
    """What the process does besides, by name."""
    catalogue = load_catalogue((ROOT / "roles/roles.toml").read_text(encoding="utf-8"), "roles.toml")
    engine = Engine(load_bundle(ROOT / "policies"))
    access = Access(engine, catalogue, platform_tenant="platform", cross_tenant=False)
    views = configured_views(QuerySettings(), RedactionSettings())
    now = datetime.now(UTC)
    body = msgspec.json.encode(make_event(details={"email": "a@example.com", "items": [{"sku": "S1", "n": 2}] * 3}))
    rows = [Row(UUID(int=1), "t", "decision", "acme", now, body.decode()) for _ in range(PAGE)]
    masked = views.present(View.MASKED, rows).events
    return {
        **{
            f"grant, {role}": partial(access.grant, Principal("dev", "acme", "ada", (role,)), None, None, now)
            for role in catalogue.offered
        },
        f"show {PAGE} events in full": partial(views.present, View.FULL, rows),
        f"show {PAGE} events masked": partial(views.present, View.MASKED, rows),
        f"encode {PAGE} events": partial(msgspec.json.encode, masked),
    }


async def measured(calls: dict[str, Call]) -> dict[str, float]:
    """Microseconds a call: medians of interleaved rounds."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(ROUNDS):
        for name, call in calls.items():
            began = time.perf_counter()
            for _ in range(CALLS):
                await call()
            times[name].append((time.perf_counter() - began) / CALLS * 1e6)
    return {name: round(statistics.median(each), 1) for name, each in times.items()}


def awaited(call: Callable[[], object]) -> Call:
    """A plain call as the others are."""

    async def run() -> object:
        return call()

    return run


async def main(dsn: str, count: int) -> None:
    """Fill, measure, print one JSON object."""
    await migrate(dsn, reader_password=PASSWORD)
    owner = await asyncpg.connect(dsn)
    await owner.execute("SELECT audit_make_partitions(now() - $1::int * interval '2 seconds', now())", count)
    await owner.execute(FILL, count, msgspec.json.encode(make_event()).decode())
    await owner.execute("VACUUM ANALYZE audit_events")
    await owner.close()
    parts = urlsplit(dsn)
    login = parts._replace(netloc=f"audit_reader:{PASSWORD}@{parts.hostname}:{parts.port}").geturl()
    reader = await asyncpg.connect(login, server_settings=session(5.0))
    async with reader.transaction(readonly=True):
        await reader.execute(sql.TENANT, "tenant-1")
        store = await measured(await statements(reader, count))
    process = await measured({name: awaited(call) for name, call in work().items()})
    await reader.close()
    facts = {"machine": platform.platform(), "python": platform.python_version(), "cedarpy": version("cedarpy")}
    print(json.dumps({**facts, "events": count, "store_us": store, "process_us": process}, indent=2))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="lychgate-load-") as folder:
        Path(folder).chmod(0o711)  # under root the server runs as a user who must get in
        server = PostgresServer(Path(folder) / "postgres")
        try:
            server.start()
            asyncio.run(main(server.dsn(), int(sys.argv[1]) if len(sys.argv) > 1 else 400_000))
        finally:
            server.stop()
