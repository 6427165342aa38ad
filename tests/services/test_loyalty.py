"""The loyalty service."""

import pytest

from tests.builders.retail import Retail

JONAS = "/loyalty/accounts/l-1002"


async def test_points_are_earned_once_an_order(retail: Retail) -> None:
    """A point a hundred minor units; the same order earns nothing a second time."""
    purchase = {"order_id": "o-1002", "spent": 4_370}
    answer = await retail.ask("loyalty", "POST", f"{JONAS}/earn", purchase)
    assert answer.json()["points"] == 1_310 + 43
    again = await retail.ask("loyalty", "POST", f"{JONAS}/earn", purchase)
    assert (again.status_code, again.json()["code"]) == (409, "already_earned")


async def test_more_than_the_order_earns_nothing(retail: Retail) -> None:
    """Points cannot be had for money that was not spent."""
    answer = await retail.ask("loyalty", "POST", f"{JONAS}/earn", {"order_id": "o-1002", "spent": 4_371})
    assert answer.json()["code"] == "more_than_the_order"


async def test_points_are_not_spent_twice(retail: Retail) -> None:
    """A reward costs points, and nobody goes below none."""
    reward = {"points": 1_000, "reward": "bell"}
    assert (await retail.ask("loyalty", "POST", f"{JONAS}/redeem", reward)).json()["points"] == 310
    assert (await retail.ask("loyalty", "POST", f"{JONAS}/redeem", reward)).json()["code"] == "too_few_points"


@pytest.mark.parametrize(
    ("points", "tier"), [(2_689, "silver"), (2_690, "gold"), (8_690, "platinum"), (-311, "bronze")]
)
async def test_the_tier_follows_the_points(retail: Retail, points: int, tier: str) -> None:
    """The tier is that of the balance, up and down."""
    body = {"points": points, "reason": "correction"}
    assert (await retail.ask("loyalty", "POST", f"{JONAS}/adjust", body)).json()["tier"] == tier


async def test_the_history_explains_the_balance(retail: Retail) -> None:
    """The entries of the ledger add up to the points."""
    await retail.ask("loyalty", "POST", f"{JONAS}/redeem", {"points": 10, "reward": "sticker"})
    await retail.ask("loyalty", "POST", f"{JONAS}/adjust", {"points": 7, "reason": "goodwill"})
    entries = (await retail.ask("loyalty", "GET", f"{JONAS}/history")).json()
    assert [entry["points"] for entry in entries] == [1_310, -10, 7]
    assert sum(entry["points"] for entry in entries) == (await retail.ask("loyalty", "GET", JONAS)).json()["points"]


async def test_a_customer_is_enrolled_once(retail: Retail) -> None:
    """A new customer becomes a member with nothing; a member does not become another."""
    new = {"name": "Nora Vik", "email": "nora.vik@example.com"}
    customer = (await retail.ask("customer", "POST", "/customers", new)).json()
    enrolment = {"customer_id": customer["id"]}
    account = await retail.ask("loyalty", "POST", "/loyalty/accounts", enrolment)
    assert (account.status_code, account.json()["points"], account.json()["tier"]) == (201, 0, "bronze")
    again = await retail.ask("loyalty", "POST", "/loyalty/accounts", enrolment)
    assert again.json()["code"] == "already_enrolled"


async def test_a_closed_account_is_gone_and_its_points_are_in_the_record(retail: Retail) -> None:
    """Closing forfeits the points, and the audit says how many."""
    assert (await retail.ask("loyalty", "DELETE", JONAS)).status_code == 200
    assert (await retail.ask("loyalty", "GET", JONAS)).status_code == 404
    (event,) = await retail.events("loyalty")
    assert (event.event_type, event.crud) == ("loyalty.account.closed", "d")
    assert event.details is not None
    assert event.details["points_forfeited"] == 1_310


async def test_members_are_listed(retail: Retail) -> None:
    """Every member of the tenant."""
    listed = (await retail.ask("loyalty", "GET", "/loyalty/accounts", tenant="globex")).json()
    assert [account["id"] for account in listed["data"]] == ["l-5001", "l-5002", "l-5003"]
