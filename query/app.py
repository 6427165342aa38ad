"""The composition root of the query process: builds everything, in the order of a read, and serves it.

Called by `lychgate query`. Exit codes: 0 stopped, 1 the store or the spool did not come, 2 it may not start as
configured.
"""

import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Final, Self

import httpx
import structlog
import uvloop
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from audit.emit import Emitter
from audit.errors import AuditError
from audit.metrics import EmitMetrics
from audit.redact import KeyNames, WriteRedactor
from audit.settings import AuditSettings, RedactionSettings, StoreSettings
from policies.engine import Engine
from policies.errors import PoliciesError
from policies.load import load_bundle
from query import answers
from query.access import Access, View
from query.clock import utc_now
from query.cursor import CursorSigner
from query.cursor_key import cursor_key
from query.errors import NotFit, StoreUnavailable
from query.log import AuditLog
from query.metrics import QueryMetrics
from query.reader import Reader
from query.routes import audit_routes
from query.serve import serve
from query.settings import QuerySettings
from query.views import Views
from roles.errors import RolesError
from roles.load import load_catalogue
from roles.security_context import ContextVerifier, JwksKeys, KeySource, SecurityContextExtractor, StaticKeys
from roles.security_context.keys import TrustedKeys

_CLASSES: Final = frozenset({"pii", "payment", "secret"})
"""Known even where an installation has configured no paths for them (DESIGN section 4)."""

_KEYS_TIMEOUT_S: Final = 5.0
_LOG: Final = structlog.get_logger(__name__)

Ready = Callable[[], Awaitable[bool]]


@dataclass(frozen=True, slots=True)
class Rules:
    """What decides a read besides the reader: policies, roles, and who else is believed.

    Attributes:
        policies_folder: The policies that decide who sees what.
        roles_file: The role catalogue.
        context_issuer: The `iss` of the gateway's security contexts.
        platform_tenant: The tenant that reads what belongs to none.
        cross_tenant: The setting `tenancy.cross_tenant`.
        strict: The setting `policies.strict`.
    """

    policies_folder: Path
    roles_file: Path
    context_issuer: str
    platform_tenant: str = "platform"
    cross_tenant: bool = False
    strict: bool = False


@dataclass(frozen=True, slots=True)
class _Parts:
    """What is made of files and settings alone, before anything is opened."""

    access: Access
    views: Views
    cursors: CursorSigner
    shared_key: StaticKeys | None
    policy_version: str
    store_dsn: str

    @classmethod
    def load(cls, query: QuerySettings, store: StoreSettings, audit: AuditSettings, rules: Rules) -> Self:
        """Read them.

        Raises:
            NotFit: One of them cannot be used; the message says which and why.
        """
        try:
            bundle = load_bundle(rules.policies_folder)
            catalogue = load_catalogue(rules.roles_file.read_text(encoding="utf-8"), str(rules.roles_file))
            shared_key = None
            if query.context_secret_file is not None:
                shared_key = StaticKeys(TrustedKeys.from_secret(query.context_secret_file.read_text(encoding="ascii")))
            return cls(
                access=Access(
                    Engine(bundle, strict=rules.strict),
                    catalogue,
                    platform_tenant=rules.platform_tenant,
                    cross_tenant=rules.cross_tenant,
                ),
                views=configured_views(query, audit.redaction),
                cursors=CursorSigner(cursor_key(query.cursor_key_file)),
                shared_key=shared_key,
                policy_version=bundle.version,
                store_dsn=store.dsn(store.reader),
            )
        except (PoliciesError, RolesError, ValueError, OSError) as exc:
            raise NotFit(str(exc)) from exc


def run(query: QuerySettings, store: StoreSettings, audit: AuditSettings, rules: Rules) -> int:
    """Serve until SIGTERM or SIGINT; what is being read then is still answered.

    Args:
        query: Our own section.
        store: Where the events are, and the reader's login.
        audit: Where reads are recorded, and which fields are of which class.
        rules: What decides a read.

    Returns:
        The exit code.
    """
    try:
        parts = _Parts.load(query, store, audit, rules)
        uvloop.run(_run(parts, query, store, audit, rules))
    except NotFit as exc:
        _LOG.error("query_unfit", reason=str(exc))
        return 2
    except (StoreUnavailable, AuditError, OSError) as exc:
        _LOG.error("query_not_started", reason=str(exc))
        return 1
    return 0


