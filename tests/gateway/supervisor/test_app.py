"""The whole gateway as processes: real supervisor, real workers, real store, real signals."""

import asyncio
import json
import os
import shutil
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.builders import plane, tokens
from tests.builders.patience import PATIENCE_S
from tests.gateway.supervisor.process import gone, sections, started, token
from tests.servers.postgres import Logins, Postgres
from tests.servers.upstream import upstream


@pytest.fixture
def store(migrated_database: Logins) -> Iterator[str]:
    """The writer's DSN of a fresh store."""
    return migrated_database.writer


async def test_serves_records_and_stops_clean(tmp_path: Path, migrated_database: Logins, postgres: Postgres) -> None:
    """Ready, a decided and forwarded request, its row in the store, and after SIGTERM nothing is left."""
    async with upstream() as service:
        configuration = sections(tmp_path, migrated_database.writer, service.port)
        async with started(configuration, tmp_path) as gateway:
            await gateway.until_ready()
            pids = await gateway.pids()
            answer = await gateway.public.get("/orders", headers=token("Cashier"))
            assert answer.status_code == 200
            fields = service.fields()
            assert fields["x-tenant-id"] == "acme"
            assert (await gateway.ops.get("/.well-known/jwks.json")).json()["keys"][0]["kty"] == "OKP"
            refused = await gateway.public.get("/orders", headers=token("Auditor"))
            assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
            assert await gateway.stop() == 0
            assert await gone(pids)
        assert "worker_killed" not in gateway.log
        with (
            pytest.raises(ConnectionRefusedError),
            socket.create_connection(("127.0.0.1", configuration["ops"]["port"])),
        ):
            pass
    database = migrated_database.owner.rpartition("/")[2]
    rows = postgres.sql(
        "SELECT action, decision, producer_id LIKE 'test-w_' FROM audit_events WHERE action = 'order:list' ORDER BY 2",
        database=database,
    )
    assert sorted(set(rows.splitlines())) == ["order:list|allow|t", "order:list|deny|t"]
    status = postgres.sql(
        "SELECT count(*) FROM audit_events WHERE action = 'ops:status' AND producer_id = 'test-supervisor'",
        database=database,
    )
    assert int(status) >= 1, "what is decided at the operations port is recorded too"
    ended = postgres.sql("SELECT bool_and(ended) FROM audit_producers", database=database)
    assert ended == "t", "every producer left its end mark"


async def test_a_killed_worker_is_replaced_while_the_gateway_serves(tmp_path: Path, store: str) -> None:
    """After SIGKILL of a worker requests are answered, its slot is filled again, and counters have not gone down."""
    async with upstream() as service, started(sections(tmp_path, store, service.port), tmp_path) as gateway:
        await gateway.until_ready()
        before = await gateway.pids()
        for _ in range(20):
            assert (await gateway.public.get("/orders", headers=token("Cashier"))).status_code == 200
        counted = await _requests(gateway.ops)
        assert counted == 20
        os.kill(before[0], signal.SIGKILL)

        async def replaced() -> bool:
            now = await gateway.pids()
            return None not in now and now[0] != before[0] and now[1] == before[1]

        await gateway.until("slot 0 filled again", replaced)
        assert await _requests(gateway.ops) >= counted

        async def serves() -> bool:
            async with httpx.AsyncClient(base_url=gateway.url, trust_env=False, timeout=PATIENCE_S) as fresh:
                return (await fresh.get("/orders", headers=token("Cashier"))).status_code == 200

        await gateway.until("served by a fresh connection", serves)
        metrics = (await gateway.ops.get("/internal/metrics")).text
        assert "lychgate_worker_restarts_total 1.0" in metrics
        assert await gateway.stop() == 0


async def test_a_killed_supervisor_leaves_no_workers(tmp_path: Path, store: str) -> None:
    """SIGKILL of the supervisor ends its workers within moments."""
    async with upstream() as service, started(sections(tmp_path, store, service.port), tmp_path) as gateway:
        await gateway.until_ready()
        pids = await gateway.pids()
        await gateway.stop(signal.SIGKILL)
        assert await gone(pids)


