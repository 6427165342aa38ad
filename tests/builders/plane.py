"""A data plane for tests: real sockets, the real policies and roles, a real spool, a scripted service behind it.

What a worker is, without the process around it; `tests/gateway/supervisor` has that.
"""

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

from audit.codec import decode
from audit.emit import Emitter
from audit.event import AuditEvent
from gateway.clock import Clock
from gateway.control import HopsConfig
from gateway.forward.upstreams import Upstreams
from gateway.identify.refusal import UnknownKey
from gateway.limits import Limits
from gateway.metrics import GatewayMetrics
from gateway.serve.connection import ClientConnection
from gateway.serve.front import TlsFront
from gateway.serve.server import Server
from gateway.serve.tls import server_context
from gateway.snapshot import build_snapshot
from gateway.sources import ContextSource, FrontTls, IssuerKeys, IssuerSource, ServiceSource, SourceFile, Sources
from roles.security_context.keys import new_private_jwk
from tests.builders import tokens
from tests.builders.patience import PATIENCE_S
from tests.builders.registered import registered
from tests.servers.upstream import Upstream, upstream

ROOT = Path(__file__).resolve().parents[2]
ISSUER = IssuerSource(name="dev", iss=tokens.ISS, audiences=(tokens.AUDIENCE,), algorithms=tokens.ALGORITHMS)
TOKEN_S = 3600
"""How long a token holds: longer than a run of all tests, because some are minted when a module is read."""
ROUTES = """
[[route]]
id = "order.list"
method = "GET"
path = "/orders"
service = "order"
action = "order:list"
resource = { type = "Order" }

[[route]]
id = "order.read"
method = "GET"
path = "/orders/{order_id}"
service = "order"
action = "order:read"
resource = { type = "Order", id = "{order_id}" }

[[route]]
id = "order.create"
method = "POST"
path = "/orders"
service = "order"
action = "order:create"
resource = { type = "Order" }

[[route]]
id = "order.in-tenant"
method = "GET"
path = "/tenants/{tenant}/orders"
service = "order"
action = "order:list"
resource = { type = "Order" }
tenant = { path = "tenant" }

[[route]]
id = "payment.refund"
method = "POST"
path = "/payments/{payment_id}/refund"
service = "order"
action = "payment:refund"
resource = { type = "Payment", id = "{payment_id}" }
context = { amount = { from = "body", pointer = "/amount" } }
tenant_pointers = []

[[route]]
id = "product.browse"
method = "GET"
path = "/catalog/{tenant}/products"
service = "order"
action = "product:browse"
resource = { type = "Product" }
tenant = { path = "tenant" }
anonymous = true

[[route]]
id = "product.import"
method = "POST"
path = "/products/import"
service = "order"
action = "product:import"
resource = { type = "Product" }
"""


def source_file(path: Path) -> SourceFile:
    """A file of the repository as a source."""
    return SourceFile(path.name, path.read_text(encoding="utf-8"))


def sources(
    port: int, *, routes: str = ROUTES, cross_tenant: bool = False, redacted_fields: str = "mask", **said: Any
) -> Sources:
    """Sources with the real policies and roles, whose only service listens on `port`; `said` is said of it."""
    return Sources(
        policies=tuple(source_file(path) for path in sorted((ROOT / "policies").glob("*.cedar"))),
        schema=source_file(ROOT / "policies" / "schema.cedarschema"),
        roles=source_file(ROOT / "roles" / "roles.toml"),
        routes=SourceFile("routes.toml", routes),
        issuers=(ISSUER,),
        keys=(IssuerKeys("dev", tokens.jwks(tokens.signing_key().public())),),
        services=(ServiceSource(name="order", addresses=(f"127.0.0.1:{port}",), **said),),
        context=ContextSource(issuer="lychgate", private_jwk=new_private_jwk()),
        cross_tenant=cross_tenant,
        redacted_fields=redacted_fields,
    )


def token(role: str = "Cashier", **changes: Any) -> str:
    """A token that holds now."""
    now = int(time.time())
    return tokens.mint(**{"roles": [role], "iat": now - 5, "exp": now + TOKEN_S, **changes}).decode()