async def _run(parts: _Parts, query: QuerySettings, store: StoreSettings, audit: AuditSettings, rules: Rules) -> None:
    registry = CollectorRegistry()
    async with AsyncExitStack() as stack:
        reader = await Reader.connect(
            parts.store_dsn,
            pool_count=store.pool_max_count,
            statement_timeout_s=store.statement_timeout_s,
            acquire_timeout_s=query.acquire_timeout_s,
            connect_timeout_s=query.connect_timeout_s,
        )
        stack.push_async_callback(reader.close)
        emit_metrics = EmitMetrics(registry)
        emitter = Emitter(
            audit.spool.folder / query.producer,
            query.producer,
            limits=audit.spool.limits(),
            redactor=_write_redactor(audit.redaction),
            metrics=emit_metrics,
        )
        stack.push_async_callback(emitter.aclose)
        client = await stack.enter_async_context(httpx.AsyncClient(timeout=_KEYS_TIMEOUT_S, trust_env=False))
        keys: KeySource = parts.shared_key or JwksKeys(query.jwks_url, client=client, monotonic=time.monotonic)
        log = AuditLog(
            access=parts.access,
            reader=reader,
            views=parts.views,
            cursors=parts.cursors,
            sink=emitter,
            metrics=QueryMetrics(registry),
            clock=utc_now,
            policy_version=parts.policy_version,
            service=query.context_audience,
        )
        extractor = SecurityContextExtractor(
            ContextVerifier(rules.context_issuer, query.context_audience),
            keys,
            clock=lambda: utc_now().timestamp(),
            reads=True,
        )
        app = create_app(log, extractor, registry=registry, ready=_readiness(keys, reader))
        await serve(app, host=query.host, port=query.port, grace_s=query.shutdown_grace_s)


def create_app(
    log: AuditLog, extractor: SecurityContextExtractor, *, registry: CollectorRegistry, ready: Ready
) -> FastAPI:
    """The application.

    Args:
        log: What the endpoints read.
        extractor: Stands before all of them.
        registry: What `/internal/metrics` shows.
        ready: Whether policies, keys and store are there.

    Returns:
        The audit's endpoints behind the extractor; `/healthz`, `/readyz` and `/internal/metrics` without: they say
        nothing about anybody, and the port is not for the public.
    """
    app = FastAPI(
        title="Lychgate audit",
        version="1",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,  # a redirect would send the caller past the gateway, to where we listen
    )
    answers.install(app)
    app.include_router(audit_routes(log, extractor))

    @app.get("/healthz", include_in_schema=False)
    async def healthz() -> Response:
        """Whether the process answers."""
        return PlainTextResponse("ok\n")

    @app.get("/readyz", include_in_schema=False)
    async def readyz(request: Request) -> Response:
        """Whether it can do its work."""
        if await ready():
            return PlainTextResponse("ready\n")
        body = {"code": "audit_unavailable", "missing_role": None, "trace_id": answers.trace_id(request)}
        return JSONResponse(body, status_code=HTTPStatus.SERVICE_UNAVAILABLE)

    @app.get("/internal/metrics", include_in_schema=False)
    async def metrics() -> Response:
        """For Prometheus."""
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_PLAIN_0_0_4)

    return app


def configured_views(query: QuerySettings, redaction: RedactionSettings) -> Views:
    """The views as the two sections describe them.

    Raises:
        ValueError: A view would hide what readers page by, or names a class that nobody knows: a misspelt class must
            not be one that hides nothing.
    """
    for name, view in (("masked", query.views.masked), ("own", query.views.own)):
        if unknown := set(view.classes) - set(redaction.paths) - _CLASSES:
            raise ValueError(f"query.views.{name}.classes: `{min(unknown)}` is no class of audit.redaction.paths")
    treatments = {View.MASKED: query.views.masked.treatment(), View.OWN: query.views.own.treatment()}
    return Views(redaction.paths, treatments, key_names=redaction.key_names)


def _write_redactor(redaction: RedactionSettings) -> WriteRedactor:
    return WriteRedactor(
        redaction.paths,
        mode=redaction.mode,
        at_write=redaction.at_write,
        keys=KeyNames(redaction.key_names),
    )


def _readiness(keys: KeySource, reader: Reader) -> Ready:
    """Policies are there since the start; the gateway's keys and the store must be there now."""

    async def ready() -> bool:
        try:
            await keys.keys()
        except RolesError:
            return False
        return await reader.ready()

    return ready
