"""The retail back end for tests: real applications, real contexts, a real spool on disk; no gateway in front.

`Retail.ask` stands where the gateway does: it signs the context that fits the request, unless it is told otherwise.
"""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
from fastapi import FastAPI

from audit.codec import decode
from audit.emit import Emitter
from audit.event import AuditEvent
from audit.producer import AuditProducer
from audit.spool.segment import contents, segments
from lychgate.coverage.observer import Observer
from roles.security_context import (
    Actor,
    ContextSigner,
    ContextVerifier,
    SecurityContext,
    SecurityContextExtractor,
    StaticKeys,
    body_hash,
    new_private_jwk,
    target_hash,
)
from services.app import create_app
from services.desk import Backend
from services.onward import Onward
from services.seed import sample_store
from services.store import Store
from tests.builders.registered import registered

ISSUER = "lychgate"
TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
DECISION_ID = "0192f0c1-1111-7abc-8def-000000000001"
NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


@dataclass
class HandClock:
    """A clock that stands still until it is moved."""

    at: datetime = NOON

    def __call__(self) -> datetime:
        """What time it is."""
        return self.at

    def advance(self, seconds: float) -> None:
        """Move it."""
        self.at += timedelta(seconds=seconds)


@dataclass
class Retail:
    """All seven services over one store, each with its own spool folder."""

    spool: Path
    onward: Onward | None = None
    clock: HandClock = field(default_factory=HandClock)
    private_jwk: str = field(default_factory=new_private_jwk)
    store: Store = field(default_factory=sample_store)
    apps: dict[str, FastAPI] = field(default_factory=dict)
    emitters: dict[str, Emitter] = field(default_factory=dict)
    observer: Observer = field(default_factory=Observer)

    @cached_property
    def signer(self) -> ContextSigner:
        """Signs as the gateway does."""
        return ContextSigner(ISSUER, 60, {"*": self.private_jwk}, "EdDSA")

    def __enter__(self) -> Self:
        """Start nothing yet: a service starts when it is first asked, a test seldom needs all seven."""
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        """Close what was opened."""
        for emitter in self.emitters.values():
            emitter.close()

    def app(self, name: str) -> FastAPI:
        """One service, started when it was not yet."""
        if name not in self.apps:
            emitter = self.emitters[name] = Emitter(self.spool / f"svc-{name}", f"svc-{name}")
            producer = AuditProducer(self.observer.tapped(emitter), service=name)
            backend = Backend(name, self.store, producer, self.clock, self.onward, heartbeat_s=0.05)
            self.apps[name] = create_app(backend, self.extractor(name))
            self.observer.watch(self.apps[name])
        return self.apps[name]

    def extractor(self, service: str) -> SecurityContextExtractor:
        """Of one service, believing this signer."""
        return SecurityContextExtractor(
            ContextVerifier(ISSUER, service),
            StaticKeys(self.signer.trusted_keys(service)),
            clock=lambda: self.clock().timestamp(),
        )

    def context(
        self,
        service: str,
        method: str,
        path: str,
        body: bytes | None = None,
        *,
        tenant: str = "acme",
        sub: str = "u-1",
        roles: tuple[str, ...] = ("Admin",),
        bound: bool | None = None,
        act: str | None = None,
    ) -> str:
        """A signed context; bound to the request unless it only reads or `bound` says otherwise."""
        bind = method not in {"GET", "HEAD"} if bound is None else bound
        now = int(self.clock().timestamp())
        return self.signer.sign(
            SecurityContext(
                iss=ISSUER,
                aud=service,
                sub=sub,
                tenant_id=tenant,
                roles=roles,
                trace_id=TRACE_ID,
                policy_version="0123456789abcdef",
                iat=now,
                exp=now + 60,
                jti=DECISION_ID,
                idp="dev",
                htm=method if bind else None,
                htp=target_hash(path.encode()) if bind else None,
                htb=body_hash(body) if bind and body is not None else None,
                act=Actor(act) if act else None,
            )
        )

    def client(self, service: str) -> httpx.AsyncClient:
        """An HTTP client of one service, without a context."""
        transport = httpx.ASGITransport(self.app(service), raise_app_exceptions=False)
        return httpx.AsyncClient(transport=transport, base_url=f"http://{service}")

    async def ask(self, service: str, method: str, path: str, body: Any = None, **who: Any) -> httpx.Response:
        """One request, as the gateway would forward it."""
        raw = None if body is None else json.dumps(body).encode()
        headers = {
            "X-Security-Context": self.context(service, method, path, raw, **who),
            "X-Decision-Id": DECISION_ID,
        }
        if raw is not None:
            headers["Content-Type"] = "application/json"
        async with self.client(service) as client:
            return await client.request(method, path, content=raw, headers=headers)

    async def events(self, service: str) -> list[AuditEvent]:
        """What the service has recorded, in order; its emitter is closed first, so that everything is on disk."""
        self.app(service)
        await self.emitters[service].aclose()
        folder = self.spool / f"svc-{service}"
        return registered(
            decode(record) for name in segments(folder) for record in contents(folder / name.text()).records
        )
