"""The services as a process: real sockets, real signals, keys fetched over HTTP, streams both ways."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import FastAPI
from structlog.testing import capture_logs

from audit.emit import Emitter
from audit.settings import AuditSettings, SpoolSettings
from roles.security_context import new_private_jwk
from services.clock import utc_now
from services.run import NAMES, _listening, run
from services.settings import SamplesSettings
from tests.builders.patience import PATIENCE_S
from tests.builders.questions import ROOT
from tests.builders.retail import Retail

START_S = PATIENCE_S
SCRIPT = """
import json, sys
import structlog
from audit.settings import AuditSettings
from services.run import run
from services.settings import SamplesSettings
structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
told = json.loads(sys.argv[1])
sys.exit(run(
    told["names"],
    samples=SamplesSettings.model_validate(told["samples"]),
    audit=AuditSettings.model_validate(told["audit"]),
    ready=lambda ports: print(json.dumps(ports), flush=True),
))
"""


class Process:
    """Services in a process of their own."""

    def __init__(self, spool: Path, names: list[str], **samples: Any) -> None:
        ports = {"ports": dict.fromkeys(NAMES, 0)}
        told = {
            "names": names,
            "samples": {**ports, "heartbeat_s": 0.1, "drain_s": 1, **samples},
            "audit": {"spool": {"folder": str(spool)}},
        }
        self.child = subprocess.Popen(
            [sys.executable, "-c", SCRIPT, json.dumps(told)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def ports(self) -> dict[str, int]:
        """Where each service listens, once all do."""
        assert self.child.stdout is not None
        line = self.child.stdout.readline()
        assert line, f"not started: {self.child.communicate()[1]}"
        found: dict[str, int] = json.loads(line)
        return found

    def ended(self) -> tuple[int, str]:
        """Exit code and standard error."""
        return self.child.wait(START_S), self.child.communicate()[1]

    def close(self) -> None:
        """Leave nothing behind."""
        if self.child.poll() is None:
            self.child.kill()
        self.child.communicate()


@contextmanager
def started(spool: Path, names: list[str], **samples: Any) -> Iterator[Process]:
    """A process for the time of a block."""
    process = Process(spool, names, **samples)
    try:
        yield process
    finally:
        process.close()


@pytest.fixture
async def keys(tmp_path: Path) -> AsyncIterator[tuple[Retail, str]]:
    """A signer of contexts by the present time, and where its public keys are."""
    signing = Retail(tmp_path / "unused")
    signing.clock.at = utc_now()
    app = FastAPI()
    app.add_api_route("/jwks.json", signing.signer.public_jwks)
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off"))
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(server.serve([listener]))
        yield signing, f"http://127.0.0.1:{listener.getsockname()[1]}/jwks.json"
        server.should_exit = True
    listener.close()


async def test_all_seven_serve_and_end_on_sigterm(tmp_path: Path) -> None:
    """One process, seven ports; SIGTERM ends it with 0 and leaves each spool folder with its end mark."""
    with started(tmp_path, ["all"]) as process:
        ports = await asyncio.to_thread(process.ports)
        assert tuple(ports) == NAMES
        async with httpx.AsyncClient(timeout=PATIENCE_S) as client:
            for port in ports.values():
                assert (await client.get(f"http://127.0.0.1:{port}/healthz")).status_code == 200
                shown = (await client.get(f"http://127.0.0.1:{port}/internal/metrics")).text
                assert "audit_queue_capacity_bytes" in shown
                plain = (await client.get(f"http://127.0.0.1:{port}/internal/metrics.json")).json()["families"]
                assert {family["name"] for family in plain} >= {"audit_emitted", "audit_queue_depth"}
        os.kill(process.child.pid, signal.SIGTERM)
        code, _ = await asyncio.to_thread(process.ended)
    assert code == 0
    assert {folder.name for folder in await asyncio.to_thread(lambda: list(tmp_path.iterdir()))} == {
        f"svc-{name}" for name in NAMES
    }
    with started(tmp_path, ["order"]) as successor:
        assert list(await asyncio.to_thread(successor.ports)) == ["order"]
        os.kill(successor.child.pid, signal.SIGINT)
        assert (await asyncio.to_thread(successor.ended))[0] == 0


async def test_a_context_is_verified_with_the_published_key(tmp_path: Path, keys: tuple[Retail, str]) -> None:
    """The service fetches the gateway's public keys and believes what was signed with them, and nothing else."""
    signing, jwks_url = keys
    with started(tmp_path, ["order"], trust={"jwks_url": jwks_url}) as process:
        port = (await asyncio.to_thread(process.ports))["order"]
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE_S) as client:
            path = "/orders/o-1001?x=1"
            good = await client.get(path, headers={"X-Security-Context": signing.context("order", "GET", path)})
            forger = Retail(tmp_path / "forger", clock=signing.clock)
            bad = await client.get(path, headers={"X-Security-Context": forger.context("order", "GET", path)})
    assert (good.status_code, good.json()["id"]) == (200, "o-1001")
    assert (bad.status_code, bad.json()["code"]) == (401, "token_invalid")


async def test_a_service_with_a_secret_asks_nobody_for_keys(tmp_path: Path) -> None:
    """With a shared secret the key set's address is never used."""
    secret = tmp_path / "order.jwk"
    secret.touch(0o600)
    secret.write_text(new_private_jwk("HS256"), encoding="utf-8")
    trust = {"jwks_url": "http://127.0.0.1:1/", "secret_files": {"order": str(secret)}}
    with started(tmp_path / "spool", ["order"], trust=trust) as process:
        port = (await asyncio.to_thread(process.ports))["order"]
        async with httpx.AsyncClient(timeout=PATIENCE_S) as client:
            answer = await client.get(f"http://127.0.0.1:{port}/orders", headers={"X-Security-Context": "a.b.c"})
    assert answer.status_code == 401


