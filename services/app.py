"""One service as an application: its endpoints behind the extractor, its refusals in one shape."""

from types import MappingProxyType

from fastapi import Depends, FastAPI
from fastapi.routing import APIRoute

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


def create_app(backend: Backend, extractor: SecurityContextExtractor) -> FastAPI:
    """The service `backend.name`.

    Args:
        backend: What it stands on.
        extractor: Stands before every endpoint but `/healthz`.
    """
    app = FastAPI(title=backend.name, docs_url=None, redoc_url=None, openapi_url=None)
    app.state.backend = backend
    answers.install(app, extractor)
    app.add_api_route("/healthz", _healthz, methods=["GET"])
    guarded = [Depends(extractor)]
    router = ROUTERS[backend.name]
    app.include_router(router, dependencies=guarded)
    for route in router.routes:
        # the gateway decides HEAD as GET and forwards it; FastAPI, unlike Starlette, does not answer it by itself
        if isinstance(route, APIRoute) and "GET" in (route.methods or ()):
            app.add_api_route(route.path, route.endpoint, methods=["HEAD"], dependencies=guarded)
    return app


async def _healthz() -> dict[str, str]:
    """Whether the service is there."""
    return {"status": "ok"}
