"""The operations port as a FastAPI application (DESIGN sections 4 and 8).

Open to anyone: `/healthz`, `/readyz`, `/.well-known/jwks.json` and, unless switched off, `/internal/metrics` and
`/internal/metrics.json`, which is the same. All else needs a bearer token and an allow, and leaves a record. Every
refusal is `{code, missing_role, trace_id}`.
"""

from typing import Any, Protocol

import msgspec
from fastapi import FastAPI, Request, Response
from prometheus_client import CollectorRegistry

from audit.metrics.shown import TEXT_TYPE, as_plain, as_text
from gateway.case import Case
from gateway.errors import BadRequest
from gateway.metrics import SupervisorMetrics
from gateway.model import Identity
from gateway.ops import actions
from gateway.ops.answers import Traced, add_refusals, answer
from gateway.ops.door import Door, Judged
from gateway.ops.exchange import Asked, exchange
from gateway.ops.explain import MAX_BODY_BYTES, Explanations, Reading
from gateway.ops.guard import Guard, read_json
from gateway.route.extract import parse_json


class Operated(Judged, Protocol):
    """What the port shows of the process it is in."""

    @property
    def waiting_for(self) -> tuple[str, ...]:
        """What readiness waits for: `policies`, `workers`, `keys:<issuer>`, `store`, `clock` or `draining`."""

    def status(self) -> dict[str, Any]:
        """Versions, workers, keys and audit, as JSON."""

    async def refresh_metrics(self) -> None:
        """Bring the registry that is shown up to date."""


def create_app(
    operated: Operated,
    door: Door,
    shown: CollectorRegistry,
    metrics: SupervisorMetrics,
    *,
    metrics_open: bool,
    audit: Reading | None = None,
) -> FastAPI:
    """Build the application.

    Args:
        operated: The supervisor.
        door: Decides and records.
        shown: The registry that `/internal/metrics` shows.
        metrics: Where requests to this port are counted.
        metrics_open: Whether it does so without a credential.
        audit: Where decisions are looked up that are to be explained; None for nowhere.
    """
    port = _Port(operated, door, shown, metrics, audit)
    # No pages of its own: they would be answered without a credential.
    app = FastAPI(title="Lychgate operations", openapi_url=None, docs_url=None, redoc_url=None)
    app.add_middleware(Traced)
    add_refusals(app)
    reading = ["GET", "HEAD"]
    app.add_api_route("/healthz", port.healthz, methods=reading)
    app.add_api_route("/readyz", port.readyz, methods=reading)
    app.add_api_route("/.well-known/jwks.json", port.jwks, methods=reading)
    app.add_api_route("/internal/metrics", port.metrics if metrics_open else port.guarded_metrics, methods=["GET"])
    json_form = port.metrics_json if metrics_open else port.guarded_metrics_json
    app.add_api_route("/internal/metrics.json", json_form, methods=["GET"])
    app.add_api_route("/internal/status", port.status, methods=["GET"])
    app.add_api_route("/explain", port.explain, methods=["POST"])
    app.add_api_route("/context/exchange", port.exchange, methods=["POST"])
    return app


class _Port:
    """The endpoints."""

    def __init__(
        self,
        operated: Operated,
        door: Door,
        shown: CollectorRegistry,
        metrics: SupervisorMetrics,
        audit: Reading | None,
    ) -> None:
        self._operated = operated
        self._door = door
        self._shown = shown
        self._metrics = metrics
        self._guard = Guard(door, metrics)
        self._explanations = Explanations(audit)

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

    async def metrics_json(self) -> Response:
        self._metrics.ops_answered("metrics_json", 200)
        return await self._plain()

    # --- behind a token and Cedar

    async def guarded_metrics(self, request: Request) -> Response:
        async def work(*_: object) -> Response:
            return await self._exposition()

        return await self._guard(request, actions.METRICS, "metrics", work)

    async def guarded_metrics_json(self, request: Request) -> Response:
        async def work(*_: object) -> Response:
            return await self._plain()

        return await self._guard(request, actions.METRICS_JSON, "metrics_json", work)

    async def status(self, request: Request) -> Response:
        async def work(*_: object) -> Response:
            return answer(self._operated.status())

        return await self._guard(request, actions.STATUS, "status", work)

    async def exchange(self, request: Request) -> Response:
        details: dict[str, Any] = {}

        async def work(asked: Request, case: Case, caller: Identity) -> Response:
            details["exchanged_by"] = caller.principal.sub
            return await self._exchange(asked, case, caller)

        return await self._guard(request, actions.EXCHANGE, "context_exchange", work, details)

    async def explain(self, request: Request) -> Response:
        details: dict[str, Any] = {}

        async def work(asked: Request, case: Case, _: Identity) -> Response:
            raw = await read_json(asked, MAX_BODY_BYTES)
            case.request_bytes = len(raw)
            now = self._door.text(case.received_at)
            credential = asked.headers["authorization"]  # it was admitted by it
            told, about = await self._explanations.explain(raw, credential, self._operated.snapshot, now)
            details.update(about)
            return answer(told)

        return await self._guard(request, actions.EXPLAIN, "explain", work, details)

    # --- inside

    async def _exchange(self, request: Request, case: Case, caller: Identity) -> Response:
        raw = await read_json(request)
        case.request_bytes = len(raw)
        try:
            asked = msgspec.convert(parse_json(raw), Asked)
        except msgspec.ValidationError as exc:
            raise BadRequest(f"exchange: {exc}") from None
        return answer(msgspec.to_builtins(exchange(case, asked, caller.principal, self._operated.snapshot, self._door)))

    async def _exposition(self) -> Response:
        await self._operated.refresh_metrics()
        return Response(as_text(self._shown), headers={"content-type": TEXT_TYPE, "cache-control": "no-store"})

    async def _plain(self) -> Response:
        await self._operated.refresh_metrics()
        return answer(as_plain(self._shown))
