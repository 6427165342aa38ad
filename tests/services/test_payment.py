"""The payment service: intents, and what may be given back of them."""

import asyncio

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audit.event import Severity
from tests.builders.retail import Retail


async def test_an_intent_takes_what_the_order_costs_and_pays_it(retail: Retail) -> None:
    """Create, then confirm: the amount is the order's, and the order is paid with it."""
    await retail.ask("payment", "POST", "/payments/intents/pi-1005/cancel")
    body = {"order_id": "o-1005", "method": "card", "card_last4": "1881"}
    intent = (await retail.ask("payment", "POST", "/payments/intents", body)).json()
    assert (intent["amount"], intent["status"]) == (2490, "requires_confirmation")
    confirmed = await retail.ask("payment", "POST", f"/payments/intents/{intent['id']}/confirm")
    assert confirmed.json()["status"] == "succeeded"
    assert (await retail.ask("order", "GET", "/orders/o-1005")).json()["status"] == "paid"


async def test_an_intent_is_confirmed_once(retail: Retail) -> None:
    """Money is taken once, whoever asks again."""
    answers = [await retail.ask("payment", "POST", "/payments/intents/pi-1005/confirm") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 409]
    assert answers[1].json()["code"] == "intent_succeeded"


async def test_an_order_has_one_open_intent(retail: Retail) -> None:
    """A second intent for the same order waits until the first is confirmed or cancelled."""
    answer = await retail.ask("payment", "POST", "/payments/intents", {"order_id": "o-1005", "method": "cash"})
    assert (answer.status_code, answer.json()["code"]) == (409, "intent_open")


async def test_a_paid_order_is_not_paid_again(retail: Retail) -> None:
    """There is no intent for what is paid."""
    answer = await retail.ask("payment", "POST", "/payments/intents", {"order_id": "o-1001", "method": "cash"})
    assert answer.json()["code"] == "order_paid"


async def test_an_order_that_changed_meanwhile_is_not_charged(retail: Retail) -> None:
    """The amount that was agreed is the amount that is taken, or nothing is."""
    await retail.ask("order", "POST", "/orders/o-1005/discount", {"percent": 50})
    answer = await retail.ask("payment", "POST", "/payments/intents/pi-1005/confirm")
    assert answer.json()["code"] == "order_changed"


async def test_a_card_number_never_comes_here(retail: Retail) -> None:
    """Four digits go with a card and with nothing else; more than four are refused."""
    await retail.ask("payment", "POST", "/payments/intents/pi-1005/cancel")
    for method, digits in (("card", None), ("cash", "4242"), ("card", "4242424242424242")):
        body = {"order_id": "o-1005", "method": method, "card_last4": digits}
        assert (await retail.ask("payment", "POST", "/payments/intents", body)).status_code == 422


async def test_a_refund_is_booked_and_recorded(retail: Retail) -> None:
    """The refund stands beside the intent, and the audit tells the amount."""
    refund = {"amount": 5_000, "reason": "scratched frame"}
    answer = await retail.ask("payment", "POST", "/payments/intents/pi-1001/refunds", refund, roles=("Manager",))
    assert answer.status_code == 201
    assert (await retail.ask("payment", "GET", "/payments/intents/pi-1001")).json()["refunded"] == 5_000
    booked = (await retail.ask("payment", "GET", "/payments/intents/pi-1001/refunds")).json()
    assert [refund["amount"] for refund in booked["refunds"]] == [5_000]
    (event,) = await retail.events("payment")
    assert (event.event_type, event.severity) == ("payment.refund.issued", Severity.NOTICE)
    assert event.details is not None
    assert event.details["amount"] == 5_000
    assert [(change.path, change.old, change.new) for change in event.changes] == [("/refunded", 0, 5_000)]


async def test_an_unpaid_intent_gives_nothing_back(retail: Retail) -> None:
    """What was not taken cannot be refunded; the record of the attempt tells the amount."""
    wanted = {"amount": 1, "reason": "x"}
    answer = await retail.ask("payment", "POST", "/payments/intents/pi-1005/refunds", wanted)
    assert answer.json()["code"] == "intent_requires_confirmation"
    (event,) = await retail.events("payment")
    assert event.details is not None
    assert (event.details["amount"], event.details["code"]) == (1, "intent_requires_confirmation")


async def test_refunds_that_race_never_exceed_what_was_paid(retail: Retail) -> None:
    """Of ten refunds of a third each, asked for at once, three are issued."""
    wanted = {"amount": 63_380 // 3, "reason": "race"}
    answers = await asyncio.gather(
        *(retail.ask("payment", "POST", "/payments/intents/pi-1001/refunds", wanted) for _ in range(10))
    )
    assert sorted(answer.status_code for answer in answers) == [201] * 3 + [409] * 7
    assert (await retail.ask("payment", "GET", "/payments/intents/pi-1001")).json()["refunded"] == 63_380 // 3 * 3


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(amounts=st.lists(st.integers(1, 40_000), max_size=8))
async def test_no_sequence_of_refunds_exceeds_what_was_paid(retail: Retail, amounts: list[int]) -> None:
    """Whatever is asked for, in whatever order, the sum given back never exceeds the payment."""
    for amount in amounts:
        await retail.ask("payment", "POST", "/payments/intents/pi-1003/refunds", {"amount": amount, "reason": "x"})
    intent = retail.store.tenant("acme").intents.get("pi-1003")
    issued = sum(row.amount for row in retail.store.tenant("acme").refunds.all())
    assert issued == intent.refunded <= intent.amount


async def test_a_refund_request_moves_no_money(retail: Retail) -> None:
    """Somebody asks; nothing is given back until somebody else does it."""
    wanted = {"amount": 2_000, "reason": "late delivery"}
    answer = await retail.ask(
        "payment", "POST", "/payments/intents/pi-1001/refund-requests", wanted, sub="agent-3", roles=("Support",)
    )
    assert (answer.status_code, answer.json()["opened_by"]) == (201, "agent-3")
    assert (await retail.ask("payment", "GET", "/payments/intents/pi-1001")).json()["refunded"] == 0


async def test_the_report_adds_up(retail: Retail) -> None:
    """What was taken by each method is the sum of its captured intents; another tenant's money is not in it."""
    report = (await retail.ask("payment", "GET", "/payments/report")).json()
    taken = {(row["method"], row["currency"]): (row["taken"], row["count"]) for row in report["totals"]}
    assert taken == {
        ("card", "EUR"): (63_380 + 32_890, 2),
        ("cash", "EUR"): (4_370, 1),
        ("gift_card", "EUR"): (3_990, 1),
    }


async def test_intents_are_listed(retail: Retail) -> None:
    """Every intent of the tenant, in order."""
    listed = (await retail.ask("payment", "GET", "/payments/intents", tenant="globex")).json()
    assert [intent["id"] for intent in listed["data"]] == ["pi-5001", "pi-5002", "pi-5003"]
