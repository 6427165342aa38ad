"""The doors for tests: the real application, policies and records, in this process, over a scripted state."""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import unquote

import msgspec
from prometheus_client import CollectorRegistry

from audit.event import AuditEvent
from gateway.clock import Clock
from gateway.doors.doors import Doors
from gateway.doors.settings import DoorSettings
from gateway.metrics import GatewayMetrics, SupervisorMetrics
from gateway.ops.app import create_app
from gateway.ops.door import Door
from gateway.settings import GatewaySettings
from gateway.snapshot import Snapshot, build_snapshot
from roles.security_context.claims import SecurityContext
from roles.security_context.verifier import ContextVerifier
from tests.builders import plane
from tests.gateway.ops.port import FullEmitter, Standing

Field = tuple[str, str]
Fields = Sequence[Field]

PROXY = "127.0.0.1"
PEERS = (f"{PROXY}/32",)
ROUTES = (
    plane.ROUTES
    + """
[[route]]
id = "order.feed"
method = "GET"
path = "/orders/feed"
service = "order"
action = "order:list"
resource = { type = "Order" }
websocket = true

[[route]]
id = "order.cards"
method = "GET"
path = "/orders/cards"
service = "order"
action = "order:list"
resource = { type = "Order" }
redact = { payment = ["/card"] }

[[route]]
id = "order.labelled"
method = "GET"
path = "/orders/labelled"
service = "order"
action = "order:list"
resource = { type = "Order" }
pass_authorization = true
"""
)


class Told(msgspec.Struct):
    """An answer as it went out."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def code(self) -> str | None:
        """The code, which must be the same in field and body."""
        code = self.headers.get("x-lychgate-code")
        if self.body:
            assert self.json["code"] == code
        return code

    @property
    def json(self) -> Any:
        """The body."""
        return json.loads(self.body)


class House(msgspec.Struct):
    """Doors and everything behind them."""

    app: Any
    doors: Doors
    standing: Standing
    emitter: FullEmitter
    registry: CollectorRegistry
    snapshot: Snapshot
    proxy: str

    @property
    def events(self) -> list[AuditEvent]:
        """Every record so far, those of strangers included."""
        self.emitter.emit_due(everything=True)
        return self.emitter.events

    @property
    def event(self) -> AuditEvent:
        """The only record."""
        [found] = self.events
        return found

    async def ask(self, method: str, target: bytes, fields: Fields) -> Told:
        """One request to the operations port, to the byte."""
        path, _, query = target.partition(b"?")
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": unquote(path.decode("latin-1")),
            "raw_path": path,
            "query_string": query,
            "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in fields],
            "client": (self.proxy, 5),
            "server": ("ops", 80),
        }
        sent: list[Any] = []

        async def receive() -> Any:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        await self.app(scope, receive, send)
        headers = [(name.decode(), value.decode("latin-1")) for name, value in sent[0]["headers"]]
        assert len(dict(headers)) == len(headers), "no field twice"
        return Told(sent[0]["status"], dict(headers), b"".join(part["body"] for part in sent[1:]))

    async def forward(
        self, method: str = "GET", uri: str = "/orders", *fields: Field, role: str | None = "Cashier"
    ) -> Told:
        """Ask as Traefik does."""
        told = [("X-Forwarded-Method", method), ("X-Forwarded-Uri", uri), *bearer(role), *fields]
        return await self.ask("GET", b"/authz/forward", told)

    async def envoy(
        self, method: str = "GET", target: str = "/orders", *fields: Field, role: str | None = "Cashier"
    ) -> Told:
        """Ask as Envoy does over HTTP."""
        return await self.ask(method, b"/authz/envoy" + target.encode("latin-1"), [*bearer(role), *fields])

    def believed(self, told: Told, audience: str = "order") -> SecurityContext:
        """What a service makes of the context it would be sent."""
        verifier = ContextVerifier("lychgate", audience)
        keys = self.snapshot.signer.trusted_keys(audience)
        return verifier.verify(told.headers["x-security-context"], keys, Clock().now())

    def counted(self, door: str, result: str) -> float:
        """How often a door has answered so."""
        return self.registry.get_sample_value("lychgate_door_checks_total", {"door": door, "result": result}) or 0.0


def bearer(role: str | None, tenant: str = "acme", **changes: Any) -> list[Field]:
    """The credential of someone with a role; none for None."""
    return [("Authorization", f"Bearer {plane.token(role, tenant_id=tenant, **changes)}")] if role else []


@asynccontextmanager
async def house(
    folder: Path,
    *,
    peers: tuple[str, ...] = PEERS,
    proxy: str = PROXY,
    gateway: Mapping[str, Any] = MappingProxyType({}),
    **settings: Any,
) -> AsyncIterator[House]:
    """Doors in this process, asked from `proxy`."""
    snapshot = build_snapshot(plane.sources(9002, routes=ROUTES))
    standing = Standing(snapshot)
    emitter = FullEmitter(folder / "spool")
    own = CollectorRegistry()
    metrics, supervised = GatewayMetrics(own, snapshot.services), SupervisorMetrics(own)
    door = Door(standing, emitter, Clock(), metrics)
    app = create_app(standing, door, own, supervised, metrics_open=True)
    section = DoorSettings(peers=peers, **settings)
    doors = Doors(section, GatewaySettings(**gateway), standing, door, emitter, Clock(), metrics, own)
    try:
        yield House(doors.before(app), doors, standing, emitter, own, snapshot, proxy)
    finally:
        await doors.close()
        await emitter.aclose()
