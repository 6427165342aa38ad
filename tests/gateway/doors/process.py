"""A real gateway with its doors open, in front of a scripted service, for tests with real proxies and real ports."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
from starlette.requests import Request

from gateway.clock import Clock
from roles.security_context.extractor import RequestContext, SecurityContextExtractor
from roles.security_context.key_source import JwksKeys
from roles.security_context.verifier import ContextVerifier
from tests.builders.patience import PATIENCE_S
from tests.gateway.doors.house import ROUTES
from tests.gateway.supervisor.process import Gateway, sections, started
from tests.servers.ports import free_port
from tests.servers.upstream import Upstream, upstream


class Opened(msgspec.Struct):
    """A gateway with open doors.

    Attributes:
        gateway: The process.
        service: What stands behind gateway and proxies.
        ops: The operations port.
        grpc: ext_authz's port.
    """

    gateway: Gateway
    service: Upstream
    ops: int
    grpc: int

    async def believed(self) -> RequestContext:
        """What the service makes of the request it was sent last, with the keys that the gateway publishes."""
        line, *lines = self.service.heads[-1].decode("latin-1").split("\r\n")[:-2]
        method, target, _ = line.split(" ")
        path, _, query = target.partition("?")
        pairs = [line.split(":", 1) for line in lines]
        fields = [(name.lower().encode(), value.strip().encode()) for name, value in pairs]
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "headers": fields,
        }
        body = self.service.bodies[-1]

        async def receive() -> Any:
            return {"type": "http.request", "body": body, "more_body": False}

        url = f"{self.gateway.ops_url}/.well-known/jwks.json"
        keys = JwksKeys(url, client=self.gateway.ops, monotonic=time.monotonic)
        extractor = SecurityContextExtractor(ContextVerifier("lychgate", "order"), keys, clock=Clock().now)
        return await extractor(Request(scope, receive))


async def exchange(port: int, method: str, target: str, *fields: tuple[str, str], body: bytes = b"") -> httpx.Response:
    """One request to a port of this machine, to the byte, and the whole answer."""
    length = [("Content-Length", str(len(body)))] if body else []
    closing = [] if any(name == "Connection" for name, _ in fields) else [("Connection", "close")]
    lines = [f"{method} {target} HTTP/1.1", "Host: shop.example"]
    lines += [f"{name}: {value}" for name, value in (*fields, *closing, *length)]
    async with asyncio.timeout(PATIENCE_S):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body)
        answer = b""
        with contextlib.suppress(ConnectionResetError):  # who refuses need not read the body
            while piece := await reader.read(65536):
                answer += piece
        writer.close()
    head, _, content = answer.partition(b"\r\n\r\n")
    status, *rest = head.decode("latin-1").split("\r\n")
    headers = [(name, value.strip()) for name, _, value in (line.partition(":") for line in rest)]
    return httpx.Response(int(status.split(" ")[1]), headers=headers, content=content)


@asynccontextmanager
async def opened(folder: Path, store_dsn: str, **doors: Any) -> AsyncIterator[Opened]:
    """Start one; believed is whoever comes from this machine, unless `doors` says otherwise."""
    async with upstream() as service:
        grpc = free_port()
        section = {"peers": ["127.0.0.1/32"], "ext_authz": {"enabled": True, "port": grpc}, **doors}
        configuration = sections(folder, store_dsn, service.port, doors=section, gateway={"workers": 1})
        (folder / "routes.toml").write_text(ROUTES, encoding="utf-8")
        async with started(configuration, folder) as gateway:
            await gateway.until_ready()
            yield Opened(gateway, service, configuration["ops"]["port"], grpc)
            assert await gateway.stop() == 0, gateway.log