async def test_small_answers_on_a_kept_connection_wait_for_nothing() -> None:
    """What is written is sent at once: no body waits the 40 ms of a delayed acknowledgement of its own head.

    The setting and not the time, which a busy machine has its say in; asyncio is what the services run on.
    """
    found: asyncio.Queue[int] = asyncio.Queue()

    async def accepted(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await found.put(writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        writer.close()

    async with AsyncExitStack() as stack:
        listener = _listening(stack, "order", SamplesSettings.model_validate({"ports": dict.fromkeys(NAMES, 0)}))
        await stack.enter_async_context(await asyncio.start_server(accepted, sock=listener))
        _, writer = await asyncio.open_connection(*listener.getsockname())
        assert await asyncio.wait_for(found.get(), PATIENCE_S) == 1
        writer.close()
        await writer.wait_closed()


async def test_a_feed_streams_in_and_an_export_streams_out(tmp_path: Path, keys: tuple[Retail, str]) -> None:
    """Megabytes go in line by line and come out again over real sockets."""
    signing, jwks_url = keys
    count = 20_000

    async def feed() -> AsyncIterator[bytes]:
        for number in range(count):
            row = {"sku": f"ACM-S-{number:06}", "name": "x" * 150, "category": "c", "price": 1, "currency": "EUR"}
            yield json.dumps(row).encode() + b"\n"

    with started(tmp_path, ["product"], trust={"jwks_url": jwks_url}) as process:
        port = (await asyncio.to_thread(process.ports))["product"]
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            token = signing.context("product", "POST", "/products/import")
            taken = await client.post("/products/import", content=feed(), headers={"X-Security-Context": token})
            assert taken.json() == {"created": count, "updated": 0, "rejected": 0, "problems": []}
            token = signing.context("product", "GET", "/products/export")
            lines = 0
            async with client.stream("GET", "/products/export", headers={"X-Security-Context": token}) as answer:
                async for _ in answer.aiter_lines():
                    lines += 1
    assert lines == count + 8


async def test_an_event_stream_ends_with_the_process(tmp_path: Path, keys: tuple[Retail, str]) -> None:
    """A watcher sees that the stream lives and a movement when one happens; it does not hold a stop up."""
    signing, jwks_url = keys
    with started(tmp_path, ["inventory"], trust={"jwks_url": jwks_url}) as process:
        port = (await asyncio.to_thread(process.ports))["inventory"]
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            token = signing.context("inventory", "GET", "/inventory/events")
            async with client.stream("GET", "/inventory/events", headers={"X-Security-Context": token}) as answer:
                assert answer.headers["content-type"].startswith("text/event-stream")
                lines = answer.aiter_lines()
                while await anext(lines) != ": still here":
                    pass
                path = "/inventory/stock/ACM-TUBE-28/receive"
                body = b'{"quantity": 3}'
                headers = {
                    "X-Security-Context": signing.context("inventory", "POST", path, body),
                    "Content-Type": "application/json",
                }
                assert (await client.post(path, content=body, headers=headers)).status_code == 200
                while (line := await anext(lines)) != "event: received":
                    assert line in {"", ": still here"} or line.startswith("id: ")
                os.kill(process.child.pid, signal.SIGTERM)
                code, _ = await asyncio.to_thread(process.ended)
    assert code == 0


def refused(names: list[str], spool: Path, **samples: Any) -> str:
    """Why services are not started; they end with 2, and nothing of them is left."""
    settings = SamplesSettings.model_validate({"ports": dict.fromkeys(NAMES, 0), **samples})
    with capture_logs() as logs:
        code = run(names, samples=settings, audit=AuditSettings(spool=SpoolSettings(folder=spool, lock_wait_s=0)))
    assert code == 2
    (line,) = (entry for entry in logs if entry["event"] == "services_not_started")
    return str(line["problem"])


def test_a_busy_port_is_named(tmp_path: Path) -> None:
    """Somebody else's port stops the start and says which service wanted which port."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = refused(["order"], tmp_path, ports={"order": port})
    assert said.startswith(f"service order cannot listen on 127.0.0.1:{port}")


def test_a_spool_folder_in_use_is_named(tmp_path: Path) -> None:
    """Two processes of one service do not share a spool folder; the second says why it does not start."""
    first = Emitter(tmp_path / "svc-order", "svc-order")
    try:
        assert refused(["order"], tmp_path).startswith("service order has no place for its audit events")
    finally:
        first.close()


def test_a_broken_secret_is_named_by_its_file(tmp_path: Path) -> None:
    """A key file that is missing or holds no key stops the start; what it holds is not repeated."""
    secret = tmp_path / "order.jwk"
    trust = {"secret_files": {"order": str(secret)}}
    assert str(secret) in refused(["order"], tmp_path / "spool", trust=trust)
    secret.touch(0o600)
    secret.write_text('{"kty": "oct", "k": "dG9vIHNob3J0IGEga2V5IQ"}', encoding="utf-8")
    said = refused(["order"], tmp_path / "spool", trust=trust)
    assert str(secret) in said
    assert "dG9vIHNob3J0" not in said


def test_an_unknown_service_is_named(tmp_path: Path) -> None:
    """A name that is none is told, with the names there are."""
    assert refused(["orders"], tmp_path).startswith("no service is called `orders`; there are product, order,")
