"""The product service."""

import json
from collections.abc import AsyncIterator

import httpx

from services.product import IMPORT_BATCH, MAX_PROBLEMS
from tests.builders.retail import Retail

BELL = {"sku": "ACM-BELL-BR", "name": "Brass bell", "category": "safety", "price": 1_290, "currency": "EUR"}


async def feed(retail: Retail, *lines: bytes) -> httpx.Response:
    """Send an import in pieces that cut through its lines."""
    whole = b"\n".join(lines)

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(whole), 1_000):
            yield whole[start : start + 1_000]

    path = "/products/import"
    headers = {"X-Security-Context": retail.context("product", "POST", path), "Content-Type": "application/x-ndjson"}
    async with retail.client("product") as client:
        return await client.post(path, content=pieces(), headers=headers)


async def test_the_public_catalogue_is_the_contexts_tenants_whatever_the_path_says(retail: Retail) -> None:
    """The tenant in the path is the gateway's business: the service answers for the one in the context."""
    answer = await retail.ask("product", "GET", "/catalog/acme/products", tenant="globex", sub="", roles=("Anonymous",))
    assert {entry["sku"][:4] for entry in answer.json()} == {"GLX-"}
    assert set(answer.json()[0]) == {"sku", "name", "category", "price", "currency"}


async def test_a_retired_product_leaves_the_catalogue_and_stays_readable(retail: Retail) -> None:
    """What is off sale is not shown to the public and still found by whoever has its id."""
    await retail.ask("product", "DELETE", "/products/p-1001")
    public = (await retail.ask("product", "GET", "/catalog/acme/products")).json()
    assert "ACM-BIKE-CITY" not in {entry["sku"] for entry in public}
    assert (await retail.ask("product", "GET", "/products/p-1001")).json()["active"] is False


async def test_a_product_is_created_once(retail: Retail) -> None:
    """A SKU names one product of a tenant."""
    created = await retail.ask("product", "POST", "/products", BELL)
    assert created.status_code == 201
    assert (await retail.ask("product", "GET", f"/products/{created.json()['id']}")).json()["sku"] == "ACM-BELL-BR"
    assert (await retail.ask("product", "POST", "/products", BELL)).json()["code"] == "sku_taken"


async def test_an_edit_leaves_out_what_it_does_not_name(retail: Retail) -> None:
    """A field that is not sent stays as it is."""
    edited = (await retail.ask("product", "PATCH", "/products/p-1001", {"name": "City bicycle, 8 gears"})).json()
    assert (edited["name"], edited["category"], edited["price"]) == ("City bicycle, 8 gears", "bicycles", 54_900)


async def test_a_new_price_is_recorded_beside_the_old(retail: Retail) -> None:
    """The audit tells both prices."""
    await retail.ask("product", "PUT", "/products/p-1001/price", {"price": 49_900})
    (event,) = await retail.events("product")
    assert event.event_type == "product.price.changed"
    assert [(change.path, change.old, change.new) for change in event.changes] == [("/price", 54_900, 49_900)]


async def test_products_are_listed_by_category(retail: Retail) -> None:
    """A category keeps the others out."""
    listed = (await retail.ask("product", "GET", "/products?category=bicycles")).json()
    assert [row["id"] for row in listed["data"]] == ["p-1001", "p-1002"]


async def test_the_export_is_one_product_a_line(retail: Retail) -> None:
    """Every product of the tenant, as it would be read one by one."""
    lines = (await retail.ask("product", "GET", "/products/export")).text.splitlines()
    assert json.loads(lines[0]) == (await retail.ask("product", "GET", "/products/p-1001")).json()
    assert len(lines) == 8


async def test_a_feed_creates_updates_and_rejects_line_by_line(retail: Retail) -> None:
    """Good lines are taken in, bad ones are named, and neither stops the other."""
    helmet = {**BELL, "sku": "ACM-HELM-M", "price": 4_490}
    answer = await feed(retail, json.dumps(BELL).encode(), b"", b"{no json", json.dumps(helmet).encode(), b'{"sku": 1}')
    report = answer.json()
    assert (report["created"], report["updated"], report["rejected"]) == (1, 1, 2)
    assert [problem["line"] for problem in report["problems"]] == [3, 5]
    assert (await retail.ask("product", "GET", "/products/p-1003")).json()["price"] == 4_490


async def test_a_long_feed_is_taken_in_and_recorded_in_batches(retail: Retail) -> None:
    """Ten thousand lines are a few records, each with its counts, and none of them holds the rows."""
    lines = [json.dumps({**BELL, "sku": f"ACM-FEED-{n:05}"}).encode() for n in range(4 * IMPORT_BATCH + 1)]
    report = (await feed(retail, *lines)).json()
    assert report["created"] == len(lines)
    events = await retail.events("product")
    assert [event.event_type for event in events] == ["product.assortment.imported"] * 5
    assert [event.details["rows"] for event in events if event.details] == [IMPORT_BATCH] * 4 + [1]
    assert all((event.crud, event.changes) == ("c", ()) for event in events)


async def test_a_feed_of_nothing_but_mistakes_has_a_short_report(retail: Retail) -> None:
    """However much is wrong, the answer names the first few places and counts the rest."""
    report = (await feed(retail, *[b"x"] * 1_000)).json()
    assert (report["rejected"], len(report["problems"])) == (1_000, MAX_PROBLEMS)


async def test_a_line_without_end_is_refused(retail: Retail) -> None:
    """No line makes the service hold more than a line may have."""
    answer = await feed(retail, b"x" * 200_000)
    assert (answer.status_code, answer.json()["code"]) == (422, "line_too_long")