async def test_new_keys_reach_every_worker_without_a_restart(tmp_path: Path, store: str) -> None:
    """A token signed with a key that the issuer has just published holds, and one of a withdrawn key does not."""
    async with upstream() as service, started(sections(tmp_path, store, service.port), tmp_path) as gateway:
        await gateway.until_ready()
        rotated = tokens.signing_key(kid="k2", which=1)

        async def accepted(key: tokens.SigningKey) -> bool:
            async with httpx.AsyncClient(base_url=gateway.url, trust_env=False, timeout=PATIENCE_S) as fresh:
                minted = plane.token("Cashier", key=key)
                answer = await fresh.get("/orders", headers={"authorization": f"Bearer {minted}"})
                return answer.status_code == 200

        assert not await accepted(rotated)
        (tmp_path / "jwks.json").write_text(tokens.jwks(rotated.public()))
        await gateway.until("the new key holds", lambda: accepted(rotated))

        async def old_is_out() -> bool:
            return not any([await accepted(tokens.signing_key()) for _ in range(4)])

        await gateway.until("the old key is out", old_is_out)
        assert await gateway.stop() == 0


async def test_readiness_says_what_is_missing(tmp_path: Path, store: str) -> None:
    """Without an issuer's keys and without a store the gateway is alive, not ready, and says why."""
    async with upstream() as service:
        configuration = sections(tmp_path, store, service.port, store={"port": 1})
        (tmp_path / "jwks.json").unlink()
        async with started(configuration, tmp_path) as gateway:

            async def waiting() -> bool:
                try:
                    answer = await gateway.ops.get("/readyz")
                except httpx.TransportError:
                    return False
                return answer.status_code == 503 and answer.json()["waiting_for"] == ["keys:dev", "store"]

            await gateway.until("only keys and store are missing", waiting)
            assert (await gateway.ops.get("/healthz")).status_code == 200
            assert await gateway.stop() == 0, "a stop does not wait for a store that is not there"
            assert "audit_left_in_spool" not in gateway.log or "delivered" in gateway.log


async def test_an_event_survives_the_store_being_away(
    tmp_path: Path, migrated_database: Logins, postgres: Postgres
) -> None:
    """What was decided while the store was away is delivered by the next start."""
    async with upstream() as service:
        away = sections(tmp_path, migrated_database.writer, service.port, store={"port": 1})
        async with started(away, tmp_path) as gateway:

            async def serving() -> bool:
                try:
                    answer = await gateway.public.post("/orders", headers=token("Cashier"), json={"sku": "a"})
                except httpx.TransportError:
                    return False
                return answer.status_code == 200

            await gateway.until("serves without the store", serving)
            assert await gateway.stop() == 0
        back = sections(tmp_path, migrated_database.writer, service.port)
        async with started(back, tmp_path) as gateway:
            await gateway.until_ready()
            database = migrated_database.owner.rpartition("/")[2]

            async def delivered() -> bool:
                statement = "SELECT count(*) FROM audit_events WHERE action = 'order:create' AND decision = 'allow'"
                return int(await asyncio.to_thread(postgres.sql, statement, database=database)) == 1

            await gateway.until("delivered", delivered)
            assert await gateway.stop() == 0


async def test_a_bad_policy_stops_the_start_with_file_and_line(tmp_path: Path, store: str) -> None:
    """The gateway does not start on a policy with an error, exits 2, and names the place; nothing listens."""
    shutil.copytree(
        plane.ROOT / "policies", tmp_path / "policies", ignore=shutil.ignore_patterns("*.py", "__pycache__")
    )
    bad = tmp_path / "policies" / "order.cedar"
    bad.write_text(
        bad.read_text()
        + '\n@id("broken")\n@reason("x")\npermit (principal, action, resource) when { context.nonsense };\n'
    )
    line = len(bad.read_text().splitlines())
    configuration = sections(tmp_path, store, 1, policies={"folder": str(tmp_path / "policies")})
    async with started(configuration, tmp_path) as gateway:
        assert await gateway.process.wait() == 2
        assert any(f"order.cedar:{n}:" in gateway.log for n in range(line - 3, line + 1)), gateway.log
        assert "Traceback" not in gateway.log


