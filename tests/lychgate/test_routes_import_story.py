"""The seven services' own OpenAPI documents against `routes.toml`: what is open at once is what people wrote there."""

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from lychgate.findings import configuration_findings
from lychgate.routes_import.document import read_document
from lychgate.routes_import.merge import Existing, Merged, existing, merge
from lychgate.routes_import.model import About
from lychgate.routes_import.propose import Wish, propose
from lychgate.routes_import.written import quoted
from lychgate.settings import load
from services.app import ROUTERS
from tests.builders.answers import json_of, status_of
from tests.builders.plane import plane, request, token
from tests.builders.questions import ROOT, real_bundle
from tests.builders.retail import Retail

DECIDED: dict[str, dict[str, Any]] = {
    "GET /catalog/{tenant}/products": {"action": "product:browse", "anonymous": True},
    "DELETE /products/{product_id}": {"action": "product:retire"},
    "POST /orders/{order_id}/discount": {"action": "order:discount"},
    "GET /inventory/events": {"action": "inventory:watch"},
    "POST /inventory/lookup": {"action": "inventory:list", "changes": False},
    "GET /inventory/stock/{sku}/movements": {"action": "inventory:read"},
    "POST /loyalty/accounts": {"action": "loyalty:enrol"},
    "DELETE /loyalty/accounts/{account_id}": {"action": "loyalty:close"},
    "POST /loyalty/accounts/{account_id}/adjust": {"action": "loyalty:adjust"},
    "POST /payments/intents/{intent_id}/refund-requests": {"action": "payment:request_refund"},
    "GET /payments/intents/{intent_id}/refunds": {"action": "payment:read_refund"},
    "POST /payments/intents/{intent_id}/refunds": {
        "action": "payment:refund",
        "context": {"amount": {"from": "body", "pointer": "/amount"}},
    },
    "DELETE /customers/{customer_id}": {"action": "customer:erase"},
    "POST /integration/deliveries/{delivery_id}/retry": {"action": "integration:retry"},
    "GET /integration/orders/{order_id}/availability": {"action": "integration:availability"},
    "GET /integration/partners": {"action": "integration:list"},
    "GET /integration/partners/{partner_id}": {"action": "integration:read"},
    "PUT /integration/partners/{partner_id}": {"action": "integration:configure"},
    "GET /integration/partners/{partner_id}/deliveries": {"action": "integration:read"},
    "POST /integration/partners/{partner_id}/deliveries": {
        "action": "integration:deliver",
        "tenant_pointers": ["/tenant_id"],
    },
    "POST /integration/stock-sync": {"action": "integration:sync_stock"},
}
"""What the import leaves closed, and what a person decides about it."""

TASTE = ("id", "guarantee", "max_body_bytes")
"""What stands in a route for no reason that a document could know."""


