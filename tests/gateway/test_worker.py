"""A worker as a process of its own, told what to do over the control pipe as the supervisor does."""

import asyncio
import os
import socket
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import msgspec

from gateway.control import (
    AskMetrics,
    Channel,
    Commit,
    Configure,
    Drain,
    Drained,
    FromWorker,
    Hello,
    Install,
    Installed,
    KidUnknown,
    MetricsReply,
    Revoke,
    Revoked,
    ToWorker,
    WorkerConfig,
    supervisor_channel,
)
from gateway.revocations import Revocation
from gateway.sources import SourceFile, Sources, TlsSource
from tests.builders import certificates, plane, tokens, tunnels
from tests.builders.certificates import Authority
from tests.builders.patience import PATIENCE_S
from tests.servers.upstream import Visit, upstream

HEAVY = ("pydantic", "fastapi", "httpx", "typer", "asyncpg", "redis", "aiokafka", "uvicorn", "starlette")
TELLING = ("opentelemetry", "requests", "google.protobuf", "gateway.serve.traced")


class Started:
    """A worker, and the supervisor's end of its pipe."""

    def __init__(self, process: asyncio.subprocess.Process, channel: Channel[ToWorker, FromWorker], port: int) -> None:
        self.process = process
        self.channel = channel
        self.messages = aiter(channel)
        self.url = f"http://127.0.0.1:{port}"

    async def hear(self, within_s: float = PATIENCE_S) -> FromWorker:
        """The next message."""
        async with asyncio.timeout(within_s):
            return await anext(self.messages)

    async def ended(self, within_s: float = PATIENCE_S) -> int:
        """Its exit code, once it has ended by itself."""
        async with asyncio.timeout(within_s):
            return await self.process.wait()


@asynccontextmanager
async def worker(folder: Path) -> AsyncIterator[Started]:
    """A configured worker that has said hello."""
    ours, theirs = socket.socketpair()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        os.set_inheritable(listener.fileno(), True)
        os.set_inheritable(theirs.fileno(), True)
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "gateway.worker",
            str(theirs.fileno()),
            pass_fds=(listener.fileno(), theirs.fileno()),
            cwd=plane.ROOT,
        )
        theirs.close()
        channel = await supervisor_channel(ours)
        found = Started(process, channel, listener.getsockname()[1])
        config = WorkerConfig(
            slot=0,
            listen_fd=listener.fileno(),
            producer_id="w0",
            spool_folder=str(folder / "spool"),
            kid_interval_s=3600,  # longer than any test: once is once
        )
        channel.send(Configure(config))
        try:
            hello = await found.hear()
            assert hello == Hello(process.pid)
            yield found
        finally:
            await channel.close()
            if process.returncode is None:
                process.kill()
            await process.wait()


def broken(sources: Sources) -> Sources:
    """The same with a policy that does not parse."""
    return msgspec.structs.replace(sources, policies=(SourceFile("order.cedar", "permit ("),))


async def get(url: str, **headers: str) -> httpx.Response:
    """One request."""
    async with httpx.AsyncClient(timeout=PATIENCE_S, trust_env=False) as client:
        return await client.get(url, headers=headers)


async def test_a_worker_serves_what_it_was_sent_counts_and_drains(tmp_path: Path) -> None:
    """Install, serve, a bad install that changes nothing, metrics, drain, exit 0."""
    async with upstream() as service, worker(tmp_path) as started:
        sources = plane.sources(service.port)
        started.channel.send(Install(1, sources))
        assert await started.hear() == Installed(1, sources.version)
        allowed = await get(f"{started.url}/orders", authorization=f"Bearer {plane.token()}")
        assert allowed.status_code == 200
        started.channel.send(Install(2, broken(sources)))
        refused = await started.hear()
        assert isinstance(refused, Installed)
        assert (refused.version, refused.problem is not None) == (sources.version, True)
        assert "order.cedar:1" in (refused.problem or "")
        assert (await get(f"{started.url}/orders", authorization=f"Bearer {plane.token()}")).status_code == 200
        started.channel.send(AskMetrics(3))
        reply = await started.hear()
        assert isinstance(reply, MetricsReply)
        counted = {
            sample.name: sample.value
            for family in reply.families
            for sample in family.samples
            if ("service", "order") in sample.labels
        }
        assert counted["lychgate_requests_total"] == 2
        started.channel.send(Drain(5))
        assert await started.hear() == Drained()
        assert await started.ended() == 0
    assert any(path.name.startswith("end") or path.suffix for path in (tmp_path / "spool").iterdir())