async def test_a_busy_port_is_named(tmp_path: Path, store: str) -> None:
    """A public port that somebody else has stops the start with its number."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        async with started(sections(tmp_path, store, 1, gateway={"port": port}), tmp_path) as gateway:
            assert await gateway.process.wait() == 2
            assert f"127.0.0.1:{port}" in gateway.log
            assert "Traceback" not in gateway.log


async def test_a_login_that_is_too_powerful_stops_the_gateway(tmp_path: Path, migrated_database: Logins) -> None:
    """With the owner's login row-level security would hold nothing: the gateway ends with 2 and names the login."""
    async with started(sections(tmp_path, migrated_database.owner, 1), tmp_path) as gateway:
        async with asyncio.timeout(PATIENCE_S):
            assert await gateway.process.wait() == 2
        assert "database login" in gateway.log


async def test_a_second_gateway_on_the_same_spool_is_refused(tmp_path: Path, store: str) -> None:
    """Two supervisors never write the same spool folder: the second exits 2 and says who has it."""
    async with upstream() as service, started(sections(tmp_path, store, service.port), tmp_path) as first:
        await first.until_ready()
        second_folder = tmp_path / "second"
        second_folder.mkdir()
        configuration = sections(second_folder, store, service.port)
        configuration["audit"] = {"spool": {"folder": str(tmp_path / "spool")}}
        async with started(configuration, second_folder) as second:
            assert await second.process.wait() == 2
            assert "is owned by pid" in second.log
        assert (await first.public.get("/orders", headers=token("Cashier"))).status_code == 200
        assert await first.stop() == 0


async def test_a_second_signal_does_not_wait(tmp_path: Path, store: str) -> None:
    """While a slow exchange holds a drain up, a second signal ends everything at once."""
    async with upstream() as service:
        held = asyncio.Event()

        async def hold(visit: object) -> None:
            await visit.head()  # type: ignore[attr-defined]
            held.set()
            await asyncio.sleep(60)

        service.script = hold
        configuration = sections(tmp_path, store, service.port, gateway={"drain_s": 30})
        async with started(configuration, tmp_path) as gateway:
            await gateway.until_ready()
            pids = await gateway.pids()
            request = asyncio.ensure_future(gateway.public.get("/orders", headers=token("Cashier")))
            await held.wait()
            gateway.process.send_signal(signal.SIGTERM)

            async def draining() -> bool:
                return "draining" in (await gateway.ops.get("/readyz")).json()["waiting_for"]

            await gateway.until("draining", draining)
            assert await gateway.stop(signal.SIGINT, within_s=10) == 0
            assert await gone(pids)
            with pytest.raises(httpx.TransportError):
                await request


async def _requests(ops: httpx.AsyncClient) -> float:
    """How many requests the workers have counted, as a dashboard reads it."""
    answer = await ops.get("/internal/metrics.json")
    found = json.loads(answer.text)["families"]
    family = next(each for each in found if each["name"] == "lychgate_requests")
    return float(sum(sample["value"] for sample in family["samples"]))


@pytest.mark.parametrize(
    ("changes", "journal", "why"),
    [
        ({}, b"00000000 {}\n", "test.revocations:1: not as it was written"),
        (
            {"redis": {"url": "redis://127.0.0.1:1", "fleet_key_file": "/nowhere/key"}},
            b"",
            "redis: /nowhere/key: cannot be",
        ),
    ],
)
async def test_what_is_revoked_cannot_be_known(
    tmp_path: Path, store: str, changes: dict[str, dict[str, str]], journal: bytes, why: str
) -> None:
    """A damaged journal, or a fleet without its key, stops the start with its place: nobody is let back in."""
    folder = tmp_path / "revocations"
    folder.mkdir()
    (folder / "test.revocations").write_bytes(journal)
    async with started(sections(tmp_path, store, 1, **changes), tmp_path) as gateway:
        assert await gateway.process.wait() == 2
        assert why in gateway.log
        assert "Traceback" not in gateway.log
