"""A day in two shops, in a minute: who works there, and who should not be there.

`make load` runs it against `lychgate up`, through `load/shop.py`, which makes the tokens and names their file in
SHOP_TOKENS. Every answer is compared with what that caller must get for that request: an allow that fails and a
refusal that does not come are both failures, and one of them fails the run.
"""

import json
import os
import random
from collections import deque
from pathlib import Path
from typing import Any, ClassVar

from locust import FastHttpUser, LoadTestShape, between, constant_pacing, task

TOKENS: dict[str, Any] = json.loads(Path(os.environ["SHOP_TOKENS"]).read_text(encoding="utf-8"))
SECONDS = float(os.environ.get("SHOP_SECONDS", "60"))
GOODS = {
    "acme": ("ACM-HELM-M", "ACM-LOCK-U", "ACM-LAMP-F", "ACM-TUBE-28", "ACM-PUMP-FLR", "ACM-GLOV-L"),
    "globex": ("GLX-PEN-GEL07", "GLX-NOTE-A5", "GLX-DESK-LMP", "GLX-TAPE-CLR", "GLX-CALC-SCI"),
}
FIRST = {"acme": 1001, "globex": 5001}
"""Where the sample data's ids begin (services/seed.py)."""
PEOPLE = {"acme": 4, "globex": 3}
PHONES = {"acme": ("+46 70 555 0112", "+49 151 555 0178"), "globex": ("+1 415 555 0134", "+1 206 555 0187")}
RETURNS = {tenant: deque[tuple[str, int]](maxlen=200) for tenant in GOODS}
"""Paid payments and what is left to give back; the one who takes an entry out is the only one who gives it back."""
ORDERS = {tenant: deque((f"o-{first}",), maxlen=500) for tenant, first in FIRST.items()}
REFUND_LIMIT = 50_000
"""In minor units, what a manager gives back at most (policies/payment.cedar)."""


class Person(FastHttpUser):
    """Somebody with a token of their own."""

    abstract = True
    work: ClassVar[str]
    """Whose tokens, in the file of SHOP_TOKENS."""

    def on_start(self) -> None:
        """Come to work: in a shop, under a name."""
        self.tenant = random.choice(tuple(GOODS))
        self.token: str = random.choice(TOKENS[self.work][self.tenant])

    def ask(
        self,
        method: str,
        path: str,
        expected: int,
        *,
        code: str | None = None,
        name: str | None = None,
        body: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
    ) -> Any:
        """Send a request and hold the answer against what it must be.

        Args:
            method: Of HTTP.
            path: And query.
            expected: The one right status.
            code: The refusal's code, where it is to be one of the gateway's.
            name: Under which answers are summed up.
            body: Sent as JSON.
            headers: Instead of this person's token.

        Returns:
            The body; None when the answer was not the right one.
        """
        sent = {"authorization": f"Bearer {self.token}"} if headers is None else headers
        label = f"{name or path} ({code or expected})"
        with self.client.request(method, path, json=body, headers=sent, name=label, catch_response=True) as answer:
            text = answer.text or ""
            if answer.status_code != expected:
                answer.failure(f"{expected} expected: {answer.status_code} {text[:200]}")
                return None
            found = json.loads(text) if text and "json" in answer.headers.get("content-type", "") else None
            if code is not None and (found.get("code") != code or not found.get("trace_id")):
                answer.failure(f"{code} expected: {text[:200]}")
                return None
            answer.success()
            return found

    def customer(self) -> str:
        """Somebody the shop knows."""
        return f"c-{FIRST[self.tenant] + random.randrange(PEOPLE[self.tenant])}"


class AtTheTill(Person):
    """Sells all day; now and then tries what only the boss may."""

    work = "till"
    weight = 10
    wait_time = between(0.2, 1.0)

    @task(6)
    def sell(self) -> None:
        """Scan, take the money, book the points."""
        skus = random.sample(GOODS[self.tenant], random.randint(1, 3))
        lines = [{"sku": sku, "quantity": random.randint(1, 3)} for sku in skus]
        order = self.ask("POST", "/orders", 201, body={"customer_id": self.customer(), "lines": lines})
        if order is None:
            return
        ORDERS[self.tenant].append(order["id"])
        method = random.choice(("cash", "card"))
        how = {"method": method, **({"card_last4": "4242"} if method == "card" else {})}
        intent = self.ask("POST", "/payments/intents", 201, body={"order_id": order["id"], **how})
        if intent is None:
            return
        path = f"/payments/intents/{intent['id']}/confirm"
        if self.ask("POST", path, 200, name="/payments/intents/:id/confirm") is not None:
            RETURNS[self.tenant].append((intent["id"], intent["amount"]))

    @task(4)
    def browse(self) -> None:
        """Look something up on the shelf list."""
        self.ask("GET", "/products", 200)
        product = f"p-{FIRST[self.tenant] + random.randrange(6)}"
        self.ask("GET", f"/products/{product}", 200, name="/products/:id")

    @task(2)
    def recognise(self) -> None:
        """Find a customer by telephone number."""
        phone = random.choice(PHONES[self.tenant]).replace("+", "%2B").replace(" ", "%20")
        self.ask("GET", f"/customers/lookup?phone={phone}", 200, name="/customers/lookup")

    @task(1)
    def overstep(self) -> None:
        """Give money back without the manager: refused, and recorded."""
        path = f"/payments/intents/pi-{FIRST[self.tenant]}/refunds"
        body = {"amount": 100, "reason": "customer in a hurry"}
        self.ask("POST", path, 403, code="forbidden", name="/payments/intents/:id/refunds", body=body)


