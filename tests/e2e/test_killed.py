"""The promise, tried: the gateway is killed in the middle of a burst, and nothing that took effect is missing."""

import asyncio
import contextlib
import os
import signal
from pathlib import Path

import httpx

from tests.builders.patience import PATIENCE_S
from tests.gateway.supervisor.process import Gateway, gone, sections, started, token
from tests.servers.postgres import Logins, Postgres
from tests.servers.upstream import OK, Upstream, Visit, upstream

ENOUGH = 40
CLIENTS = 8


async def burst(gateway: Gateway, method: str, answered: list[str]) -> None:
    """Ask again and again until the gateway is gone; keep the decision ids that were answered."""
    headers = token("Cashier")
    async with httpx.AsyncClient(base_url=gateway.url, headers=headers, timeout=PATIENCE_S, trust_env=False) as client:
        with contextlib.suppress(httpx.TransportError):
            while True:
                answer = await client.request(method, "/orders", content=b"{}" if method == "POST" else None)
                assert answer.status_code == 200, answer.text
                answered.append(answer.headers["x-decision-id"])


def recording(service: Upstream) -> dict[str, str]:
    """Script the service to note each decision it was asked under, and the method; returns the notes."""
    seen: dict[str, str] = {}

    async def script(visit: Visit) -> None:
        while head := await visit.head():
            service.heads.append(head)
            fields = service.fields()  # before anything is awaited: another connection may add the next head
            await visit.reader.readexactly(int(fields.get("content-length", "0")))
            seen[fields["x-decision-id"]] = head.decode("latin-1").partition(" ")[0]
            await visit.answer(OK)

    service.script = script
    return seen


def rows(postgres: Postgres, store: Logins, condition: str) -> set[str]:
    """Event ids in the store."""
    database = store.owner.rpartition("/")[2]
    return set(
        postgres.sql(f"SELECT event_id FROM audit_events WHERE {condition}", database=database).splitlines()  # noqa: S608 - our own words
    )


async def test_a_killed_gateway_has_recorded_whatever_a_service_saw(
    tmp_path: Path, migrated_database: Logins, postgres: Postgres
) -> None:
    """SIGKILL to every process at once; the successor delivers what is on disk and says exactly what is not."""
    async with upstream() as service:
        seen = recording(service)
        configuration = sections(tmp_path, migrated_database.writer, service.port)
        changes: list[str] = []
        reads: list[str] = []
        async with started(configuration, tmp_path) as gateway:
            await gateway.until_ready()
            pids = [gateway.process.pid, *await gateway.pids()]
            async with asyncio.TaskGroup() as clients:
                for _ in range(CLIENTS):
                    clients.create_task(burst(gateway, "POST", changes))
                    clients.create_task(burst(gateway, "GET", reads))
                async with asyncio.timeout(PATIENCE_S):
                    while len(changes) < ENOUGH or len(reads) < ENOUGH:  # noqa: ASYNC110 - the clients tell nobody
                        await asyncio.sleep(0.01)
                for pid in pids:
                    os.kill(pid, signal.SIGKILL)
            assert await gone(pids)
        changed = {decision for decision, method in seen.items() if method == "POST"}
        assert set(changes) <= changed

        async with started(configuration, tmp_path) as gateway:
            await gateway.until_ready()

            async def delivered() -> bool:
                return changed <= rows(postgres, migrated_database, "phase = 'decided'")

            await gateway.until("every change a service saw is in the store", delivered, 20)

            async def told() -> bool:
                stored = rows(postgres, migrated_database, "true")
                missing = set(seen) - stored
                lost = postgres.sql(
                    "SELECT coalesce(sum((body->'details'->>'count')::int), 0) FROM audit_events"
                    " WHERE event_type = 'audit.loss'",
                    database=migrated_database.owner.rpartition("/")[2],
                )
                return len(missing) <= int(lost)

            await gateway.until("what is missing has been counted", told, 20)
            missing = set(seen) - rows(postgres, migrated_database, "true")
            assert not missing & changed, "a change went through without its record"
            assert len(missing) <= ENOUGH, "buffered records are lost only within their window"
            assert await gateway.stop() == 0


async def test_the_service_is_asked_only_after_the_record_is_on_disk(
    tmp_path: Path, migrated_database: Logins, postgres: Postgres
) -> None:
    """Killed from inside the service's handler: the decision that led there is in the store afterwards."""
    async with upstream() as service:
        killed: list[str] = []
        configuration = sections(tmp_path, migrated_database.writer, service.port)
        async with started(configuration, tmp_path) as gateway:
            await gateway.until_ready()
            pids = [gateway.process.pid, *await gateway.pids()]

            async def script(visit: Visit) -> None:
                service.heads.append(await visit.head())
                killed.append(service.fields()["x-decision-id"])
                for pid in pids:
                    os.kill(pid, signal.SIGKILL)

            service.script = script
            with contextlib.suppress(httpx.TransportError):
                await gateway.public.post("/orders", headers=token("Cashier"), content=b"{}")
            assert await gone(pids)
        service.script = None
        assert len(killed) == 1
        async with started(configuration, tmp_path) as gateway:

            async def delivered() -> bool:
                return set(killed) == rows(postgres, migrated_database, "phase = 'decided'")

            await gateway.until("the decision is in the store", delivered, 30)