async def test_a_revocation_does_not_wait_for_a_snapshot(tmp_path: Path) -> None:
    """It is in force and acknowledged while the next one is built, and holds by that one too; sources stay in order."""
    async with upstream() as service, worker(tmp_path) as started:
        sources = plane.sources(service.port)
        later = msgspec.structs.replace(sources, strict=True)
        field = f"Bearer {plane.token(sub='mia')}"
        known = Revocation(kind="user", issuer="dev", tenant_id="acme", sub="tom", issued_before=4e9)
        started.channel.send(Revoke(1, (known,)))
        assert await started.hear() == Revoked(1), "before there are any sources"
        started.channel.send(Install(2, sources))
        assert await started.hear() == Installed(2, sources.version)
        tom = await get(f"{started.url}/orders", authorization=f"Bearer {plane.token(sub='tom')}")
        assert (tom.status_code, tom.json()["code"]) == (401, "token_invalid")
        assert (await get(f"{started.url}/orders", authorization=field)).status_code == 200
        started.channel.send(Install(3, later))
        started.channel.send(Install(4, sources))
        started.channel.send(Revoke(5, (msgspec.structs.replace(known, sub="mia"),)))
        assert await started.hear() == Revoked(5)
        assert (await get(f"{started.url}/orders", authorization=field)).status_code == 401
        assert await started.hear() == Installed(3, later.version)
        assert await started.hear() == Installed(4, sources.version)
        assert (await get(f"{started.url}/orders", authorization=field)).status_code == 401
        started.channel.send(Install(6, later))
        started.channel.send(Drain(5))
        assert await started.hear() == Drained(), "nobody waits for what is being built then"
        assert await started.ended() == 0


async def test_a_worker_keeps_what_it_has_when_a_certificate_cannot_be_used(tmp_path: Path) -> None:
    """Told to the supervisor with the service's name; requests go on as before."""
    async with upstream() as service, worker(tmp_path) as started:
        sources = plane.sources(service.port)
        started.channel.send(Install(1, sources))
        assert await started.hear() == Installed(1, sources.version)
        [order] = sources.services
        broken_tls = msgspec.structs.replace(order, tls=TlsSource(ca="nothing"))
        started.channel.send(Install(2, msgspec.structs.replace(sources, services=(broken_tls,))))
        refused = await started.hear()
        assert isinstance(refused, Installed)
        assert refused.version == sources.version
        assert "services.order.tls: ca_file" in (refused.problem or "")
        allowed = await get(f"{started.url}/orders", authorization=f"Bearer {plane.token()}")
        assert allowed.status_code == 200


async def test_an_unknown_key_is_reported(tmp_path: Path) -> None:
    """So that the supervisor can fetch it."""
    async with upstream() as service, worker(tmp_path) as started:
        started.channel.send(Install(1, plane.sources(service.port)))
        await started.hear()
        stranger = tokens.mint(tokens.signing_key(kid="k9", which=9)).decode()
        assert (await get(f"{started.url}/orders", authorization=f"Bearer {stranger}")).status_code == 401
        assert await started.hear() == KidUnknown("dev", "k9")
        for _ in range(5):
            await get(f"{started.url}/orders", authorization=f"Bearer {stranger}")
        started.channel.send(AskMetrics(2))
        assert isinstance(await started.hear(), MetricsReply), "a flood of made-up keys is not a flood of questions"


async def test_the_end_of_the_pipe_is_the_end_of_the_worker(tmp_path: Path) -> None:
    """A killed supervisor leaves nobody behind, and the spool ends cleanly."""
    async with upstream() as service, worker(tmp_path) as started:
        started.channel.send(Install(1, plane.sources(service.port)))
        await started.hear()
        await started.channel.close()
        assert await started.ended() == 0