class AtTheHelpDesk(Person):
    """Looks things up while somebody waits on the telephone."""

    work = "help_desk"
    weight = 4
    wait_time = between(0.5, 1.5)

    @task(5)
    def look_up(self) -> None:
        """Who is it, what have they bought, how are their points."""
        customer = self.customer()
        self.ask("GET", f"/customers/{customer}", 200, name="/customers/:id")
        self.ask("GET", f"/orders/{random.choice(ORDERS[self.tenant])}", 200, name="/orders/:id")
        account = customer.replace("c-", "l-")
        self.ask("GET", f"/loyalty/accounts/{account}/history", 200, name="/loyalty/accounts/:id/history")

    @task(1)
    def ask_for_a_refund(self) -> None:
        """Open a request that somebody else decides."""
        body = {"amount": 100, "reason": "arrived scratched"}
        path = f"/payments/intents/pi-{FIRST[self.tenant]}/refund-requests"
        self.ask("POST", path, 201, name="/payments/intents/:id/refund-requests", body=body)

    @task(1)
    def overstep(self) -> None:
        """Sell something: refused."""
        body = {"lines": [{"sku": GOODS[self.tenant][0], "quantity": 1}]}
        self.ask("POST", "/orders", 403, code="forbidden", body=body)


class InTheOffice(Person):
    """Gives money back within a limit, and reads the books."""

    work = "office"
    weight = 2
    wait_time = between(0.5, 2.0)

    @task(4)
    def refund(self) -> None:
        """Take back what was sold today."""
        if RETURNS[self.tenant]:
            intent, amount = RETURNS[self.tenant].popleft()
            body = {"amount": min(amount, REFUND_LIMIT), "reason": "returned unused"}
            self.ask(
                "POST", f"/payments/intents/{intent}/refunds", 201, name="/payments/intents/:id/refunds", body=body
            )

    @task(1)
    def refund_too_much(self) -> None:
        """More than the limit: refused on the amount that stands in the body."""
        body = {"amount": REFUND_LIMIT + 1, "reason": "a favour"}
        path = f"/payments/intents/pi-{FIRST[self.tenant]}/refunds"
        self.ask("POST", path, 403, code="forbidden", name="/payments/intents/:id/refunds", body=body)

    @task(2)
    def read_the_books(self) -> None:
        """How the day goes."""
        self.ask("GET", "/payments/report", 200)
        self.ask("GET", "/inventory/stock", 200)


class AtTheAudit(Person):
    """Searches what happened; may read nothing else."""

    work = "audit"
    weight = 1
    wait_time = between(1.0, 3.0)

    @task(4)
    def search(self) -> None:
        """Refusals, then one of them in its trace."""
        query = random.choice(("decision=deny", "action=order:create", "action=payment:refund", "severity_gte=warn"))
        found = self.ask("GET", f"/audit/events?limit=20&{query}", 200, name="/audit/events")
        if found and found["data"]:
            trace = random.choice(found["data"])["trace_id"]
            self.ask("GET", f"/audit/trace/{trace}", 200, name="/audit/trace/:id")

    @task(1)
    def overstep(self) -> None:
        """Read the customers: refused."""
        self.ask("GET", "/customers", 403, code="forbidden")


class Stranger(Person):
    """Has stolen, found or made tokens, and tries doors."""

    work = "till"
    weight = 3
    wait_time = constant_pacing(0.2)

    @task(6)
    def bad_token(self) -> None:
        """Expired, forged, of another issuer, without a signature, or not a token at all."""
        kind = random.choice(tuple(TOKENS["bad"]))
        code = "token_expired" if kind == "expired" else "token_invalid"
        path = random.choice(("/orders", "/customers", "/payments/report", "/audit/events"))
        headers = {"authorization": f"Bearer {TOKENS['bad'][kind]}"}
        self.ask("GET", path, 401, code=code, name=f"{kind} token", headers=headers)

    @task(2)
    def no_token(self) -> None:
        """Just asks."""
        self.ask("GET", "/customers", 401, code="unauthenticated", name="no token", headers={})

    @task(2)
    def other_tenant(self) -> None:
        """A good token, and another shop's name in the header."""
        other = next(tenant for tenant in GOODS if tenant != self.tenant)
        headers = {"authorization": f"Bearer {self.token}", "x-tenant-id": other}
        self.ask("GET", "/orders", 403, code="tenant_mismatch", name="another tenant", headers=headers)

    @task(1)
    def made_up_context(self) -> None:
        """A security context of one's own is no credential."""
        headers = {"x-security-context": TOKENS["bad"]["unsigned"], "x-user-roles": "admin", "x-user-id": "root"}
        self.ask("GET", "/orders", 401, code="unauthenticated", name="made-up context", headers=headers)


class Day(LoadTestShape):
    """Opening, morning, the rush at noon, closing: parts of the whole time, people, people who come a second."""

    stages = ((0.15, 10, 5), (0.5, 40, 10), (0.85, 80, 20), (1.0, 15, 20))

    def tick(self) -> tuple[int, float] | None:
        """How many are there now; None when the day is over."""
        done = self.get_run_time() / SECONDS
        return next(((people, rate) for until, people, rate in self.stages if done < until), None)
