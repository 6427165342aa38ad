"""The gateway's real `POST /context/exchange` in front of the retail back end, over ASGI instead of sockets.

Real snapshot, real policies, real keys: what is left out is the supervisor that runs it.
"""

from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from audit.emit import Emitter
from gateway.clock import Clock
from gateway.metrics import GatewayMetrics, SupervisorMetrics
from gateway.ops.app import create_app
from gateway.ops.door import Door
from gateway.snapshot import Snapshot, build_snapshot
from gateway.sources import ContextSource, IssuerKeys, ServiceSource, SourceFile, Sources
from services.app import ROUTERS
from services.onward import Onward
from tests.builders import tokens
from tests.builders.questions import ROOT
from tests.builders.retail import ISSUER, HandClock, Retail

GATEWAY = "gateway.test"


class _ClockAt(Clock):
    """The gateway's clock, showing the back end's time."""

    def __init__(self, clock: HandClock) -> None:
        super().__init__()
        self._clock = clock

    def now(self) -> float:
        """What the back end's clock says."""
        return self._clock().timestamp()


class _Operated:
    """As much of a supervisor as an exchange asks for."""

    waiting_for = ()

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot

    def kid_unknown(self, issuer: str, kid: str) -> None:
        """Nobody fetches keys here."""

    def status(self) -> dict[str, Any]:
        """Nothing to tell."""
        return {}

    async def refresh_metrics(self) -> None:
        """Nothing to refresh."""


class Tokens:
    """A machine token that holds, or whatever it is set to."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.refusals = 0

    async def token(self) -> str:
        """The token."""
        return self.text

    def refused(self) -> None:
        """Counted."""
        self.refusals += 1


class Hosts(httpx.AsyncBaseTransport):
    """Sends each request to the application of its host, and remembers it."""

    def __init__(self, gateway: FastAPI, retail: Retail) -> None:
        self._gateway = gateway
        self._retail = retail
        self.seen: list[httpx.Request] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer it."""
        self.seen.append(request)
        app = self._gateway if request.url.host == GATEWAY else self._retail.app(request.url.host)
        return await httpx.ASGITransport(app, raise_app_exceptions=False).handle_async_request(request)


class Exchange:
    """The operations port with the real policies, and the way of the integration service through it.

    Attributes:
        hosts: Which requests were made.
        tokens: What the integration service proves itself with.
        onward: For `Retail.onward`.
    """

    def __init__(self, retail: Retail, spool: Path) -> None:
        self.retail = retail
        self.emitter = Emitter(spool / "ops", "ops")
        registry = CollectorRegistry()
        operated = _Operated(build_snapshot(_sources(retail)))
        door = Door(operated, self.emitter, _ClockAt(retail.clock), GatewayMetrics(registry))
        app = create_app(operated, door, registry, SupervisorMetrics(CollectorRegistry()), metrics_open=True)
        self.hosts = Hosts(app, retail)
        self.tokens = Tokens(self.token())
        self.http = httpx.AsyncClient(transport=self.hosts)
        self.onward = Onward(self.http, f"http://{GATEWAY}/context/exchange", self.tokens)

    def token(self, **changes: Any) -> str:
        """The machine token of the integration service."""
        now = int(self.retail.clock().timestamp())
        claims = {"sub": "integration", "tenant_id": "platform", "roles": ["Service"], "iat": now, "exp": now + 300}
        return tokens.mint(**{**claims, **changes}).decode()


def _sources(retail: Retail) -> Sources:
    read = {path.name: path.read_text(encoding="utf-8") for path in sorted((ROOT / "policies").glob("*.cedar*"))}
    return Sources(
        policies=tuple(SourceFile(name, text) for name, text in read.items() if name.endswith(".cedar")),
        schema=SourceFile("schema.cedarschema", read["schema.cedarschema"]),
        roles=SourceFile("roles.toml", (ROOT / "roles/roles.toml").read_text(encoding="utf-8")),
        routes=SourceFile("routes.toml", (ROOT / "routes.toml").read_text(encoding="utf-8")),
        issuers=(tokens.source(),),
        keys=(IssuerKeys(tokens.ISSUER, tokens.jwks(tokens.signing_key().public())),),
        services=tuple(ServiceSource(name=name, addresses=(name,)) for name in (*ROUTERS, "audit")),
        context=ContextSource(issuer=ISSUER, alg="EdDSA", private_jwk=retail.private_jwk),
    )
