"""What the tests of the query API share: the real application over a real store, asked with real contexts."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from audit.codec import encode
from audit.emit import Emitter
from audit.event import AuditEvent
from audit.settings import RedactionSettings, RetentionSettings
from audit.store import Store
from policies.engine import Engine
from policies.load import load_bundle
from query.access import Access
from query.app import configured_views
from query.cursor import CursorSigner
from query.log import AuditLog
from query.metrics import QueryMetrics
from query.reader import Reader
from query.settings import QuerySettings
from roles.load import load_catalogue
from tests.builders.query_api import ROOT, Api, MakeApi, Write, client_of
from tests.servers.postgres import Logins


@pytest.fixture
async def make_api(migrated_database: Logins, tmp_path: Path) -> AsyncIterator[MakeApi]:
    """Builds the application, with other settings where a test is about them."""
    made: list[Api] = []

    async def make(
        *,
        query: QuerySettings | None = None,
        redaction: RedactionSettings | None = None,
        cross_tenant: bool = False,
        statement_timeout_s: float = 30.0,
        retention: RetentionSettings | None = None,
    ) -> Api:
        registry = CollectorRegistry()
        reader = await Reader.connect(
            migrated_database.reader,
            pool_count=2,
            statement_timeout_s=statement_timeout_s,
            acquire_timeout_s=10.0,
            connect_timeout_s=10.0,
        )
        bundle = load_bundle(ROOT / "policies")
        catalogue = load_catalogue((ROOT / "roles/roles.toml").read_text(), "roles.toml")
        emitter = Emitter(spool := tmp_path / f"spool-{len(made)}", "query")
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
            kept_days=(retention or RetentionSettings()).of,
        )
        client = client_of(log, registry, reader)
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
        outcome = await store.write([encode(event) for event in events])
        assert outcome.rows == len(events), outcome
        through = complete_through or datetime.now(UTC)
        await store.report([("writer", 1, -1, 1, int(through.timestamp() * 1000) + 1, False)])

    return written
