"""The operations port for tests: the real application and policies, in this process, over a scripted state."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
from prometheus_client import CollectorRegistry

from audit.errors import SpoolUnavailable
from audit.event import AuditEvent
from gateway.clock import Clock
from gateway.metrics import GatewayMetrics, SupervisorMetrics
from gateway.ops.app import create_app
from gateway.ops.door import Door
from gateway.snapshot import Snapshot, build_snapshot
from roles.security_context.claims import SecurityContext
from roles.security_context.verifier import ContextVerifier
from tests.builders import plane

PLATFORM = "platform"
ASKER = "integration"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


class Standing:
    """What the port asks of its process."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self.waiting_for: tuple[str, ...] = ()
        self.kids: list[tuple[str, str]] = []
        self.refreshed = 0
        self.broken = False

    @property
    def snapshot(self) -> Snapshot:
        """The one that decides."""
        return self._snapshot

    def kid_unknown(self, issuer: str, kid: str, /) -> None:
        """Remember."""
        self.kids.append((issuer, kid))

    def status(self) -> dict[str, Any]:
        """Something to show, or a fault."""
        if self.broken:
            raise ZeroDivisionError("secret detail")
        return {"workers": []}

    async def refresh_metrics(self) -> None:
        """Count."""
        self.refreshed += 1


class FullEmitter(plane.TappedEmitter):
    """An emitter whose disk can be full."""

    full = False

    def emit_durable(self, event: AuditEvent) -> Any:
        """Refuse while full."""
        if self.full:
            raise SpoolUnavailable("full")
        return super().emit_durable(event)


class Port(msgspec.Struct):
    """A port and everything behind it."""

    client: httpx.AsyncClient
    standing: Standing
    emitter: FullEmitter
    registry: CollectorRegistry
    snapshot: Snapshot

    @property
    def events(self) -> list[AuditEvent]:
        """Every record so far, those of strangers included."""
        self.emitter.emit_due(everything=True)
        return self.emitter.events

    async def exchange(self, asked: dict[str, Any], auth: dict[str, str] | None = None) -> httpx.Response:
        """Ask for a context, as the service `integration` unless told otherwise."""
        return await self.client.post("/context/exchange", json=asked, headers=service() if auth is None else auth)

    def context(self, **changes: Any) -> str:
        """A context that the asking service was sent for a Cashier of acme."""
        return self.snapshot.signer.sign(claims(**changes))

    def believed(self, token: str, audience: str = "order") -> SecurityContext:
        """What the next service makes of a context."""
        verifier = ContextVerifier("lychgate", audience)
        return verifier.verify(token, self.snapshot.signer.trusted_keys(audience), Clock().now())


def claims(**changes: Any) -> SecurityContext:
    """The claims of `Port.context`."""
    now = int(Clock().now())
    good: dict[str, Any] = {
        "iss": "lychgate",
        "aud": ASKER,
        "sub": "u-17",
        "tenant_id": "acme",
        "roles": ("Cashier",),
        "trace_id": TRACE,
        "policy_version": "old",
        "iat": now,
        "exp": now + 60,
        "jti": "d-1",
        "idp": "dev",
    }
    return SecurityContext(**{**good, **changes})


def service(sub: str = ASKER) -> dict[str, str]:
    """The credential of a service."""
    return bearer("Service", PLATFORM, sub=sub)


def bearer(role: str, tenant: str = "acme", **changes: Any) -> dict[str, str]:
    """The credential of someone with a role."""
    return {"authorization": f"Bearer {plane.token(role, tenant_id=tenant, **changes)}"}


@asynccontextmanager
async def port(folder: Path, *, metrics_open: bool = True) -> AsyncIterator[Port]:
    """A port in this process."""
    snapshot = build_snapshot(plane.sources(9002))
    standing = Standing(snapshot)
    emitter = FullEmitter(folder / "spool")
    own = CollectorRegistry()
    metrics = SupervisorMetrics(own)
    door = Door(standing, emitter, Clock(), GatewayMetrics(own, snapshot.services))
    app = create_app(standing, door, own, metrics, metrics_open=metrics_open)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://ops") as client:
        try:
            yield Port(client, standing, emitter, own, snapshot)
        finally:
            await emitter.aclose()
