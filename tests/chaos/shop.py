"""The load: people and strangers at the public port, and for each request what was asked and what was seen of it.

Every request brings a trace id of its own, so each record in the store can be held against the one request it is of.
"""

import asyncio
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

PATIENCE_S = 10.0
ENOUGH, _LONGER_S = 20, 40.0
"""Changes that must have been answered, and how much longer it may take on a machine that does much else."""
TENANTS = {"acme": ("ACM-TUBE-28", "o-1001"), "globex": ("GLX-PEN-GEL07", "o-5001")}
"""A shop, something it sells, and an order that is there from the beginning."""
ROLES = ("Cashier", "InventoryClerk", "Manager")
PEOPLE = 3
"""With each role, in each shop."""
NETWORKS = ("198.51.100", "203.0.113", "192.0.2", "198.18.7")
"""Where strangers come from, a /24 each."""
_FLOOD = 6
"""Strangers' requests at once."""


@dataclass(frozen=True)
class Ask:
    """What is asked, and what its records must say.

    Attributes:
        name: In the tally.
        method: Of the request.
        route: The template of the route, None where there is none.
        action: What Cedar is asked.
        resource: Type and id.
        role: Of the caller; None for a stranger.
        durable: Whether its route promises that an allow is on disk before it takes effect.
        domain: The event that the service leaves of it.
    """

    name: str
    method: str
    route: str | None
    action: str | None
    resource: tuple[str, str] | None
    role: str | None = None
    durable: bool = False
    domain: str | None = None


@dataclass
class Asked:
    """One request and what was seen of it. Times are the system's.

    Attributes:
        ask: What.
        trace_id: Its own.
        tenant: Of the caller's token; `-` for a stranger.
        user: The caller; None for a stranger.
        address: Where it says it comes from.
        resource_id: Where the template's id is the request's.
        began_at: When it was sent.
        ended_at: When the answer had come, or the hope for one had gone.
        status: None where no answer came: then anything may have happened, but once and right.
        code: The gateway's own, where it was the gateway that answered.
        decision_id: As the answer names it.
    """

    ask: Ask
    trace_id: str
    tenant: str
    user: str | None
    address: str
    resource_id: str | None
    began_at: float
    ended_at: float = 0.0
    status: int | None = None
    code: str | None = None
    decision_id: str | None = None

    @property
    def known(self) -> bool:
        """Whether the caller proves who they are."""
        return self.user is not None

    @property
    def network(self) -> str:
        """The /24 a stranger's refusal is counted under."""
        return self.address.rpartition(".")[0]


SELL = Ask("sell", "POST", "/orders", "order:create", ("Order", "*"), "Cashier", True, "order.order.created")
NOTE = Ask("note", "PATCH", "/orders/{order_id}", "order:update", ("Order", ""), "Cashier", True, "order.order.updated")
DISCOUNT = Ask(
    "discount", "POST", "/orders/{order_id}/discount", "order:discount", ("Order", ""), "Cashier", True,
    "order.order.discounted",
)  # fmt: skip
RECEIVE = Ask(
    "receive", "POST", "/inventory/stock/{sku}/receive", "inventory:receive", ("Stock", ""), "InventoryClerk", True,
    "inventory.stock.received",
)  # fmt: skip
EXPORT = Ask(
    "export", "GET", "/orders/export", "order:export", ("Order", "*"), "Manager", True, "order.orders.exported"
)
FORBIDDEN = Ask("forbidden", "POST", "/products", "product:create", ("Product", "*"), "Cashier", True)
EXCESS = Ask("excess discount", "POST", "/orders/{order_id}/discount", "order:discount", ("Order", ""), "Cashier", True)
TRESPASS = Ask("trespass", "GET", "/orders", "order:list", None, "Cashier")
PEEK = Ask("forbidden read", "GET", "/orders/export", "order:export", ("Order", "*"), "Cashier", True)
LIST = Ask("list", "GET", "/orders", "order:list", ("Order", "*"), "Cashier")
READ = Ask("read", "GET", "/orders/{order_id}", "order:read", ("Order", ""), "Cashier")
BROWSE = Ask("browse", "GET", "/catalog/{tenant}/products", "product:browse", ("Product", "*"))
STRANGER = Ask("stranger", "GET", "/orders", "order:list", None)
FORGER = Ask("forger", "GET", "/products", "product:list", None)
LOST = Ask("lost", "GET", None, None, None)

_OFTEN: Mapping[str, tuple[Ask, int]] = {
    ask.name: (ask, weight)
    for ask, weight in (
        (SELL, 22), (NOTE, 10), (DISCOUNT, 8), (RECEIVE, 8), (EXPORT, 2),
        (FORBIDDEN, 8), (EXCESS, 4), (TRESPASS, 6), (PEEK, 3),
        (LIST, 8), (READ, 10), (BROWSE, 5), (STRANGER, 3), (FORGER, 2), (LOST, 1),
    )
}  # fmt: skip
_BODIES: Mapping[str, Callable[[random.Random, str], Any]] = {
    SELL.name: lambda _, sku: {"lines": [{"sku": sku, "quantity": 1}], "note": "chaos"},
    NOTE.name: lambda dice, _: {"note": f"n{dice.randrange(1000)}"},
    DISCOUNT.name: lambda dice, _: {"percent": dice.randint(1, 10)},
    EXCESS.name: lambda dice, _: {"percent": dice.randint(11, 100)},
    RECEIVE.name: lambda *_: {"quantity": 1},
    FORBIDDEN.name: lambda _, sku: {"sku": sku},
}
FOLDED = frozenset({STRANGER.name, FORGER.name, LOST.name})
"""Refused before anybody knows who asks: counted with those alike."""


