"""The integration gateway, calling order and inventory through the gateway's real context exchange."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.builders.exchange import GATEWAY, Exchange
from tests.builders.retail import TRACE_ID, Retail

AVAILABILITY = "/integration/orders/o-1001/availability"
SYNC = "/integration/stock-sync"
TO_MARKETPLACE = {"partner_id": "x-1001"}


@pytest.fixture
async def exchange(retail: Retail, tmp_path: Path) -> AsyncIterator[Exchange]:
    """The back end with the way from service to service open."""
    made = Exchange(retail, tmp_path / "gateway")
    retail.onward = made.onward
    yield made
    await made.http.aclose()
    made.emitter.close()


async def test_availability_is_put_together_from_two_services(exchange: Exchange) -> None:
    """Order and stock are asked in the caller's name, and what is missing shows."""
    await exchange.retail.ask(
        "inventory", "POST", "/inventory/stock/ACM-LOCK-U/count", {"shelf": 0, "backroom": 0}, sub="clerk-1"
    )
    answer = await exchange.retail.ask("integration", "GET", AVAILABILITY, roles=("Cashier",))
    assert answer.status_code == 200
    told = answer.json()
    assert (told["order_id"], told["complete"]) == ("o-1001", False)
    assert {line["sku"]: line["enough"] for line in told["lines"]} == {
        "ACM-BIKE-CITY": True,
        "ACM-HELM-M": True,
        "ACM-LOCK-U": False,
    }


async def test_identity_and_trace_go_on_to_the_next_service(exchange: Exchange) -> None:
    """What reaches the order service names the caller and the trace, and says who passes it on."""
    await exchange.retail.ask("integration", "GET", AVAILABILITY, sub="till-7", roles=("Cashier",))
    (to_order,) = (request for request in exchange.hosts.seen if request.url.host == "order")
    assert to_order.headers["X-User-Id"] == "till-7"
    assert to_order.headers["X-Tenant-Id"] == "acme"
    assert to_order.headers["X-Trace-Id"] == TRACE_ID
    assert "Authorization" not in to_order.headers


async def test_the_caller_may_do_no_more_through_a_service_than_alone(exchange: Exchange) -> None:
    """An InventoryClerk may ask for availability but not read orders: refused there, and told which role would do."""
    answer = await exchange.retail.ask("integration", "GET", AVAILABILITY, roles=("InventoryClerk",))
    assert answer.status_code == 403
    assert answer.json() == {"code": "forbidden", "missing_role": "Cashier", "trace_id": TRACE_ID}


@pytest.mark.parametrize("order_id", ["o-5001", "nothing", "..%2Fstock", "a%20b", "a%3Fb"])
async def test_another_tenants_order_is_not_found_through_a_service_either(exchange: Exchange, order_id: str) -> None:
    """An id goes on as one segment, whatever is in it, and in the caller's tenant."""
    answer = await exchange.retail.ask("integration", "GET", f"/integration/orders/{order_id}/availability")
    assert answer.status_code in {404, 502}
    assert not [request for request in exchange.hosts.seen if request.url.host == "inventory"]


async def test_a_stock_run_sends_every_level_and_is_recorded(exchange: Exchange) -> None:
    """The run reads all of the stock, leaves a delivery for the partner, and stands in the audit."""
    answer = await exchange.retail.ask("integration", "POST", SYNC, TO_MARKETPLACE, roles=("InventoryClerk",))
    assert (answer.status_code, answer.json()["skus"]) == (200, 8)
    deliveries = await exchange.retail.ask("integration", "GET", "/integration/partners/x-1001/deliveries")
    assert answer.json()["delivery_id"] in {row["id"] for row in deliveries.json()}
    (event,) = await exchange.retail.events("integration")
    assert event.event_type == "integration.stock.synced"
    assert event.details is not None
    assert event.details["skus"] == 8
    assert event.resource is not None
    assert event.resource.id == "x-1001"


