"""The inventory service."""

import pytest

from services.desk import Desk
from services.inventory import _stream
from tests.builders.retail import NOON, Retail

TUBE = "/inventory/stock/ACM-TUBE-28"


async def test_received_goods_lie_in_the_backroom(retail: Retail) -> None:
    """What comes in is there, and the movement tells who booked it."""
    answer = await retail.ask("inventory", "POST", f"{TUBE}/receive", {"quantity": 12}, sub="clerk-1")
    assert (answer.json()["shelf"], answer.json()["backroom"], answer.json()["available"]) == (60, 252, 312)
    (movement,) = (await retail.ask("inventory", "GET", f"{TUBE}/movements")).json()
    assert (movement["kind"], movement["quantity"], movement["moved_by"]) == ("received", 12, "clerk-1")


async def test_a_count_replaces_what_the_book_says(retail: Retail) -> None:
    """The level is what was counted, the movement the difference."""
    answer = await retail.ask("inventory", "POST", f"{TUBE}/count", {"shelf": 55, "backroom": 240})
    assert answer.json()["available"] == 295
    (movement,) = retail.store.tenant("acme").movements.of("ACM-TUBE-28")
    assert movement.quantity == -5
    assert retail.store.tenant("acme").stock.get("ACM-TUBE-28").counted_at == NOON


async def test_an_adjustment_is_recorded_with_old_and_new(retail: Retail) -> None:
    """The audit tells what the level was and what it is."""
    body = {"quantity": -3, "place": "shelf", "reason": "punctured"}
    assert (await retail.ask("inventory", "POST", f"{TUBE}/adjust", body)).json()["shelf"] == 57
    (event,) = await retail.events("inventory")
    assert (event.event_type, event.action) == ("inventory.stock.adjusted", "inventory:adjust")
    assert [(change.path, change.old, change.new) for change in event.changes] == [("/shelf", 60, 57)]


@pytest.mark.parametrize(
    ("verb", "body", "code"),
    [
        ("adjust", {"quantity": -61, "place": "shelf", "reason": "x"}, "out_of_stock"),
        ("transfer", {"quantity": 241, "to": "shelf"}, "out_of_stock"),
        ("reserve", {"quantity": 301, "order_id": "o-1001"}, "out_of_stock"),
        ("release", {"quantity": 1, "order_id": "o-1001"}, "not_reserved"),
    ],
)
async def test_nothing_goes_below_nothing(retail: Retail, verb: str, body: dict[str, object], code: str) -> None:
    """What is not there can be neither taken, carried, promised nor given back."""
    answer = await retail.ask("inventory", "POST", f"{TUBE}/{verb}", body)
    assert (answer.status_code, answer.json()["code"]) == (409, code)
    assert retail.store.tenant("acme").movements.of("ACM-TUBE-28") == ()


async def test_a_level_has_an_upper_bound(retail: Retail) -> None:
    """No number of deliveries makes a level that nobody could have counted."""
    await retail.ask("inventory", "POST", f"{TUBE}/count", {"shelf": 0, "backroom": 10_000_000})
    answer = await retail.ask("inventory", "POST", f"{TUBE}/receive", {"quantity": 1})
    assert (answer.status_code, answer.json()["code"]) == (422, "quantity_too_large")


async def test_a_transfer_keeps_the_sum(retail: Retail) -> None:
    """What leaves the backroom is on the shelf, and back."""
    there = (await retail.ask("inventory", "POST", f"{TUBE}/transfer", {"quantity": 40, "to": "shelf"})).json()
    assert (there["shelf"], there["backroom"]) == (100, 200)
    back = (await retail.ask("inventory", "POST", f"{TUBE}/transfer", {"quantity": 100, "to": "backroom"})).json()
    assert (back["shelf"], back["backroom"]) == (0, 300)


async def test_a_promise_lowers_what_is_available_until_it_is_taken_back(retail: Retail) -> None:
    """Reserved goods are there and not to be had."""
    promise = {"quantity": 10, "order_id": "o-1002"}
    assert (await retail.ask("inventory", "POST", f"{TUBE}/reserve", promise)).json()["available"] == 290
    assert (await retail.ask("inventory", "POST", f"{TUBE}/release", promise)).json()["available"] == 300


async def test_many_levels_are_looked_up_by_a_post_that_only_reads(retail: Retail) -> None:
    """A context for reading will do; an unknown SKU, or another tenant's, is left out."""
    wanted = {"skus": ["ACM-TUBE-28", "GLX-TAPE-CLR", "ACM-LOCK-U", "ACM-TUBE-28"]}
    answer = await retail.ask("inventory", "POST", "/inventory/lookup", wanted, bound=False)
    assert [level["sku"] for level in answer.json()["data"]] == ["ACM-TUBE-28", "ACM-LOCK-U"]


async def test_stock_is_listed(retail: Retail) -> None:
    """Every SKU of the tenant, in order."""
    listed = (await retail.ask("inventory", "GET", "/inventory/stock", tenant="globex")).json()
    assert [level["sku"] for level in listed["data"]][:2] == ["GLX-PEN-GEL07", "GLX-NOTE-A5"]


async def test_the_stream_tells_movements_as_they_happen_and_that_it_lives(retail: Retail) -> None:
    """A watcher gets each movement of its own tenant as an event, and a comment when there was none for a while."""
    backend = retail.app("inventory").state.backend
    watching = _stream(Desk(None, retail.store.tenant("acme"), NOON, backend))  # type: ignore[arg-type] # never asked
    assert await anext(watching) == b": watching\n\n"
    assert await anext(watching) == b": still here\n\n"
    await retail.ask("inventory", "POST", "/inventory/stock/GLX-TAPE-CLR/receive", {"quantity": 1}, tenant="globex")
    await retail.ask("inventory", "POST", f"{TUBE}/receive", {"quantity": 12})
    told = (await anext(watching)).decode()
    assert "event: received\n" in told
    assert '"sku":"ACM-TUBE-28"' in told
    assert told.endswith("\n\n")
    await watching.aclose()  # type: ignore[attr-defined] # an async generator has it
