"""What the tests of the query API share: the real application over a real store, asked with real contexts."""

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry

from audit.codec import decode, encode
from audit.emit import Emitter
from audit.event import AuditEvent
from audit.settings import RedactionSettings
from audit.spool.segment import contents, segments
from audit.store import Store
from policies.engine import Engine
from policies.load import load_bundle
from query.access import Access
from query.app import configured_views, create_app
from query.cursor import CursorSigner
from query.log import AuditLog
from query.metrics import QueryMetrics
from query.reader import Reader
from query.settings import QuerySettings
from roles.load import load_catalogue
from roles.security_context import (
    ContextSigner,
    ContextVerifier,
    SecurityContext,
    SecurityContextExtractor,
    StaticKeys,
    new_private_jwk,
)
from tests.servers.postgres import Logins

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
        return [decode(payload) for payload in payloads]


MakeApi = Callable[..., Awaitable[Api]]


@pytest.fixture
async def make_api(migrated_database: Logins, tmp_path: Path) -> AsyncIterator[MakeApi]:
    """Builds the application, with other settings where a test is about them."""
    made: list[Api] = []

    async def make(
        *,
        query: QuerySettings | None = None,
        redaction: RedactionSettings | None = None,
        cross_tenant: bool = False,
        statement_timeout_s: float = 5.0,
    ) -> Api:
        registry = CollectorRegistry()
        reader = await Reader.connect(
            migrated_database.reader,
            pool_count=2,
            statement_timeout_s=statement_timeout_s,
            acquire_timeout_s=1.0,
            connect_timeout_s=5.0,
        )
        bundle = load_bundle(ROOT / "policies")
        catalogue = load_catalogue((ROOT / "roles/roles.toml").read_text(), "roles.toml")
        spool = tmp_path / f"spool-{len(made)}"
        emitter = Emitter(spool, "query")
        log = AuditLog(
            access=Access(Engine(bundle), catalogue, platform_tenant="platform", cross_tenant=cross_tenant),
            reader=reader,
            views=configured_views(query or QuerySettings(), redaction or RedactionSettings()),
            cursors=CursorSigner(bytes(32)),
            sink=emitter,
            metrics=QueryMetrics(registry),
            clock=lambda: datetime.now(UTC),
            policy_version=bundle.version,
            service="audit",
        )
        keys = StaticKeys(SIGNER.trusted_keys("audit"))
        extractor = SecurityContextExtractor(
            ContextVerifier("lychgate", "audit"), keys, clock=lambda: datetime.now(UTC).timestamp(), reads=True
        )
        app = create_app(log, extractor, registry=registry, ready=reader.ready)
        client = httpx.AsyncClient(
            transport=httpx.ASGITransport(app, raise_app_exceptions=False), base_url="http://audit"
        )
        made.append(Api(client, registry, reader, emitter, spool))
        return made[-1]

    yield make
    for api in made:
        await api.client.aclose()
        await api.reader.close()
        await api.emitter.aclose()


@pytest.fixture
async def api(make_api: MakeApi) -> Api:
    """The application as it ships."""
    return await make_api()


@pytest.fixture
async def store(migrated_database: Logins) -> AsyncIterator[Store]:
    """The writer's side of the same store."""
    made = Store(migrated_database.writer)
    yield made
    await made.close()


@pytest.fixture
def write(store: Store) -> Write:
    """Writes events the way the relay does, and says that everything until now is there."""

    async def written(*events: AuditEvent, complete_through: datetime | None = None) -> None:
        payloads: Sequence[bytes] = [encode(event) for event in events]
        outcome = await store.write(payloads)
        assert outcome.rows == len(events), outcome
        through = complete_through or datetime.now(UTC)
        await store.report([("writer", 1, -1, 1, int(through.timestamp() * 1000) + 1, False)])

    return written