@pytest.fixture(scope="module")
def documents(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What FastAPI says of each service."""
    with Retail(tmp_path_factory.mktemp("spool")) as retail:
        return {name: json.dumps(retail.app(name).openapi()).encode() for name in ROUTERS}


def made(documents: dict[str, bytes], service: str, old: Existing | None = None) -> Merged:
    """The import of one service's document."""
    wish = Wish(service=service, prefix=service)
    bundle = real_bundle()
    proposed = propose(read_document("openapi.json", documents[service]), wish, bundle)
    return merge(old or Existing("routes.toml"), proposed, wish, bundle)


def entries(text: str) -> dict[str, dict[str, Any]]:
    """A routes file by method and path, without what is a matter of taste."""
    return {
        f"{it['method']} {it['path']}": {key: value for key, value in it.items() if key not in TASTE}
        for it in tomllib.loads(text).get("route", [])
    }


def written() -> dict[str, dict[str, Any]]:
    """`routes.toml`."""
    return entries((ROOT / "routes.toml").read_text(encoding="utf-8"))


def literal(value: Any) -> str:
    """A value in TOML."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {literal(inner)}" for key, inner in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(literal, value)) + "]"
    return str(value).lower() if isinstance(value, bool) else quoted(value)


def decide(text: str) -> str:
    """A person's work: the routes with the decisions in them, the questions taken away."""
    routes = tomllib.loads(text)["route"]
    for route in routes:
        route.update(DECIDED.get(f"{route['method']} {route['path']}", {}))
    return "".join(
        "[[route]]\n" + "".join(f"{key} = {literal(value)}\n" for key, value in route.items()) + "\n"
        for route in routes
    )


@pytest.mark.parametrize("service", ROUTERS)
def test_what_is_open_at_once_is_what_people_wrote(documents: dict[str, bytes], service: str) -> None:
    """Action, resource, tenant and masked fields; and everything else is closed, by one of two ways."""
    found = made(documents, service)
    hand = written()
    for proposal in found.added:
        said = entries(found.text)[proposal.where]
        if any(question.closed for question in proposal.questions):
            assert said["action"] not in real_bundle().actions
            assert proposal.where in DECIDED
        else:
            assert said == hand[proposal.where]
    assert {it.where for it in found.questions if it.about is About.OPERATIONS} == {"GET /healthz"}


def test_the_gateway_takes_the_decided_file_and_it_is_the_one_that_people_wrote(
    documents: dict[str, bytes], tmp_path: Path
) -> None:
    """All seven, one after the other into one file: `config check` has nothing to say before or after the last."""
    file = tmp_path / "routes.toml"
    text = "\n".join(block for block in (ROOT / "routes.toml").read_text().split("\n\n") if '"audit"' in block)
    for service in ROUTERS:
        old = existing("routes.toml", text, service, real_bundle(), load(ROOT / "lychgate.yaml", {}).services)
        text = made(documents, service, old).text
    file.write_text(text)
    settings = load(ROOT / "lychgate.yaml", {"LYCHGATE_GATEWAY__ROUTES_FILE": str(file)})
    undecided = configuration_findings(settings)
    assert len(undecided) == len(DECIDED)
    assert all("is not in the schema" in finding for finding in undecided)
    file.write_text(decide(text))
    assert configuration_findings(settings) == []
    assert entries(file.read_text()) == written()


def test_a_file_that_is_complete_has_nothing_added(documents: dict[str, bytes]) -> None:
    """`routes.toml` itself: the only open question is the endpoint that is to have no route."""
    text = (ROOT / "routes.toml").read_text(encoding="utf-8")
    services = load(ROOT / "lychgate.yaml", {}).services
    for service in ROUTERS:
        found = made(documents, service, existing("routes.toml", text, service, real_bundle(), services))
        assert found.added == []
        assert [(it.where, it.about) for it in found.questions] == [("GET /healthz", About.OPERATIONS)]
        said = f"{text}\n# no route: {service} GET /healthz for the machine itself\n"
        found = made(documents, service, existing("routes.toml", said, service, real_bundle(), services))
        assert (found.text, found.questions) == (said, [])


async def test_a_running_gateway_refuses_what_is_undecided_and_serves_the_rest(
    documents: dict[str, bytes], tmp_path: Path
) -> None:
    """Over real sockets: an undecided route answers nobody and reaches no service; decided, its policies answer."""
    text = made(documents, "order").text
    body = b'{"percent": 5}'
    json_body = "Content-Type: application/json"
    admin = token("Admin")

    def discount(auth: str) -> bytes:
        return request("POST", "/orders/o-1/discount", auth=auth, headers=json_body, body=body)

    async with plane(tmp_path / "undecided", routes=text) as running:
        assert status_of(await running.raw(request("GET", "/orders/o-1"))) == 200
        assert status_of(await running.raw(request("GET", "/orders/o-1", auth=None))) == 401
        assert status_of(await running.raw(request("POST", "/orders/o-1/fulfil", auth=token("Auditor")))) == 403
        assert len(running.service.heads) == 1
        refused = await running.raw(discount(admin))
        assert (status_of(refused), json_of(refused)["code"]) == (503, "policy_unavailable")
        assert status_of(await running.raw(request("GET", "/healthz", auth=admin))) == 404
        assert len(running.service.heads) == 1
    async with plane(tmp_path / "decided", routes=decide(text)) as running:
        assert status_of(await running.raw(discount(admin))) == 200
        assert status_of(await running.raw(discount(token("Auditor")))) == 403
        assert len(running.service.heads) == 1
