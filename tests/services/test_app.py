"""The services as applications: what stands before every endpoint, and that routes and endpoints are one list."""

import ast
import inspect
import re
import tomllib
from collections.abc import Callable
from typing import Any

import pytest
from fastapi.routing import APIRoute

from gateway.route.load import load_routes
from services.app import ROUTERS
from tests.builders.questions import ROOT, real_bundle
from tests.builders.retail import Retail
from tests.builders.unread import unread

SERVICES = tuple(ROUTERS)
THINGS: dict[str, tuple[tuple[str, str, Any], ...]] = {
    "product": (
        ("GET", "/products/p-1001", None),
        ("PATCH", "/products/p-1001", {"name": "x"}),
        ("PUT", "/products/p-1001/price", {"price": 1}),
        ("DELETE", "/products/p-1001", None),
    ),
    "order": (
        ("GET", "/orders/o-1001", None),
        ("PATCH", "/orders/o-1001", {"note": "x"}),
        ("POST", "/orders/o-1005/discount", {"percent": 5}),
        ("POST", "/orders/o-1001/cancel", {"reason": "x"}),
        ("POST", "/orders/o-1001/fulfil", None),
    ),
    "inventory": (
        ("GET", "/inventory/stock/ACM-TUBE-28", None),
        ("GET", "/inventory/stock/ACM-TUBE-28/movements", None),
        ("POST", "/inventory/stock/ACM-TUBE-28/receive", {"quantity": 1}),
        ("POST", "/inventory/stock/ACM-TUBE-28/count", {"shelf": 1, "backroom": 1}),
        ("POST", "/inventory/stock/ACM-TUBE-28/adjust", {"quantity": -1, "place": "shelf", "reason": "x"}),
        ("POST", "/inventory/stock/ACM-TUBE-28/transfer", {"quantity": 1, "to": "shelf"}),
        ("POST", "/inventory/stock/ACM-TUBE-28/reserve", {"quantity": 1, "order_id": "o-1001"}),
        ("POST", "/inventory/stock/ACM-TUBE-28/release", {"quantity": 1, "order_id": "o-1001"}),
    ),
    "loyalty": (
        ("GET", "/loyalty/accounts/l-1001", None),
        ("GET", "/loyalty/accounts/l-1001/history", None),
        ("POST", "/loyalty/accounts", {"customer_id": "c-1001"}),
        ("POST", "/loyalty/accounts/l-1001/earn", {"order_id": "o-1001", "spent": 100}),
        ("POST", "/loyalty/accounts/l-1001/redeem", {"points": 1, "reward": "x"}),
        ("POST", "/loyalty/accounts/l-1001/adjust", {"points": 1, "reason": "x"}),
        ("DELETE", "/loyalty/accounts/l-1001", None),
    ),
    "payment": (
        ("GET", "/payments/intents/pi-1001", None),
        ("GET", "/payments/intents/pi-1001/refunds", None),
        ("POST", "/payments/intents", {"order_id": "o-1005", "method": "cash"}),
        ("POST", "/payments/intents/pi-1005/confirm", None),
        ("POST", "/payments/intents/pi-1005/cancel", None),
        ("POST", "/payments/intents/pi-1001/refunds", {"amount": 1, "reason": "x"}),
        ("POST", "/payments/intents/pi-1001/refund-requests", {"amount": 1, "reason": "x"}),
    ),
    "customer": (
        ("GET", "/customers/c-1001", None),
        ("GET", "/customers/c-1001/export", None),
        ("GET", "/customers/lookup?card=l-1001", None),
        ("GET", "/customers/lookup?phone=%2B46705550112", None),
        ("PATCH", "/customers/c-1001", {"name": "x"}),
        ("PUT", "/customers/c-1001/consent", {"marketing": True}),
        ("DELETE", "/customers/c-1001", None),
    ),
    "integration": (
        ("GET", "/integration/partners/x-1001", None),
        ("GET", "/integration/partners/x-1001/deliveries", None),
        ("PUT", "/integration/partners/x-1001", {"name": "x", "kind": "y", "endpoint": "https://z.example/"}),
        ("POST", "/integration/partners/x-1001/deliveries", {"tenant_id": "globex", "subject": "x"}),
        ("POST", "/integration/deliveries/d-1001/retry", None),
        ("POST", "/integration/stock-sync", {"partner_id": "x-1001"}),
    ),
}
"""Of each service, every endpoint that takes an id, with ids that are acme's."""


