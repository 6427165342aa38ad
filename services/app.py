"""One service as an application: its endpoints behind the extractor, its refusals in one shape."""

from types import MappingProxyType

from fastapi import Depends, FastAPI, Response
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from prometheus_client import CollectorRegistry

from audit.metrics.shown import TEXT_TYPE, as_plain, as_text
from roles.security_context import SecurityContextExtractor
from services import answers, customer, integration, inventory, loyalty, order, payment, product
from services.desk import Backend

ROUTERS = MappingProxyType(
    {
        "product": product.router,
        "order": order.router,
        "inventory": inventory.router,
        "loyalty": loyalty.router,
        "payment": payment.router,
        "customer": customer.router,
        "integration": integration.router,
    }
)
"""The seven, by name, in the order of their ports."""


def create_app(
    backend: Backend, extractor: SecurityContextExtractor, registry: CollectorRegistry | None = None
) -> FastAPI:
    """The service `backend.name`.

    Args:
        backend: What it stands on.
        extractor: Stands before every endpoint but `/healthz` and `/internal/metrics`, which no route of the gateway
            leads to.
        registry: What `/internal/metrics` shows.
    """
    app = FastAPI(title=backend.name, docs_url=None, redoc_url=None, openapi_url=None)
    app.state.backend = backend
    extractor.install(app)
    answers.install(app)
    app.add_api_route("/healthz", _healthz, methods=["GET"])
    if registry is not None:
        _show(app, registry)
    guarded = [Depends(extractor)]
    router = ROUTERS[backend.name]
    app.include_router(router, dependencies=guarded)
    for route in router.routes:
        # the gateway decides HEAD as GET and forwards it; FastAPI, unlike Starlette, does not answer it by itself
        if isinstance(route, APIRoute) and "GET" in (route.methods or ()):
            app.add_api_route(route.path, route.endpoint, methods=["HEAD"], dependencies=guarded)
    return app


def _show(app: FastAPI, registry: CollectorRegistry) -> None:
    async def metrics() -> Response:
        """For Prometheus."""
        return Response(as_text(registry), media_type=TEXT_TYPE)

    async def metrics_json() -> Response:
        """The same, for dashboards that want JSON."""
        return JSONResponse(as_plain(registry))

    app.add_api_route("/internal/metrics", metrics, methods=["GET"])
    app.add_api_route("/internal/metrics.json", metrics_json, methods=["GET"])


async def _healthz() -> dict[str, str]:
    """Whether the service is there."""
    return {"status": "ok"}
