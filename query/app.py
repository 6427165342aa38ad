"""The composition root of the query process: builds everything, in the order of a read, and serves it.

Called by `lychgate query`. Exit codes: 0 stopped, 1 the store or the spool did not come, 2 it may not start as
configured.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final, Self

import httpx
import structlog
import uvloop
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from prometheus_client import CollectorRegistry

from audit.emit import Emitter
from audit.errors import AuditError
from audit.metrics import EmitMetrics
from audit.metrics.shown import TEXT_TYPE, as_plain, as_text
from audit.private_file import read_private
from audit.redact import WriteRedactor
from audit.settings import AuditSettings, RedactionSettings, StoreSettings
from policies.engine import Engine
from policies.load import build_bundle
from policies.origin import Origin
from policies.watch import read_still
from query import answers
from query.access import Access, View
from query.clock import utc_now
from query.cursor import CursorSigner
from query.cursor_key import cursor_key
from query.errors import NotFit, StoreUnavailable
from query.follow import UNUSABLE, Judging, follow
from query.log import AuditLog
from query.metrics import QueryMetrics
from query.reader import Reader
from query.routes import audit_routes
from query.serve import serve
from query.settings import QuerySettings
from query.views import Views
from roles.errors import RolesError
from roles.load import load_catalogue
from roles.security_context import ContextVerifier, JwksKeys, KeySource, SecretFileKeys, SecurityContextExtractor

_CLASSES: Final = frozenset({"pii", "payment", "secret"})
"""Known even where an installation has configured no paths for them (DESIGN section 4)."""

_KEYS_TIMEOUT_S: Final = 5.0
_LOG: Final = structlog.get_logger(__name__)

Ready = Callable[[], Awaitable[bool]]


@dataclass(frozen=True, slots=True)
class Rules:
    """What decides a read besides the reader: policies, roles, and who else is believed.

    Attributes:
        policies: Where the policies are that decide who sees what.
        roles_file: The role catalogue.
        context_issuer: The `iss` of the gateway's security contexts.
        platform_tenant: The tenant that reads what belongs to none.
        cross_tenant: The setting `tenancy.cross_tenant`.
        strict: The setting `policies.strict`.
        watch: The setting `policies.watch`.
        settle_s: The setting `policies.settle_s`.
        poll_s: The setting `policies.poll_s`.
    """

    policies: Origin
    roles_file: Path
    context_issuer: str
    platform_tenant: str = "platform"
    cross_tenant: bool = False
    strict: bool = False
    watch: bool = True
    settle_s: float = 0.2
    poll_s: float = 5.0

    @property
    def paths(self) -> tuple[Path, ...]:
        """What is read, and watched."""
        return (self.policies.path, *self.policies.public_keys, self.roles_file)

    def read(self) -> Judging:
        """Read policies and roles.

        Raises:
            PoliciesError, RolesError, ValueError, OSError: They cannot be used; the text says which and why.
        """
        texts = self.policies.read()
        bundle = build_bundle(texts.policies, texts.schema)
        name, text = texts.roles or (str(self.roles_file), self.roles_file.read_text(encoding="utf-8"))
        access = Access(
            Engine(bundle, strict=self.strict),
            load_catalogue(text, name),
            platform_tenant=self.platform_tenant,
            cross_tenant=self.cross_tenant,
        )
        return Judging(access, bundle.version, texts.serial)


@dataclass(frozen=True, slots=True)
class _Parts:
    """What is made of files and settings alone, before anything is opened."""

    judging: Judging
    views: Views
    cursors: CursorSigner
    shared_key: SecretFileKeys | None
    store_dsn: str

    @classmethod
    def load(cls, query: QuerySettings, store: StoreSettings, audit: AuditSettings, rules: Rules) -> Self:
        """Read them.

        Raises:
            NotFit: One of them cannot be used; the message says which and why.
        """
        try:
            judging = read_still(rules.read, rules.paths)
            shared_key = None
            if query.context_secret_file is not None:
                shared_key = SecretFileKeys(
                    partial(read_private, query.context_secret_file),
                    clock=lambda: utc_now().timestamp(),
                    monotonic=time.monotonic,
                )
            return cls(
                judging=judging,
                views=configured_views(query, audit.redaction),
                cursors=CursorSigner(cursor_key(query.cursor_key_file)),
                shared_key=shared_key,
                store_dsn=store.dsn(store.reader),
            )
        except UNUSABLE as exc:
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
            redactor=WriteRedactor.of(audit.redaction.rules()),
            metrics=emit_metrics,
        )
        stack.push_async_callback(emitter.aclose)
        client = await stack.enter_async_context(httpx.AsyncClient(timeout=_KEYS_TIMEOUT_S, trust_env=False))
        keys: KeySource = parts.shared_key or JwksKeys(query.jwks_url, client=client, monotonic=time.monotonic)
        metrics = QueryMetrics(registry)
        log = AuditLog(
            access=parts.judging.access,
            reader=reader,
            views=parts.views,
            cursors=parts.cursors,
            sink=emitter,
            metrics=metrics,
            clock=utc_now,
            policy_version=parts.judging.policy_version,
            service=query.context_audience,
            kept_days=audit.retention.of,
        )
        extractor = SecurityContextExtractor(
            ContextVerifier(rules.context_issuer, query.context_audience),
            keys,
            clock=lambda: utc_now().timestamp(),
            reads=True,
        )
        app = create_app(log, extractor, registry=registry, ready=_readiness(keys, reader))
        following = follow(
            log,
            parts.judging,
            partial(read_still, rules.read, rules.paths),
            rules.paths,
            metrics,
            settle_s=rules.settle_s,
            poll_s=rules.poll_s,
        )
        async with _beside(following if rules.watch else None):
            await serve(app, host=query.host, port=query.port, grace_s=query.shutdown_grace_s)


@asynccontextmanager
async def _beside(work: Coroutine[Any, Any, None] | None) -> AsyncIterator[None]:
    """Do some work meanwhile; what the block raises comes out as it is."""
    if work is None:
        yield
        return
    try:
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(work)
            try:
                yield
            finally:
                task.cancel()
    except BaseExceptionGroup as group:
        raise group.exceptions[0] from None


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
        The audit's endpoints behind the extractor; `/healthz`, `/readyz` and `/internal/metrics` without: they
        say nothing about anybody, and the port is not for the public.
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
        return Response(as_text(registry), media_type=TEXT_TYPE)

    @app.get("/internal/metrics.json", include_in_schema=False)
    async def metrics_json() -> Response:
        """The same, for dashboards that want JSON."""
        return JSONResponse(as_plain(registry))

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


def _readiness(keys: KeySource, reader: Reader) -> Ready:
    """Policies are there since the start; the gateway's keys and the store must be there now."""

    async def ready() -> bool:
        try:
            await keys.keys()
        except RolesError:
            return False
        return await reader.ready()

    return ready
