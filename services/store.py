"""The one store all seven services share, kept in memory: a reference back end has no data worth a disk.

In comes a verified tenant id, out goes that tenant's data and nothing else: there is no way to ask for a record
without having said whose, so another tenant's id is simply not found. Called by `services.desk`.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from services.errors import NotFound
from services.records import (
    Customer,
    Delivery,
    LoyaltyAccount,
    LoyaltyEntry,
    Order,
    Partner,
    PaymentIntent,
    Product,
    Record,
    Refund,
    RefundRequest,
    Stock,
    StockMovement,
)

KEPT_MOVEMENTS = 1_000
"""How many stock movements a tenant's log keeps for readers who come late."""

R = TypeVar("R", bound=Record)


class Table(Generic[R]):
    """One tenant's records of one kind, in the order in which they came."""

    def __init__(self, name: str, key: Callable[[R], str]) -> None:
        self.name = name
        self._key = key
        self._rows: dict[str, R] = {}

    def get(self, key: str) -> R:
        """The record.

        Raises:
            NotFound: This tenant has none of that id.
        """
        row = self._rows.get(key)
        if row is None:
            raise NotFound(self.name)
        return row

    def find(self, key: str) -> R | None:
        """The record, or none."""
        return self._rows.get(key)

    def all(self) -> tuple[R, ...]:
        """Every record as of now."""
        return tuple(self._rows.values())

    def where(self, fits: Callable[[R], bool]) -> tuple[R, ...]:
        """Every record that fits."""
        return tuple(row for row in self._rows.values() if fits(row))

    def first(self, fits: Callable[[R], bool]) -> R:
        """The first record that fits.

        Raises:
            NotFound: None does.
        """
        for row in self._rows.values():
            if fits(row):
                return row
        raise NotFound(self.name)

    def put(self, row: R) -> None:
        """Add the record, or replace the one of the same key."""
        self._rows[self._key(row)] = row

    def remove(self, row: R) -> None:
        """Forget the record."""
        self._rows.pop(self._key(row), None)

    def key(self, row: R) -> str:
        """The record's id."""
        return self._key(row)


class MovementLog:
    """A tenant's stock movements, which any number of readers may follow.

    A reader who falls more than `KEPT_MOVEMENTS` behind misses the oldest: memory is bounded by the log, never by how
    slowly somebody reads.
    """

    def __init__(self) -> None:
        self._kept: deque[StockMovement] = deque(maxlen=KEPT_MOVEMENTS)
        self._written = 0
        self._more = asyncio.Event()

    def append(self, movement: StockMovement) -> None:
        """Add a movement and wake the readers."""
        self._kept.append(movement)
        self._written += 1
        self._more.set()
        self._more = asyncio.Event()

    def of(self, sku: str) -> tuple[StockMovement, ...]:
        """The kept movements of one SKU, oldest first."""
        return tuple(movement for movement in self._kept if movement.sku == sku)

    async def follow(self, *, pause_s: float) -> AsyncIterator[StockMovement | None]:
        """Every movement from now on; none after each `pause_s` without one, so that a stream can show it lives."""
        seen = self._written
        while True:
            more = self._more
            behind = min(self._written - seen, len(self._kept))
            seen = self._written
            for movement in list(self._kept)[len(self._kept) - behind :]:
                yield movement
            if seen != self._written:
                continue
            try:
                async with asyncio.timeout(pause_s):
                    await more.wait()
            except TimeoutError:
                yield None


@dataclass(frozen=True, slots=True)
class TenantData:
    """Everything one tenant has.

    Attributes:
        lock: Held while a change is judged, recorded and made, so that what was judged is still true when it is made.
    """

    products: Table[Product] = field(default_factory=lambda: Table("product", lambda row: row.id))
    orders: Table[Order] = field(default_factory=lambda: Table("order", lambda row: row.id))
    stock: Table[Stock] = field(default_factory=lambda: Table("stock", lambda row: row.sku))
    accounts: Table[LoyaltyAccount] = field(default_factory=lambda: Table("loyalty account", lambda row: row.id))
    ledger: Table[LoyaltyEntry] = field(default_factory=lambda: Table("loyalty entry", lambda row: row.id))
    intents: Table[PaymentIntent] = field(default_factory=lambda: Table("payment intent", lambda row: row.id))
    refunds: Table[Refund] = field(default_factory=lambda: Table("refund", lambda row: row.id))
    refund_requests: Table[RefundRequest] = field(default_factory=lambda: Table("refund request", lambda row: row.id))
    customers: Table[Customer] = field(default_factory=lambda: Table("customer", lambda row: row.id))
    partners: Table[Partner] = field(default_factory=lambda: Table("partner", lambda row: row.id))
    deliveries: Table[Delivery] = field(default_factory=lambda: Table("delivery", lambda row: row.id))
    movements: MovementLog = field(default_factory=MovementLog)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class Store:
    """Every tenant's data, apart."""

    def __init__(self) -> None:
        self._tenants: dict[str, TenantData] = {}

    def tenant(self, tenant_id: str) -> TenantData:
        """That tenant's data; a tenant nobody has heard of has none yet."""
        data = self._tenants.get(tenant_id)
        if data is None:
            data = self._tenants[tenant_id] = TenantData()
        return data
