"""The customer service."""

import pytest

from tests.builders.retail import Retail

MARTA = "/customers/c-1001"


async def test_the_till_finds_a_customer_and_learns_little(retail: Retail) -> None:
    """By card or by telephone, however it is written: a name and the loyalty account, no address, no e-mail."""
    by_card = await retail.ask("customer", "GET", "/customers/lookup?card=l-1001", roles=("Cashier",))
    by_phone = await retail.ask("customer", "GET", "/customers/lookup?phone=%2B46-70-5550112", roles=("Cashier",))
    assert by_card.json() == by_phone.json()
    assert by_card.json() == {"id": "c-1001", "name": "Marta Lindqvist", "loyalty_account_id": "l-1001"}


@pytest.mark.parametrize("query", ["", "?card=l-1001&phone=%2B46705550112"])
async def test_a_lookup_is_by_one_thing(retail: Retail, query: str) -> None:
    """Neither or both of telephone and card is no question."""
    answer = await retail.ask("customer", "GET", f"/customers/lookup{query}")
    assert (answer.status_code, answer.json()["code"]) == (422, "phone_or_card")


async def test_an_update_is_recorded_field_by_field(retail: Retail) -> None:
    """The audit tells which of the person's data were changed, old and new; the others stay out of it."""
    answer = await retail.ask("customer", "PATCH", MARTA, {"email": "marta@example.org"})
    assert (answer.json()["email"], answer.json()["name"]) == ("marta@example.org", "Marta Lindqvist")
    (event,) = await retail.events("customer")
    assert event.event_type == "customer.customer.updated"
    assert [(change.path, change.old, change.new) for change in event.changes] == [
        ("/email", "marta.lindqvist@example.com", "marta@example.org")
    ]


async def test_an_email_belongs_to_one_customer(retail: Retail) -> None:
    """Entering or changing to an address that somebody has is refused; keeping one's own is not."""
    taken = {"name": "Other", "email": "JONAS.weber@example.com"}
    assert (await retail.ask("customer", "POST", "/customers", taken)).json()["code"] == "email_taken"
    edit = {"email": "jonas.weber@example.com"}
    assert (await retail.ask("customer", "PATCH", MARTA, edit)).json()["code"] == "email_taken"
    assert (await retail.ask("customer", "PATCH", "/customers/c-1002", edit)).status_code == 200


async def test_an_address_of_another_tenant_is_free_here(retail: Retail) -> None:
    """Whether another tenant knows a person is never told."""
    new = {"name": "Priya Raman", "email": "priya.raman@example.net"}
    assert (await retail.ask("customer", "POST", "/customers", new)).status_code == 201


async def test_consent_is_noted(retail: Retail) -> None:
    """Consent given and withdrawn is what the customer's record says."""
    for wanted in (False, True):
        answer = await retail.ask("customer", "PUT", f"{MARTA}/consent", {"marketing": wanted})
        assert answer.json()["marketing_consent"] is wanted


async def test_the_export_is_whole_and_recorded(retail: Retail) -> None:
    """A person gets everything that is held on them, and the audit knows that it was given out."""
    dossier = (await retail.ask("customer", "GET", f"{MARTA}/export")).json()
    assert dossier["customer"]["email"] == "marta.lindqvist@example.com"
    assert [account["id"] for account in dossier["accounts"]] == ["l-1001"]
    assert [order["id"] for order in dossier["orders"]] == ["o-1001", "o-1005"]
    (event,) = await retail.events("customer")
    assert event.event_type == "customer.customer.exported"
    assert event.resource is not None
    assert event.resource.id == "c-1001"


async def test_an_erased_person_is_gone_from_everywhere_but_the_books(retail: Retail) -> None:
    """Customer and memberships go, the orders stay without a name, and the record holds nothing of the person."""
    assert (await retail.ask("customer", "DELETE", MARTA)).status_code == 204
    assert (await retail.ask("customer", "GET", MARTA)).status_code == 404
    assert (await retail.ask("loyalty", "GET", "/loyalty/accounts/l-1001")).status_code == 404
    assert (await retail.ask("order", "GET", "/orders/o-1001")).json()["customer_id"] is None
    event, *_ = await retail.events("customer")
    assert (event.event_type, event.crud, event.changes) == ("customer.customer.erased", "d", ())
    assert "Marta" not in repr(event)


async def test_customers_are_listed(retail: Retail) -> None:
    """Every customer of the tenant and none of another."""
    listed = (await retail.ask("customer", "GET", "/customers", tenant="globex")).json()
    assert [row["name"] for row in listed["data"]] == ["Priya Raman", "Tom Becker", "Lucia Moretti"]
