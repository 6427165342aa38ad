"""The operations port as a FastAPI application (DESIGN sections 4 and 8).

Open to anyone: `/healthz`, `/readyz`, `/.well-known/jwks.json` and, unless switched off, `/internal/metrics`. All else
needs a bearer token and an allow, and leaves a record. Every refusal is `{code, missing_role, trace_id}`.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol

import msgspec
import structlog
from fastapi import FastAPI, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from gateway.case import Case
from gateway.control import Family
from gateway.errors import BadRequest, GatewayError, Internal, TooLarge, UnsupportedMedia
from gateway.metrics import SupervisorMetrics, families
from gateway.model import Identity, Peer, Route
from gateway.ops import actions
from gateway.ops.answers import Traced, add_refusals, answer, refusal
from gateway.ops.door import Door, Judged
from gateway.ops.exchange import Asked, exchange
from gateway.route.extract import parse_json

MAX_BODY_BYTES: Final = 32 * 1024
"""A context is at most 4 KiB and a path 8 KiB; JSON may escape each byte, but not usefully."""

_Work = Callable[[Request, Case, Identity], Awaitable[Response]]

_log = structlog.get_logger(__name__)


class Operated(Judged, Protocol):
    """What the port shows of the process it is in."""

    @property
    def waiting_for(self) -> tuple[str, ...]:
        """What readiness waits for: `policies`, `workers`, `keys:<issuer>`, `store`, or `draining`."""

    def status(self) -> dict[str, Any]:
        """Versions, workers, keys and audit, as JSON."""

    async def refresh_metrics(self) -> None:
        """Bring the registry that is shown up to date."""


def create_app(
    operated: Operated, door: Door, shown: CollectorRegistry, metrics: SupervisorMetrics, *, metrics_open: bool
) -> FastAPI:
    """Build the application.

    Args:
        operated: The supervisor.
        door: Decides and records.
        shown: The registry that `/internal/metrics` shows.
        metrics: Where requests to this port are counted.
        metrics_open: Whether it does so without a credential.
    """
    port = _Port(operated, door, shown, metrics)
    # No pages of its own: they would be answered without a credential.
    app = FastAPI(title="Lychgate operations", openapi_url=None, docs_url=None, redoc_url=None)
    app.add_middleware(Traced)
    add_refusals(app)
    reading = ["GET", "HEAD"]
    app.add_api_route("/healthz", port.healthz, methods=reading)
    app.add_api_route("/readyz", port.readyz, methods=reading)
    app.add_api_route("/.well-known/jwks.json", port.jwks, methods=reading)
    app.add_api_route("/internal/metrics", port.metrics if metrics_open else port.guarded_metrics, methods=["GET"])
    app.add_api_route("/internal/metrics.json", port.metrics_json, methods=["GET"])
    app.add_api_route("/internal/status", port.status, methods=["GET"])
    app.add_api_route("/context/exchange", port.exchange, methods=["POST"])
    return app


class _Port:
    """The endpoints."""

    def __init__(self, operated: Operated, door: Door, shown: CollectorRegistry, metrics: SupervisorMetrics) -> None:
        self._operated = operated
        self._door = door
        self._shown = shown
        self._metrics = metrics

    # --- open

    async def healthz(self) -> Response:
        self._metrics.ops_answered("healthz", 200)
        return answer({"status": "ok"})

    async def readyz(self) -> Response:
        waiting = self._operated.waiting_for
        status = 503 if waiting else 200
        self._metrics.ops_answered("readyz", status)
        return answer({"ready": not waiting, "waiting_for": waiting}, status)

    async def jwks(self) -> Response:
        self._metrics.ops_answered("jwks", 200)
        keys = answer(self._operated.snapshot.signer.public_jwks())
        keys.headers["cache-control"] = "public, max-age=30"
        return keys

    async def metrics(self) -> Response:
        self._metrics.ops_answered("metrics", 200)
        return await self._exposition()

    # --- behind a token and Cedar

    async def guarded_metrics(self, request: Request) -> Response:
        async def work(*_: object) -> Response:
            return await self._exposition()

        return await self._guarded(request, actions.METRICS, "metrics", work)

    async def metrics_json(self, request: Request) -> Response:
        async def work(*_: object) -> Response:
            await self._operated.refresh_metrics()
            return answer({"families": [_family(family) for family in families(self._shown)]})

        return await self._guarded(request, actions.METRICS_JSON, "metrics_json", work)

    async def status(self, request: Request) -> Response:
        async def work(*_: object) -> Response:
            return answer(self._operated.status())

        return await self._guarded(request, actions.STATUS, "status", work)

    async def exchange(self, request: Request) -> Response:
        return await self._guarded(request, actions.EXCHANGE, "context_exchange", self._exchange)

    # --- inside

    async def _guarded(self, request: Request, route: Route, endpoint: str, work: _Work) -> Response:
        """Admit, do, record, answer."""
        case = self._door.open(route, request.scope["headers"], _peer(request), request.state.trace_id)
        done: Response | None = None
        error: GatewayError | None = None
        details: dict[str, Any] = {}
        try:
            caller = self._door.admit(case)
            if route is actions.EXCHANGE:
                details["exchanged_by"] = caller.principal.sub
            done = await work(request, case, caller)
        except GatewayError as exc:
            error = exc
        except Exception as exc:  # noqa: BLE001 - the edge: what broke is refused and recorded, never let through
            _log.error("ops_failed", endpoint=endpoint, trace_id=case.trace_id, exc_info=exc)
            error = Internal("failed")
        error = await self._door.settle(case, error, details, durable=error is None and route.durable)
        request.state.trace_id = case.trace_id
        if error is not None or done is None:
            done = refusal(error or Internal("no answer"), case.trace_id)
        done.headers["x-decision-id"] = case.event_id
        self._metrics.ops_answered(endpoint, done.status_code)
        return done

    async def _exchange(self, request: Request, case: Case, caller: Identity) -> Response:
        raw = await _body(request)
        case.request_bytes = len(raw)
        try:
            asked = msgspec.convert(parse_json(raw), Asked)
        except msgspec.ValidationError as exc:
            raise BadRequest(f"exchange: {exc}") from None
        return answer(msgspec.to_builtins(exchange(case, asked, caller.principal, self._operated.snapshot, self._door)))

    async def _exposition(self) -> Response:
        await self._operated.refresh_metrics()
        return Response(generate_latest(self._shown), headers={"content-type": CONTENT_TYPE_LATEST})


async def _body(request: Request) -> bytes:
    """The request's body, bounded."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise UnsupportedMedia("body: not application/json")
    received = bytearray()
    async for chunk in request.stream():
        received += chunk
        if len(received) > MAX_BODY_BYTES:
            raise TooLarge("body: longer than its limit")
    return bytes(received)


def _family(family: Family) -> dict[str, Any]:
    samples = [{"name": one.name, "labels": dict(one.labels), "value": one.value} for one in family.samples]
    return {"name": family.name, "help": family.documentation, "kind": family.kind, "samples": samples}


def _peer(request: Request) -> Peer:
    return Peer(request.client.host, request.client.port) if request.client else Peer("unknown", 0)