ASKED = [
    pytest.param(service, method, path, body, id=f"{method} {path}")
    for service, requests in THINGS.items()
    for method, path, body in requests
]


def written_routes() -> list[dict[str, Any]]:
    """`routes.toml` as it is written, the query API's routes left out."""
    text = (ROOT / "routes.toml").read_text(encoding="utf-8")
    return [route for route in tomllib.loads(text)["route"] if route["service"] in ROUTERS]


def endpoints() -> set[tuple[str, str, str]]:
    """Service, method and path of every endpoint."""
    return {
        (service, method, route.path)
        for service, router in ROUTERS.items()
        for route in router.routes
        if isinstance(route, APIRoute)
        for method in route.methods
    }


@pytest.mark.parametrize(("service", "method", "path", "body"), ASKED)
async def test_another_tenants_id_is_not_found(retail: Retail, service: str, method: str, path: str, body: Any) -> None:
    """An id that is good for acme is, for globex, answered exactly as one that nobody has."""
    answer = await retail.ask(service, method, path, body, tenant="globex")
    assert answer.status_code == 404
    assert answer.json() == {"code": "not_found", "missing_role": None, "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736"}


@pytest.mark.parametrize(("service", "method", "path", "body"), ASKED)
async def test_an_own_id_is_found(retail: Retail, service: str, method: str, path: str, body: Any) -> None:
    """The same requests by acme find what they name, so that the refusal above is about the tenant."""
    answer = await retail.ask(service, method, path, body)
    assert answer.status_code != 404


async def test_what_another_tenant_asks_changes_nothing(retail: Retail) -> None:
    """After globex has tried every change on acme's ids, acme's data is what it was."""
    before = retail.store.tenant("acme").products.all(), retail.store.tenant("acme").stock.all()
    for service, requests in THINGS.items():
        for method, path, body in requests:
            await retail.ask(service, method, path, body, tenant="globex")
    assert (retail.store.tenant("acme").products.all(), retail.store.tenant("acme").stock.all()) == before


@pytest.mark.parametrize("service", SERVICES)
async def test_every_endpoint_needs_a_context(retail: Retail, service: str) -> None:
    """Without a context no endpoint is reached: 401 in the common shape, everywhere."""
    async with retail.client(service) as client:
        for _, method, path in sorted(e for e in endpoints() if e[0] == service):
            answer = await client.request(method, re.sub(r"\{\w+\}", "x-1", path), json={})
            assert answer.status_code == 401, path
            assert answer.json()["code"] == "unauthenticated"


@pytest.mark.parametrize("service", SERVICES)
async def test_an_unknown_caller_s_body_is_not_read(retail: Retail, service: str) -> None:
    """However large it says it is, and of whatever kind: who is unknown is told so, and costs nothing."""
    fields = ((b"content-type", b"application/json"), (b"content-length", b"99999999999"))
    for _, method, path in sorted(e for e in endpoints() if e[0] == service):
        assert await unread(retail.app(service), re.sub(r"\{\w+\}", "x-1", path), *fields, method=method) == 401, path


@pytest.mark.parametrize("service", SERVICES)
async def test_a_context_for_another_service_is_refused(retail: Retail, service: str) -> None:
    """A context made for one service opens no other."""
    other = SERVICES[(SERVICES.index(service) + 1) % len(SERVICES)]
    _, path, _ = THINGS[service][0]
    async with retail.client(service) as client:
        answer = await client.get(path, headers={"X-Security-Context": retail.context(other, "GET", path)})
    assert (answer.status_code, answer.json()["code"]) == (401, "token_invalid")


@pytest.mark.parametrize("service", SERVICES)
async def test_a_read_context_replayed_on_a_change_is_refused(retail: Retail, service: str) -> None:
    """What was signed for reading is no good for any endpoint that changes something, and nothing is changed."""
    reads_by_post = "/inventory/lookup"
    for _, method, path in sorted(e for e in endpoints() if e[0] == service):
        if method == "GET" or path == reads_by_post:
            continue
        answer = await retail.ask(service, method, re.sub(r"\{\w+\}", "x-1", path), {}, bound=False)
        assert (answer.status_code, answer.json()["code"]) == (401, "token_invalid"), path
    assert await retail.events(service) == []