async def test_a_client_that_shakes_hands_when_the_end_comes_is_answered(tmp_path: Path) -> None:
    """It has been accepted: its handshake is waited for, its request answered, and told that it is the last."""
    root = Authority()
    async with upstream() as service, worker(tmp_path) as started:
        plain = plane.sources(service.port)
        started.channel.send(Install(1, msgspec.structs.replace(plain, tls=certificates.source(root.server()))))
        await started.hear()
        port = int(started.url.rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        _, held_writer = await asyncio.open_connection("127.0.0.1", port)  # accepted in order, so after the first
        await held_writer.start_tls(ssl.create_default_context(cadata=root.pem), server_hostname="localhost")
        held_writer.close()
        started.channel.send(Drain(5))
        await asyncio.sleep(0.2)  # the handshake comes while the worker ends
        await writer.start_tls(ssl.create_default_context(cadata=root.pem), server_hostname="localhost")
        writer.write(plane.request(close=False))
        async with asyncio.timeout(PATIENCE_S):
            answer = await reader.read()
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert b"\r\nconnection: close\r\n" in answer
        writer.close()
        assert await started.hear() == Drained()
        assert await started.ended() == 0


async def test_a_certificate_that_cannot_serve_changes_nothing(tmp_path: Path) -> None:
    """The supervisor has checked it; a worker that gets one all the same says no and keeps what it has."""
    root = Authority()
    async with upstream() as service, worker(tmp_path) as started:
        good = msgspec.structs.replace(plane.sources(service.port), tls=certificates.source(root.server()))
        started.channel.send(Install(1, good))
        assert await started.hear() == Installed(1, good.version)
        bad = msgspec.structs.replace(certificates.source(root.server()), private_key=root.server().key_pem)
        started.channel.send(Install(2, msgspec.structs.replace(good, tls=bad)))
        assert await started.hear() == Installed(2, good.version, "certificate and key: key values mismatch")


def test_a_worker_carries_the_data_plane_only() -> None:
    """Nothing of the control side's libraries is imported: a worker is memory times cores."""
    program = f"import sys, gateway.worker; print([name for name in {HEAVY + TELLING!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], cwd=plane.ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


async def test_tunnels_of_a_worker_are_cut_by_its_policies_and_closed_by_its_end(tmp_path: Path) -> None:
    """A real process: a new snapshot that refuses closes all of them with 1008, a drain closes one with 1001."""
    async with upstream() as service, worker(tmp_path) as started:

        async def silent(visit: Visit) -> None:
            await visit.reader.read()

        service.script = tunnels.switching(silent)
        routes = plane.ROUTES + tunnels.LIVE
        allowing = plane.sources(service.port, routes=routes, websocket_origins=(tunnels.ORIGIN,))
        started.channel.send(Install(1, allowing))
        assert await started.hear() == Installed(1, allowing.version)
        port = int(started.url.rpartition(":")[2])
        opened = [await tunnels.live(port) for _ in range(20)]
        forbidding = tunnels.with_forbid(allowing)
        started.channel.send(Install(2, forbidding))
        assert await started.hear() == Installed(2, forbidding.version)
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.gather(*(tunnel.wait_closed() for tunnel in opened))
        assert {tunnel.close_code for tunnel in opened} == {1008}
        started.channel.send(Install(3, allowing))
        assert await started.hear() == Installed(3, allowing.version)
        last = await tunnels.live(port)
        started.channel.send(AskMetrics(4))
        reply = await started.hear()
        assert isinstance(reply, MetricsReply)
        ended = {
            sample.labels: sample.value
            for family in reply.families
            for sample in family.samples
            if sample.name == "lychgate_lasting_ended_total"
        }
        assert {labels: count for labels, count in ended.items() if count} == {
            (("kind", "tunnel"), ("why", "refused")): 20
        }
        started.channel.send(Drain(30))
        assert await started.hear(10) == Drained()
        async with asyncio.timeout(PATIENCE_S):
            await last.wait_closed()
        assert last.close_code == 1001
        assert await started.ended() == 0


async def test_what_is_held_decides_when_it_is_said(tmp_path: Path) -> None:
    """Built and held, the old decides; committed, the new; and a number that nothing is held under changes nothing."""
    async with upstream() as service, worker(tmp_path) as started:
        old = plane.sources(service.port)
        started.channel.send(Install(1, old))
        assert await started.hear() == Installed(1, old.version)
        closed = SourceFile("closed.cedar", '@id("c")\n@reason("closed")\nforbid (principal, action, resource);')
        new = msgspec.structs.replace(old, policies=(*old.policies, closed))
        key = f"Bearer {plane.token()}"
        started.channel.send(Install(2, new, hold=True))
        assert await started.hear() == Installed(2, old.version)
        assert (await get(f"{started.url}/orders", authorization=key)).status_code == 200
        started.channel.send(Commit(3, prepared=1))
        assert await started.hear() == Installed(3, old.version, "nothing is held under this number")
        started.channel.send(Commit(4, prepared=2))
        assert await started.hear() == Installed(4, old.version, "nothing is held under this number")
        for seq in (5, 6):
            started.channel.send(Install(seq, new, hold=True))
            assert await started.hear() == Installed(seq, old.version)
        assert (await get(f"{started.url}/orders", authorization=key)).status_code == 200
        started.channel.send(Commit(7, prepared=6))
        assert await started.hear() == Installed(7, new.version)
        assert (await get(f"{started.url}/orders", authorization=key)).status_code == 403
        started.channel.send(Install(8, broken(new), hold=True))
        refused = await started.hear()
        assert isinstance(refused, Installed)
        assert (refused.version, "order.cedar:1" in (refused.problem or "")) == (new.version, True)