async def test_a_stock_run_reads_page_after_page(exchange: Exchange) -> None:
    """More stock than one portion holds is read to the end."""
    stock = exchange.retail.store.tenant("acme").stock
    model = stock.get("ACM-TUBE-28")
    for number in range(450):
        stock.put(model.model_copy(update={"sku": f"ACM-MANY-{number:03}"}))
    answer = await exchange.retail.ask("integration", "POST", SYNC, TO_MARKETPLACE)
    assert answer.json()["skus"] == 458


async def test_what_a_service_does_onward_names_it(exchange: Exchange) -> None:
    """A change that another service records tells that this one acted on the caller's behalf."""
    path = "/orders/o-1005/discount"
    body = {"percent": 5}
    answer = await exchange.retail.ask("order", "POST", path, body, act="integration")
    assert answer.status_code == 200
    (event,) = await exchange.retail.events("order")
    assert event.details is not None
    assert event.details["on_behalf_by"] == "integration"


async def test_a_machine_token_that_does_not_hold_is_our_fault(exchange: Exchange) -> None:
    """The caller is not told 401 for a credential that is not theirs; the next token is asked for anew."""
    exchange.tokens.text = exchange.token(exp=int(exchange.retail.clock().timestamp()) - 3_600)
    answer = await exchange.retail.ask("integration", "GET", AVAILABILITY)
    assert (answer.status_code, answer.json()["code"]) == (502, "upstream_unavailable")
    assert exchange.tokens.refusals == 1


async def test_a_machine_of_another_name_cannot_use_our_context(exchange: Exchange) -> None:
    """A context shown by a service it was not made for is worth nothing."""
    exchange.tokens.text = exchange.token(sub="loyalty")
    answer = await exchange.retail.ask("integration", "GET", AVAILABILITY)
    assert answer.status_code == 502
    assert {request.url.host for request in exchange.hosts.seen} == {GATEWAY}


async def test_without_a_way_onward_only_what_needs_it_fails(retail: Retail) -> None:
    """A service that was given no machine token still does what it can do alone."""
    assert (await retail.ask("integration", "GET", AVAILABILITY)).status_code == 502
    assert (await retail.ask("integration", "GET", "/integration/partners")).status_code == 200


async def test_a_partners_feed_is_taken_for_the_contexts_tenant(retail: Retail) -> None:
    """The tenant in the body is the gateway's business: whatever it says, the delivery is the context's tenant's."""
    feed = {"tenant_id": "globex", "subject": "new orders"}
    answer = await retail.ask("integration", "POST", "/integration/partners/x-1001/deliveries", feed)
    assert answer.status_code == 201
    assert retail.store.tenant("acme").deliveries.find(answer.json()["id"]) is not None
    assert retail.store.tenant("globex").deliveries.find(answer.json()["id"]) is None


async def test_a_disabled_partner_is_neither_sent_nor_heard(retail: Retail) -> None:
    """Switching a partner off stops both ways."""
    setup = {"name": "N", "kind": "marketplace", "endpoint": "https://n.example/feed", "enabled": False}
    assert (await retail.ask("integration", "PUT", "/integration/partners/x-1001", setup)).status_code == 200
    for path, body in (
        ("/integration/partners/x-1001/deliveries", {"subject": "x"}),
        ("/integration/deliveries/d-1001/retry", None),
        (SYNC, TO_MARKETPLACE),
    ):
        assert (await retail.ask("integration", "POST", path, body)).json()["code"] == "partner_disabled"


async def test_only_a_failed_delivery_is_sent_again(retail: Retail) -> None:
    """A retry makes it pending; a second one has nothing to repeat."""
    path = "/integration/deliveries/d-1001/retry"
    first = await retail.ask("integration", "POST", path)
    assert (first.json()["status"], first.json()["attempts"]) == ("pending", 4)
    assert (await retail.ask("integration", "POST", path)).json()["code"] == "delivery_pending"


@pytest.mark.parametrize("endpoint", ["http://plain.example/", "https://", "javascript:alert(1)"])
async def test_a_partner_is_reached_by_https_alone(retail: Retail, endpoint: str) -> None:
    """No other scheme is taken."""
    setup = {"name": "N", "kind": "marketplace", "endpoint": endpoint}
    assert (await retail.ask("integration", "PUT", "/integration/partners/x-1001", setup)).status_code == 422