@pytest.mark.parametrize("service", SERVICES)
async def test_head_is_answered_wherever_get_is(retail: Retail, service: str) -> None:
    """The header of every read, streams included, without a body and behind the extractor."""
    paths = [path for _, method, path in sorted(e for e in endpoints() if e[0] == service) if method == "GET"]
    own = [path for method, path, _ in THINGS[service] if method == "GET"]
    async with retail.client(service) as client:
        for path in paths:
            assert (await client.head(re.sub(r"\{\w+\}", "x-1", path))).status_code == 401, path
        for path in [*own, *(path for path in paths if "{" not in path and path != "/customers/lookup")]:
            answer = await client.head(path, headers={"X-Security-Context": retail.context(service, "HEAD", path)})
            assert answer.status_code == 200, path


async def test_healthz_needs_no_context(retail: Retail) -> None:
    """Whoever watches the process need not be anybody."""
    async with retail.client("order") as client:
        assert (await client.get("/healthz")).json() == {"status": "ok"}


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/openapi.json"])
async def test_no_page_describes_the_service(retail: Retail, path: str) -> None:
    """The framework's own pages would stand outside the extractor, so they are not there."""
    async with retail.client("order") as client:
        assert (await client.get(path)).status_code == 404


def test_every_endpoint_has_its_route_and_every_route_its_endpoint() -> None:
    """`routes.toml` and the services' endpoints are the same list."""
    routes = {(route["service"], route["method"], route["path"]) for route in written_routes()}
    assert routes == endpoints()


def test_every_route_is_sound() -> None:
    """The gateway loads the file, and no route has a problem with schema, service or context."""
    text = (ROOT / "routes.toml").read_text(encoding="utf-8")
    services = dict.fromkeys((*ROUTERS, "audit"), ("127.0.0.1:1",))
    table = load_routes("routes.toml", text, real_bundle(), services)
    assert [(route.id, route.problem) for route in table.routes if route.problem] == []


def test_every_action_of_the_back_end_is_reached_by_a_route() -> None:
    """An action nobody can ask for through the gateway would be a policy about nothing."""
    kinds = {f"{service}:" for service in ROUTERS}
    declared = {action for action in real_bundle().actions if action.partition(":")[0] + ":" in kinds}
    assert {route["action"] for route in written_routes()} == declared
    assert len(declared) >= 45


def test_a_route_that_changes_something_leads_to_an_endpoint_that_demands_a_bound_context() -> None:
    """`changes = false` in the route and `reads=True` at the endpoint are said of the same endpoints."""
    said_by_routes = {(route["method"], route["path"]) for route in written_routes() if route.get("changes") is False}
    said_by_endpoints = {
        (method, route.path)
        for router in ROUTERS.values()
        for route in router.routes
        if isinstance(route, APIRoute) and getattr(route.endpoint, "__lychgate_reads__", False)
        for method in route.methods
    }
    assert said_by_routes == said_by_endpoints == {("POST", "/inventory/lookup")}


def recorded_actions(endpoint: Callable[..., Any]) -> set[str]:
    """The actions an endpoint records under, in its own body or in what it calls of its module."""
    module = inspect.getmodule(endpoint)
    actions: set[str] = set()
    for node in ast.walk(ast.parse(inspect.getsource(endpoint))):
        if not isinstance(node, ast.Call):
            continue
        if isinstance(node.func, ast.Attribute) and node.func.attr in {"changing", "noting"}:
            named = node.args[0].func if isinstance(node.args[0], ast.Call) else node.args[0]
            actions.add(getattr(module, ast.unparse(named)).action)
        elif isinstance(node.func, ast.Name) and node.func.id.startswith("_"):
            actions |= recorded_actions(getattr(module, node.func.id))
    return actions


def test_every_change_is_recorded_under_the_action_that_was_decided() -> None:
    """An endpoint that changes something records it, and whatever it records names its route's action."""
    decided = {(route["method"], route["path"]): route for route in written_routes()}
    for router in ROUTERS.values():
        for one in router.routes:
            assert isinstance(one, APIRoute)
            (method,) = one.methods or ()
            route = decided[method, one.path]
            recorded = recorded_actions(one.endpoint)
            changes = route.get("changes", method != "GET")
            assert recorded == {route["action"]} if changes else recorded <= {route["action"]}, route["id"]


def test_no_service_parses_a_tenant() -> None:
    """No endpoint's source reads a tenant from anywhere; the desk takes it from the context, in one place."""
    naming = [
        path.name
        for path in sorted((ROOT / "services").glob("*.py"))
        if re.search(r"tenant_id\b(?!: str)", path.read_text(encoding="utf-8")) and path.stem in ROUTERS
    ]
    assert naming == []
