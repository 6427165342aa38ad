"""Two real gateways over one real Redis, in front of one service that streams, tunnels and answers."""

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

from gateway.wire.websocket import accept
from tests.builders import plane, tunnels
from tests.builders.patience import PATIENCE_S
from tests.gateway.supervisor.process import PLATFORM, Gateway, sections, started, token
from tests.servers.redis import RedisServer
from tests.servers.upstream import OK, Upstream, Visit, upstream

_STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


class Fleet:
    """Two gateways and what they share.

    Attributes:
        folder: Where each has a folder of its own.
        dsn: The store.
        service: Behind both.
        redis: Between them; None for gateways that are alone.
    """

    def __init__(self, folder: Path, dsn: str, service: Upstream, redis: RedisServer | None) -> None:
        self.folder = folder
        self.dsn = dsn
        self.service = service
        self.redis = redis

    def configuration(self, node: str, **revocation: Any) -> dict[str, Any]:
        """Of one gateway."""
        home = self.folder / node
        home.mkdir(exist_ok=True)
        section = self.redis.section if self.redis is not None else {}
        found = sections(
            home,
            self.dsn,
            self.service.port,
            gateway={"node": node, "workers": 1, "drain_s": 1},
            revocation=revocation,
            redis=section,
            context={"key_file": str(self.folder / "context.jwk")},
        )
        (home / "routes.toml").write_text(plane.ROUTES + tunnels.LIVE)
        found["services"]["order"]["websocket"] = {"origins": [tunnels.ORIGIN]}
        return found

    @contextlib.asynccontextmanager
    async def gateway(self, node: str, *, ready: bool = True, **more: Any) -> AsyncIterator[Gateway]:
        """Run one until the block ends."""
        async with started(self.configuration(node, **more), self.folder / node) as found:
            if ready:
                await found.until_ready()
            yield found


@contextlib.asynccontextmanager
async def fleet(folder: Path, dsn: str, redis: RedisServer | None) -> AsyncIterator[Fleet]:
    """Everything but the gateways."""
    async with upstream() as service:
        service.script = serve
        yield Fleet(folder, dsn, service, redis)


async def serve(visit: Visit) -> None:
    """Tunnel, stream, or answer, as the path says."""
    while head := await visit.head():
        if head.startswith(b"GET /live"):
            key = head.lower().index(b"sec-websocket-key: ") + len(b"sec-websocket-key: ")
            text = head[key : head.index(b"\r", key)]
            await visit.answer(tunnels.SWITCHED.replace(accept(tunnels.KEY.encode()), accept(text)))
            await visit.reader.read()
            return
        if head.startswith(b"GET /orders/stream"):
            await visit.answer(_STREAM)
            await visit.reader.read()
            return
        await visit.answer(OK)


def operator() -> dict[str, str]:
    """Who may revoke."""
    return token("SuperAdmin", PLATFORM, sub="root")


def signed_sha256(field: Mapping[str, str]) -> str:
    """How a revocation names the token in an `Authorization` field."""
    return hashlib.sha256(field["authorization"].removeprefix("Bearer ").rpartition(".")[0].encode()).hexdigest()


async def revoke(gateway: Gateway, body: Mapping[str, Any]) -> dict[str, Any]:
    """Have a gateway revoke; returns the answer."""
    answer = await gateway.ops.post("/revocations", json=body, headers=operator())
    assert answer.status_code in {200, 201}, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def status(gateway: Gateway, field: Mapping[str, str], path: str = "/orders") -> int:
    """What a caller is answered."""
    return (await gateway.public.get(path, headers=dict(field))).status_code


async def until_status(gateway: Gateway, field: Mapping[str, str], wanted: int, within_s: float = PATIENCE_S) -> float:
    """Poll until a caller is answered so; returns how long that took, seconds."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    while (found := await status(gateway, field)) != wanted:
        if loop.time() > began + within_s:
            raise AssertionError(f"{found} after {within_s} s, not {wanted}\n{gateway.log}")
        await asyncio.sleep(0.005)
    return loop.time() - began