class TappedEmitter(Emitter):
    """The real emitter, and a list of what went into it."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "test-gateway")
        self.events: list[AuditEvent] = []

    def emit(self, event: AuditEvent, *, durable: bool = False, folded: int = 0) -> bool:
        """Emit, and remember."""
        self.events.append(event)
        return super().emit(event, durable=durable, folded=folded)

    def emit_durable(self, event: AuditEvent) -> asyncio.Future[None]:
        """Emit, and remember."""
        self.events.append(event)
        return super().emit_durable(event)

    def emit_rendered(self, payload: bytes, seq: int, tenant_id: str, *, durable: bool = False) -> bool:
        """Emit, and remember what it says."""
        self.events.append(decode(payload))
        return super().emit_rendered(payload, seq, tenant_id, durable=durable)

    def emit_rendered_durable(self, payload: bytes, seq: int, tenant_id: str, then: Callable[[bool], None]) -> None:
        """Emit, and remember what it says."""
        self.events.append(decode(payload))
        super().emit_rendered_durable(payload, seq, tenant_id, then)

    def close(self, *args: Any, **named: Any) -> bool:
        """As the real one; whatever went into it is as the registry has it."""
        clean = super().close(*args, **named)
        registered(self.events)
        return clean


class Plane:
    """A running data plane.

    Attributes:
        port: Where clients connect.
        service: The scripted service.
        sink: The spool's emitter with what it was given.
        server: The server.
        listener: What accepts.
        unknown_keys: Keys it was asked about and did not have.
        faults: Exceptions nobody foresaw.
        registry: What it counts.
    """

    def __init__(
        self,
        port: int,
        service: Upstream,
        sink: TappedEmitter,
        server: Server,
        listener: asyncio.Server | TlsFront,
    ) -> None:
        self.port = port
        self.service = service
        self.sink = sink
        self.server = server
        self.listener = listener
        self.unknown_keys: list[UnknownKey] = []
        self.faults: list[Exception] = []
        self.registry = CollectorRegistry()

    @property
    def events(self) -> list[AuditEvent]:
        """Every record so far, in the order it was handed over."""
        return self.sink.events

    async def raw(
        self, data: bytes, *, pieces: int = 0, timeout_s: float = PATIENCE_S, source: str = "127.0.0.1"
    ) -> bytes:
        """Send bytes on a fresh connection, in pieces of that size if given, and read until it closes."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, local_addr=(source, 0))
        try:
            for at in range(0, len(data), pieces or len(data) or 1):
                writer.write(data[at : at + (pieces or len(data))])
                await writer.drain()
                if pieces:
                    await asyncio.sleep(0)
            async with asyncio.timeout(timeout_s):
                return await reader.read()
        except ConnectionError:
            return b""
        finally:
            writer.close()

    @contextlib.asynccontextmanager
    async def client(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        """A client's connection, which does not outlive the test, whatever becomes of it."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            yield reader, writer
        finally:
            writer.transport.abort()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def record(self, timeout_s: float = PATIENCE_S) -> AuditEvent:
        """The only record so far; a stranger's refusal is folded for up to a second before it is written."""
        async with asyncio.timeout(timeout_s):
            while not self.events:  # noqa: ASYNC110 - the emitter tells nobody
                await asyncio.sleep(0.01)
        assert len(self.events) == 1, self.events
        [event] = self.events
        return event


def request(
    method: str = "GET",
    target: str = "/orders",
    *,
    auth: str | None = "",
    headers: str = "",
    body: bytes = b"",
    close: bool = True,
) -> bytes:
    """A request's bytes; a Cashier's unless `auth` says otherwise (None: nobody's)."""
    lines = [f"{method} {target} HTTP/1.1", "Host: shop.example"]
    if auth is not None:
        lines.append(f"Authorization: Bearer {auth or token()}")
    if headers:
        lines.append(headers)
    if body:
        lines.append(f"Content-Length: {len(body)}")
    if close:
        lines.append("Connection: close")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body


@contextlib.asynccontextmanager
async def plane(
    folder: Path,
    *,
    limits: Limits | None = None,
    routes: str = ROUTES,
    cross_tenant: bool = False,
    hops: HopsConfig | None = None,
    tls: FrontTls | None = None,
    **said: Any,
) -> AsyncIterator[Plane]:
    """A data plane on a free port of loopback."""
    loop = asyncio.get_running_loop()
    async with upstream() as service, asyncio.TaskGroup() as tasks:
        bounds = limits or Limits()
        registry = CollectorRegistry()
        metrics = GatewayMetrics(registry)
        sink = TappedEmitter(folder / "spool")
        unknown: list[UnknownKey] = []
        faults: list[Exception] = []
        server = Server(
            sink,
            bounds,
            Upstreams(bounds, tasks.create_task, loop, metrics),
            metrics,
            Clock(),
            loop,
            unknown_key=unknown.append,
            fault=lambda exc, _: faults.append(exc),
            hops=hops,
        )
        server.install(build_snapshot(sources(service.port, routes=routes, cross_tenant=cross_tenant, **said)))
        sock = socket.create_server(("127.0.0.1", 0))
        sock.setblocking(False)
        port = sock.getsockname()[1]
        listener: asyncio.Server | TlsFront
        if tls is not None:
            listener = TlsFront(sock, server, server_context(tls), tasks.create_task)
        else:
            listener = await loop.create_server(lambda: ClientConnection(server), sock=sock)
        found = Plane(port, service, sink, server, listener)
        found.unknown_keys, found.faults, found.registry = unknown, faults, registry

        async def ticking() -> None:
            while not server.draining:
                await asyncio.sleep(0.02)
                server.tick()

        tasks.create_task(ticking())
        try:
            yield found
        finally:
            listener.close()
            if isinstance(listener, TlsFront):
                listener.give_up()
            server.drain()
            server.close()
            await sink.aclose()
