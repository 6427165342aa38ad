"""What is counted of records, against the rows of a real store: each once, whoever dies and whatever is sent again."""

import asyncio
import os
import signal
from collections import Counter
from contextlib import suppress
from functools import partial
from pathlib import Path

import asyncpg
import httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.builders.patience import PATIENCE_S
from tests.gateway.supervisor.process import Gateway, sections, started, token
from tests.servers.postgres import Logins, Postgres
from tests.servers.upstream import upstream

READS, WRITES, DENIALS = 60, 30, 15
RECORDS = READS + 2 * WRITES + DENIALS
"""A change is written twice, before and after; all else once."""


async def totals(gateway: Gateway) -> Counter[str]:
    """Each counter of the audit, summed over its labels."""
    text = (await gateway.ops.get("/internal/metrics")).text
    found: Counter[str] = Counter()
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name.startswith("audit_") and sample.name.endswith(("_total", "_count")):
                found[sample.name] += int(sample.value)
    return found


async def traffic(gateway: Gateway) -> None:
    """Reads, changes and refusals of known callers, some at a time."""
    asked = (
        [("GET", "Cashier", 200)] * READS + [("POST", "Cashier", 200)] * WRITES + [("POST", "Auditor", 403)] * DENIALS
    )
    turn = asyncio.Semaphore(8)

    async def ask(method: str, role: str, status: int) -> None:
        async with turn:
            content = b"{}" if method == "POST" else None
            answer = await gateway.public.request(method, "/orders", headers=token(role), content=content)
            assert answer.status_code == status, answer.text

    await asyncio.gather(*(ask(*each) for each in asked))


def workers(gateway: Gateway) -> list[int]:
    """The workers' process ids, as the system knows them: asking the gateway would leave a record."""
    pid = gateway.process.pid
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in children if b"gateway.worker" in _command(child)]


def _command(pid: str) -> bytes:
    """Of a process; nothing where it has ended since it was listed."""
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


WAITING = (
    "SELECT count(*) FROM pg_stat_activity"
    " WHERE usename = 'audit_writer' AND datname = current_database() AND wait_event_type = 'Lock'"
)


async def test_every_record_is_counted_once_at_every_stage(
    tmp_path: Path, migrated_database: Logins, postgres: Postgres
) -> None:
    """N records of two workers are N emitted, N relayed, N ingested and N rows.

    While the connections to the store are cut again and again, after a worker was killed, and after more was written.
    """
    database = migrated_database.owner.rpartition("/")[2]
    cut = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"  # noqa: S608 - the test's own database
        f" WHERE usename = 'audit_writer' AND datname = '{database}'"
    )

    def rows() -> int:
        return int(postgres.sql("SELECT count(*) FROM audit_events", database=database))

    async def cutting(stop: asyncio.Event) -> int:
        times = 0
        while not stop.is_set():
            times += (await asyncio.to_thread(postgres.sql, cut)).count("t")
            await asyncio.sleep(0.05)
        return times

    async with upstream() as service:
        configuration = sections(tmp_path, migrated_database.writer, service.port)
        async with started(configuration, tmp_path) as gateway:
            await gateway.until_ready()
            blocker = await asyncpg.connect(migrated_database.owner)

            async def waits() -> bool:
                return bool(await blocker.fetchval(WAITING))

            async with blocker.transaction():  # so that a batch is under way when the first connection is cut
                await blocker.execute("LOCK TABLE audit_events IN SHARE MODE")
                sending = asyncio.ensure_future(traffic(gateway))
                await gateway.until("a batch is under way", waits)
                assert await blocker.fetch(cut)
            await blocker.close()
            stop = asyncio.Event()
            cuts = asyncio.ensure_future(cutting(stop))
            await sending
            stop.set()
            await cuts

            async def settled(times: int) -> bool:
                now = await totals(gateway)
                return now["audit_events_ingested_total"] + now["audit_duplicates_total"] >= times * RECORDS

            await gateway.until(f"{RECORDS} records counted", partial(settled, 1))
            counted = await totals(gateway)
            assert rows() == RECORDS
            assert counted["audit_emitted_total"] == RECORDS
            assert counted["audit_emit_latency_seconds_count"] == RECORDS
            assert counted["audit_relayed_total"] == RECORDS
            # Where the answer to a commit was cut off the rows are there, and are found to be when they come again.
            assert counted["audit_events_ingested_total"] + counted["audit_duplicates_total"] == RECORDS
            assert counted["audit_relay_failures_total"] > 0
            assert counted["audit_conflicts_total"] == counted["audit_lost_total"] == 0
            assert counted["audit_emit_failures_total"] == 0

            before = workers(gateway)
            os.kill(before[0], signal.SIGKILL)

            async def replaced() -> bool:
                now = workers(gateway)
                return (
                    len(now) == len(before) and before[0] not in now and (await gateway.ops.get("/readyz")).is_success
                )

            await gateway.until("the worker is replaced", replaced)
            after = await totals(gateway)
            assert {name: after[name] for name in counted if after[name] < counted[name]} == {}
            assert after["audit_emitted_total"] == RECORDS

            await gateway.public.aclose()  # half of its connections have died with the worker
            gateway.public = httpx.AsyncClient(base_url=gateway.url, timeout=PATIENCE_S, trust_env=False)
            await traffic(gateway)

            await gateway.until(f"{2 * RECORDS} records counted", partial(settled, 2))
            end = await totals(gateway)
            assert rows() == 2 * RECORDS
            assert end["audit_emitted_total"] == end["audit_relayed_total"] == 2 * RECORDS
            assert end["audit_events_ingested_total"] - counted["audit_events_ingested_total"] == RECORDS
            assert end["audit_duplicates_total"] == counted["audit_duplicates_total"]

            caller = token("Cashier")  # the same bytes each time: the gateway remembers the ruling
            for number in range(6):  # from the second on made from a format
                path = f"/orders/{'ey' + 'JhbGciOiJFUzI1NiJ9'}.{'ey' + 'JzdWIiOiJhIn0'}.c2ln{number % 2}"
                assert (await gateway.public.get(path, headers=caller)).is_success

            async def redacted() -> bool:
                return rows() >= 2 * RECORDS + 6

            await gateway.until("six reads of a resource that is named like a secret", redacted)
            assert (await totals(gateway))["audit_events_redacted_total"] == 6
            told = postgres.sql(
                "SELECT count(*) FROM audit_events WHERE body::text LIKE '%ey' || 'J%'", database=database
            )
            assert told == "0"
            assert await gateway.stop() == 0
