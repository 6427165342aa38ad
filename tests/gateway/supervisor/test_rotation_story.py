"""Keys of security contexts rotated under a running gateway: real workers, a real service that verifies, real load."""

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import Depends, FastAPI

from roles.errors import ContextRejected
from roles.security_context import ContextVerifier, JwksKeys, SecurityContextExtractor, refuse
from tests.builders import command
from tests.builders.patience import PATIENCE_S
from tests.gateway.supervisor.process import Gateway, sections, started, token
from tests.gateway.supervisor.test_live import metric
from tests.gateway.supervisor.test_reload import Caller, calling, logged
from tests.servers.ports import free_port
from tests.servers.postgres import Logins

CONTEXT = {"ttl_s": 2, "services_cache_s": 1, "poll_s": 0.1}


@pytest.fixture
def store(migrated_database: Logins) -> Iterator[str]:
    """The writer's DSN of a fresh store."""
    return migrated_database.writer


@asynccontextmanager
async def order_service(ops_port: int, port: int) -> AsyncIterator[JwksKeys]:
    """A service that believes what the gateway publishes, and what it asks for keys with."""
    async with httpx.AsyncClient(timeout=PATIENCE_S, trust_env=False) as client:
        keys = JwksKeys(
            f"http://127.0.0.1:{ops_port}/.well-known/jwks.json",
            client=client,
            monotonic=time.monotonic,
            max_age_s=0.5,
            min_interval_s=0.2,
        )
        extractor = SecurityContextExtractor(ContextVerifier("lychgate", "order"), keys, clock=time.time)
        app = FastAPI(dependencies=[Depends(extractor)])
        app.add_exception_handler(ContextRejected, refuse)

        @app.api_route("/orders", methods=["GET", "POST"])
        def orders() -> dict[str, int]:
            return {"orders": 0}

        server = uvicorn.Server(uvicorn.Config(app, port=port, log_config=None, lifespan="off"))
        serving = asyncio.create_task(server.serve())
        while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.01)
        try:
            yield keys
        finally:
            server.should_exit = True
            await serving


async def rotate(folder: Path, *words: str) -> dict[str, Any]:
    """`lychgate keys rotate`, as an operator runs it beside the gateway."""
    config = str(folder / "lychgate.yaml")
    done = await asyncio.to_thread(command.run, "keys", "rotate", "--json", "--config", config, *words)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


async def published(gateway: Gateway) -> list[str]:
    """Ids of the keys at the operations port, the signing one first."""
    return [key["kid"] for key in (await gateway.ops.get("/.well-known/jwks.json")).json()["keys"]]


async def shown(gateway: Gateway, *kids: str, alone: bool = False) -> None:
    """Wait until these are published first, or no others."""

    async def so() -> bool:
        found = await published(gateway)
        return found == list(kids) if alone else found[: len(kids)] == list(kids)

    await gateway.until(f"{kids} published", so)


@asynccontextmanager
async def watched(gateway: Gateway) -> AsyncIterator[list[list[str]]]:
    """Every list of keys that is published meanwhile, once: what is there for a moment is seen whatever we wait for."""
    found: list[list[str]] = []

    async def look() -> None:
        while True:
            now = await published(gateway)
            if found[-1:] != [now]:
                found.append(now)
            await asyncio.sleep(0.05)

    looking = asyncio.ensure_future(look())
    try:
        yield found
    finally:
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)


async def test_two_rotations_lose_no_request(tmp_path: Path, store: str) -> None:
    """The next is published before it signs, the last kept after; two workers change together, no client notices."""
    port = free_port()
    key_file = tmp_path / "keys" / "context.jwk"
    configuration = sections(tmp_path, store, port, context=CONTEXT)
    operator = {"context": {**CONTEXT, "key_file": str(key_file)}}
    (tmp_path / "lychgate.yaml").write_text(json.dumps(operator))
    async with (
        order_service(configuration["ops"]["port"], port),
        started(configuration, tmp_path) as gateway,
    ):
        await gateway.until_ready()
        [first] = await published(gateway)
        public = configuration["gateway"]["port"]
        callers = [Caller(public), Caller(public), Caller(public, method="POST"), Caller(public, method="POST")]
        async with calling(*callers), watched(gateway) as lists:
            signing = first
            for _ in range(2):
                done = await rotate(tmp_path, "--in", "3")
                await shown(gateway, done["kid"], signing)
                assert [signing, done["kid"]] in [kids[:2] for kids in lists]
                signing = done["kid"]
            await shown(gateway, signing, alone=True)
        assert [caller.lost for caller in callers] == [[]] * 4
        assert [set(caller.statuses) for caller in callers] == [{200}] * 4
        assert min(len(caller.statuses) for caller in callers) > 10
        metrics = (await gateway.ops.get("/internal/metrics")).text
        assert metric(metrics, 'lychgate_context_keys{state="current"}') == 1
        assert metric(metrics, 'lychgate_context_keys{state="last"}') == 0
        assert metric(metrics, "lychgate_context_key_since_timestamp_seconds") > 1_700_000_000
        assert metric(metrics, "lychgate_context_keys_end_timestamp_seconds") == 0
        assert metric(metrics, 'lychgate_reload_successful{what="context_keys"}') == 1
        # published, signs and the one before last is over, and the last: the second rotation may come before a third
        assert metric(metrics, 'lychgate_reloads_total{result="installed",what="context_keys"}') >= 5
        status = await gateway.status()
        assert {worker["version"] for worker in status["workers"]} == {status["sources_version"]}
        assert "reload_refused" not in gateway.log
        for key in json.loads(key_file.read_text())["keys"]:
            assert key.get("d", "none of it") not in gateway.log
        assert await gateway.stop() == 0


async def test_a_stolen_key_is_believed_no_more(tmp_path: Path, store: str) -> None:
    """With --now: the old key leaves the set at once; a file others may read changes nothing, and is said once."""
    port = free_port()
    key_file = tmp_path / "keys" / "context.jwk"
    configuration = sections(tmp_path, store, port, context=CONTEXT)
    (tmp_path / "lychgate.yaml").write_text(json.dumps({"context": {**CONTEXT, "key_file": str(key_file)}}))
    async with (
        order_service(configuration["ops"]["port"], port) as keys,
        started(configuration, tmp_path) as gateway,
    ):
        await gateway.until_ready()
        [first] = await published(gateway)
        assert (await gateway.public.get("/orders", headers=token("Cashier"))).status_code == 200
        async with watched(gateway) as lists:
            done = await rotate(tmp_path, "--now")
            await shown(gateway, done["kid"], alone=True)
        assert {first, done["kid"]} not in [set(kids) for kids in lists], "the old key was left for a while"

        async def served() -> bool:
            return (await gateway.public.get("/orders", headers=token("Cashier"))).status_code == 200

        await gateway.until("the service has asked again", served)
        assert (await keys.keys()).get(first) is None
        text = key_file.read_text()
        os.chmod(key_file, 0o644)  # noqa: PTH101 - as an operator's slip
        await logged(gateway, "others may read or write it")
        await asyncio.sleep(0.5)
        assert gateway.log.count("others may read or write it") == 1
        await shown(gateway, done["kid"], alone=True)
        key_file.chmod(0o600)
        key_file.write_text(text.replace('"d"', '"dd"'))  # a public key: nothing that signs
        await logged(gateway, "no private half")
        assert await served()
        key_file.write_text(text)
        assert await gateway.stop() == 0
