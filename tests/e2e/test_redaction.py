"""Fields by class through the whole stack: real services, real roles, and the record of it."""

from typing import Any

from tests.e2e.test_first_light import audited
from tests.servers.stack import Stack

MASKED = "***"


async def test_support_sees_customers_masked_and_a_manager_whole(stack: Stack) -> None:
    """One person, a page of them, and the answer to a change: masked for one role, whole for the other; recorded."""
    async with (
        stack.client("Support") as support,
        stack.client("Manager") as manager,
        stack.client("Admin") as admin,
    ):
        everyone = (await manager.get("/customers")).json()["data"]
        assert all("@" in customer["email"] for customer in everyone)
        answer = await support.get("/customers")
        page = answer.json()["data"]
        assert [(one["id"], one["name"]) for one in page] == [(one["id"], one["name"]) for one in everyone]
        assert {one["email"] for one in page} == {MASKED}
        assert {one["phone"] for one in page} <= {MASKED, None}
        assert answer.headers["x-redacted-fields"] == "/data/*/email, /data/*/phone"
        assert answer.headers["cache-control"] == "private, no-store"

        target = f"/customers/{everyone[0]['id']}"
        assert (await support.get(target)).json()["email"] == MASKED
        assert (await manager.get(target)).json()["email"] == everyone[0]["email"]
        changed = await support.patch(target, json={})
        assert (changed.status_code, changed.json()["email"]) == (200, MASKED)
        coded = await support.get(target, headers={"accept-encoding": "gzip", "range": "bytes=0-400"})
        assert (coded.status_code, coded.json()["email"]) == (200, MASKED)

        trace = answer.headers["x-trace-id"]
        event = await audited(admin, lambda item: item["kind"] == "decision", trace_id=trace)
        assert event["details"]["withheld"] == ["pii"]
        assert event["details"]["redacted_fields"] >= len(page)
        assert "@" not in str(event)


async def test_support_sees_a_payment_without_its_card(stack: Stack) -> None:
    """The till sees what a receipt shows; support does not need it."""
    async with stack.client("Support") as support, stack.client("Cashier") as cashier:

        async def card(client: Any, intent: str) -> str | None:
            found: str | None = (await client.get(f"/payments/intents/{intent}")).json()["card_last4"]
            return found

        cards = {intent: await card(cashier, intent) for intent in ("pi-1001", "pi-1002")}
        paid = next(intent for intent, last4 in cards.items() if last4 is not None)
        assert await card(support, paid) == MASKED
