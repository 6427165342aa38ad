"""Signed contexts, and the query API as the gateway meets it."""

import itertools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
from prometheus_client import CollectorRegistry

from audit.codec import decode
from audit.emit import Emitter
from audit.event import AuditEvent
from audit.spool.segment import contents, segments
from query.app import create_app
from query.log import AuditLog
from query.reader import Reader
from roles.security_context import (
    ContextSigner,
    ContextVerifier,
    SecurityContext,
    SecurityContextExtractor,
    StaticKeys,
    new_private_jwk,
)
from tests.builders.registered import registered

ROOT = Path(__file__).parents[2]
TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
SIGNER = ContextSigner("lychgate", 60, {"*": new_private_jwk()}, "EdDSA")
_JTI = itertools.count()

Write = Callable[..., Awaitable[None]]


def context(roles: str, *, sub: str = "ada", tenant: str = "acme", audience: str = "audit", age_s: int = 0) -> str:
    """A signed context, as the gateway sends it."""
    now = int(datetime.now(UTC).timestamp()) - age_s
    return SIGNER.sign(
        SecurityContext(
            iss="lychgate",
            aud=audience,
            sub=sub,
            tenant_id=tenant,
            roles=tuple(roles.split()),
            trace_id=TRACE_ID,
            policy_version="test",
            iat=now,
            exp=now + 60,
            jti=f"test-{next(_JTI)}",
            idp="dev",
        )
    )


@dataclass
class Api:
    """The query API, as the gateway meets it."""

    client: httpx.AsyncClient
    registry: CollectorRegistry
    reader: Reader
    emitter: Emitter
    spool: Path
    raw: dict[str, Any] = field(default_factory=dict)

    async def ask(
        self,
        path: str = "/audit/events",
        roles: str = "Admin",
        *,
        sub: str = "ada",
        tenant: str = "acme",
        method: str = "GET",
        **parameters: Any,
    ) -> httpx.Response:
        """One request with a context; `from_` stands for `from`."""
        params = {name.rstrip("_"): str(value) for name, value in parameters.items()}
        headers = {"X-Security-Context": context(roles, sub=sub, tenant=tenant)}
        return await self.client.request(method, path, params=params, headers=headers)

    async def ids(self, *args: Any, **parameters: Any) -> list[str]:
        """The ids on a page that must be had."""
        response = await self.ask(*args, **parameters)
        assert response.status_code == 200, response.text
        return [event["event_id"] for event in response.json()["data"]]

    def metric(self, name: str, **labels: str) -> float:
        """A counter's value; 0 before its first count."""
        return self.registry.get_sample_value(name, labels) or 0.0

    def recorded(self) -> list[AuditEvent]:
        """The reads on disk, in the order they were recorded."""
        payloads = [record for name in segments(self.spool) for record in contents(self.spool / name.text()).records]
        return registered(decode(payload) for payload in payloads)


MakeApi = Callable[..., Awaitable[Api]]


def client_of(log: AuditLog, registry: CollectorRegistry, reader: Reader) -> httpx.AsyncClient:
    """The application over a log, as the gateway reaches it; contexts of `SIGNER` are believed."""
    keys = StaticKeys(SIGNER.trusted_keys("audit"))
    extractor = SecurityContextExtractor(
        ContextVerifier("lychgate", "audit"), keys, clock=lambda: datetime.now(UTC).timestamp(), reads=True
    )
    app = create_app(log, extractor, registry=registry, ready=reader.ready)
    return httpx.AsyncClient(transport=httpx.ASGITransport(app, raise_app_exceptions=False), base_url="http://audit")
