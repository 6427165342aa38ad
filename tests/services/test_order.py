"""The order service."""

import asyncio
import json

from audit.event import Outcome, Severity
from tests.builders.retail import DECISION_ID, TRACE_ID, Retail

TWO_TUBES = {"customer_id": "c-1001", "lines": [{"sku": "ACM-TUBE-28", "quantity": 2}]}


async def test_an_order_is_priced_by_the_service(retail: Retail) -> None:
    """What an order costs is what its products cost, and the caller stands in it."""
    answer = await retail.ask("order", "POST", "/orders", TWO_TUBES, sub="till-7")
    assert answer.status_code == 201
    order = answer.json()
    assert (order["total"], order["currency"], order["status"], order["placed_by"]) == (1380, "EUR", "placed", "till-7")
    assert (await retail.ask("order", "GET", f"/orders/{order['id']}")).json() == order


async def test_a_created_order_is_recorded_with_its_values(retail: Retail) -> None:
    """The event tells who did what to what under which decision, and the new values."""
    order = (await retail.ask("order", "POST", "/orders", TWO_TUBES, roles=("Cashier",))).json()
    (event,) = await retail.events("order")
    assert (event.event_type, event.action, event.crud) == ("order.order.created", "order:create", "c")
    assert (event.tenant_id, event.outcome, event.trace_id) == ("acme", Outcome.SUCCESS, TRACE_ID)
    assert event.actor is not None
    assert (event.actor.type, event.actor.id, event.actor.roles) == ("user", "u-1", ("Cashier",))
    assert event.resource is not None
    assert (event.resource.type, event.resource.id) == ("Order", order["id"])
    assert event.details == {"decision_id": DECISION_ID}
    assert {"/total": 1380, "/status": "placed"}.items() <= {c.path: c.new for c in event.changes}.items()


async def test_a_refused_change_is_recorded_as_a_failure(retail: Retail) -> None:
    """What was tried and refused stands in the audit with the caller's code, and nothing is changed."""
    answer = await retail.ask("order", "POST", "/orders/o-1005/fulfil")
    assert (answer.status_code, answer.json()["code"]) == (409, "order_placed")
    (event,) = await retail.events("order")
    assert (event.event_type, event.outcome, event.severity) == (
        "order.order.fulfilled",
        Outcome.FAILURE,
        Severity.NOTICE,
    )
    assert event.details is not None
    assert event.details["code"] == "order_placed"
    assert event.crud == "u"  # what it would have done, where nothing was staged yet
    assert event.changes == ()


async def test_an_unknown_sku_makes_no_order(retail: Retail) -> None:
    """Another tenant's SKU is as unknown as one that nobody has."""
    body = {"lines": [{"sku": "GLX-TAPE-CLR", "quantity": 1}]}
    answer = await retail.ask("order", "POST", "/orders", body)
    assert (answer.status_code, answer.json()["code"]) == (422, "sku_unknown")


async def test_another_tenants_customer_cannot_be_sold_to(retail: Retail) -> None:
    """An order for a customer of another tenant is not found, like the customer."""
    answer = await retail.ask("order", "POST", "/orders", {**TWO_TUBES, "customer_id": "c-5001"})
    assert answer.status_code == 404


async def test_a_retired_product_is_not_sold(retail: Retail) -> None:
    """What was taken off sale cannot be ordered any more."""
    await retail.ask("product", "DELETE", "/products/p-1006")
    answer = await retail.ask("order", "POST", "/orders", TWO_TUBES)
    assert answer.json()["code"] == "sku_unknown"


async def test_a_discount_lowers_the_total_of_an_unpaid_order(retail: Retail) -> None:
    """Ten per cent off what is not paid yet; a paid order keeps its price."""
    answer = await retail.ask("order", "POST", "/orders/o-1005/discount", {"percent": 10})
    assert answer.json()["total"] == 2490 - 249
    assert (await retail.ask("order", "POST", "/orders/o-1001/discount", {"percent": 10})).status_code == 409


async def test_an_order_ends_once(retail: Retail) -> None:
    """A cancelled order is neither fulfilled nor cancelled again."""
    reason = {"reason": "changed their mind"}
    assert (await retail.ask("order", "POST", "/orders/o-1001/cancel", reason)).json()["status"] == "cancelled"
    assert (await retail.ask("order", "POST", "/orders/o-1001/fulfil")).json()["code"] == "order_cancelled"
    assert (await retail.ask("order", "POST", "/orders/o-1001/cancel", reason)).json()["code"] == "order_cancelled"


async def test_a_note_is_kept(retail: Retail) -> None:
    """A note is put on an order and taken off again."""
    assert (await retail.ask("order", "PATCH", "/orders/o-1001", {"note": "ring twice"})).json()["note"] == "ring twice"
    assert (await retail.ask("order", "PATCH", "/orders/o-1001", {"note": None})).json()["note"] is None


async def test_orders_are_listed_in_portions(retail: Retail) -> None:
    """Following `next_after` gives every order once; a status keeps the others out."""
    ids: list[str] = []
    path = "/orders?limit=2"
    while True:
        portion = (await retail.ask("order", "GET", path)).json()
        ids += [order["id"] for order in portion["data"]]
        if portion["next_after"] is None:
            break
        path = f"/orders?limit=2&after={portion['next_after']}"
    assert ids == ["o-1001", "o-1002", "o-1003", "o-1004", "o-1005"]
    placed = (await retail.ask("order", "GET", "/orders?status=placed")).json()
    assert [order["id"] for order in placed["data"]] == ["o-1005"]


async def test_the_export_is_one_order_a_line_and_is_recorded(retail: Retail) -> None:
    """Every order of the tenant and none of another, and the audit knows that they left."""
    answer = await retail.ask("order", "GET", "/orders/export")
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert [json.loads(line)["id"] for line in answer.text.splitlines()] == [f"o-{1001 + n}" for n in range(5)]
    (event,) = await retail.events("order")
    assert (event.event_type, event.crud) == ("order.orders.exported", "r")


async def test_of_two_who_end_an_order_at_once_one_is_refused(retail: Retail) -> None:
    """Judging, recording and making a change is one step: the second judge sees what the first has made."""
    answers = await asyncio.gather(
        *(retail.ask("order", "POST", "/orders/o-1001/cancel", {"reason": str(n)}) for n in range(5))
    )
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409, 409]