@dataclass
class Shop:
    """People who ask for a while.

    Args:
        url: The public port.
        mint: A token for roles, tenant and user.
        dice: What is asked is drawn from it.
        rate: Requests a second, all together, about.
        clients: How many ask at the same time.
    """

    url: str
    mint: Callable[[str, str, str], str]
    dice: random.Random
    rate: float
    clients: int = 16
    asked: list[Asked] = field(default_factory=list)
    _orders: dict[str, list[str]] = field(default_factory=lambda: {tenant: [] for tenant in TENANTS})
    _changes: int = 0
    _tokens: dict[tuple[str, str, int], tuple[str, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Ready to begin at once: tokens and client cost a second on a busy machine."""
        self._http = httpx.AsyncClient(base_url=self.url, timeout=PATIENCE_S, trust_env=False)
        for role in ROLES:
            for tenant in TENANTS:
                for number in range(PEOPLE):
                    user = f"{role.lower()}-{tenant}-{number}"
                    self._tokens[role, tenant, number] = (user, self.mint(role, tenant, user))

    async def run(self, seconds: float) -> None:
        """Ask for that long; returns when every answer has come or been given up."""
        until = time.monotonic() + seconds
        async with self._http as http, asyncio.TaskGroup() as people:
            for _ in range(self.clients):
                people.create_task(self._client(http, until))

    async def _client(self, http: httpx.AsyncClient, until: float) -> None:
        """One request after the other; who is cut off comes again."""
        asks, weights = zip(*_OFTEN.values(), strict=True)
        while True:
            await asyncio.sleep(self.dice.expovariate(self.rate / self.clients))
            now = time.monotonic()
            if now >= until + (0.0 if self._changes >= ENOUGH else _LONGER_S):
                return
            [ask] = self.dice.choices(asks, weights)
            if ask is STRANGER:  # who knocks once knocks often
                prefix = self.dice.choice(NETWORKS)
                async with asyncio.TaskGroup() as flood:
                    for _ in range(_FLOOD):
                        flood.create_task(self._ask(http, ask, prefix))
            else:
                await self._ask(http, ask, self.dice.choice(NETWORKS))

    async def _ask(self, http: httpx.AsyncClient, ask: Ask, prefix: str) -> None:
        tenant = self.dice.choice(list(TENANTS))
        trace_id = f"{self.dice.getrandbits(128) or 1:032x}"
        headers = {
            "traceparent": f"00-{trace_id}-{self.dice.getrandbits(64) or 1:016x}-01",
            "x-forwarded-for": f"{prefix}.{self.dice.randint(1, 254)}",
        }
        user = None
        if ask.role is not None:
            user, token = self._tokens[ask.role, tenant, self.dice.randrange(PEOPLE)]
            headers["authorization"] = f"Bearer {token}"
        elif ask is FORGER:
            headers["authorization"] = "Bearer of.bad.news"
        path, resource_id, body = self._target(ask, tenant)
        if ask is TRESPASS:
            headers["x-tenant-id"] = next(other for other in TENANTS if other != tenant)
        if ask.name in FOLDED:
            tenant = "-"
        asked = Asked(ask, trace_id, tenant, user, headers["x-forwarded-for"], resource_id, time.time())
        self.asked.append(asked)
        try:
            answer = await http.request(ask.method, path, headers=headers, json=body)
        except httpx.TransportError:
            return
        else:
            self._saw(asked, answer)
        finally:
            asked.ended_at = time.time()

    def _target(self, ask: Ask, tenant: str) -> tuple[str, str | None, Any]:
        """Path, the id in it, and the body."""
        sku, first = TENANTS[tenant]
        order = self.dice.choice([first, *self._orders[tenant][-50:]])
        path = (ask.route or "/nowhere").format(tenant=tenant, order_id=order, sku=sku)
        named = next((value for value in (order, sku) if path.find(f"/{value}") >= 0), None)
        body = _BODIES.get(ask.name)
        return path, named, body(self.dice, sku) if body is not None else None

    def _saw(self, asked: Asked, answer: httpx.Response) -> None:
        asked.status = answer.status_code
        asked.decision_id = answer.headers.get("x-decision-id")
        try:
            said = answer.json() if answer.headers.get("content-type") == "application/json" else {}
        except ValueError:
            said = {}
        # A service's refusal looks like the gateway's, but a service's answer says when it was given.
        if answer.status_code >= 400 and "date" not in answer.headers and isinstance(said, dict):
            asked.code = str(said.get("code"))
        self._changes += asked.ask.durable and asked.code is None
        if asked.ask is SELL and answer.status_code == 201:
            self._orders[asked.tenant].append(str(said.get("id")))
