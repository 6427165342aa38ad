"""What the retail back end knows: the frozen values its services keep, answer with and share.

Money is in minor units (cents) beside an ISO 4217 currency; times are RFC 3339 in UTC. No value carries a tenant:
whose it is is settled by the `services.store.TenantData` it lies in.
"""

import secrets
from enum import StrEnum
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

MinorUnits = Annotated[int, Field(ge=0, le=100_000_000)]
"""An amount of money; a million of the major unit is more than any single sale here."""
PositiveMinorUnits = Annotated[int, Field(ge=1, le=100_000_000)]
Quantity = Annotated[int, Field(ge=1, le=100_000)]
MAX_LEVEL = 10_000_000
Level = Annotated[int, Field(ge=0, le=MAX_LEVEL)]
Sku = Annotated[str, StringConstraints(pattern=r"^[A-Z0-9][A-Z0-9-]{2,31}$")]
Currency = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
Email = Annotated[str, StringConstraints(pattern=r"^[^@\s]{1,64}@[^@\s]{1,190}$")]
Phone = Annotated[str, StringConstraints(pattern=r"^\+[0-9 ]{6,20}$")]
PartnerEndpoint = Annotated[str, StringConstraints(pattern=r"^https://[^\s]{4,200}$")]
Text = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")
]
"""One line of words; control characters would end in logs and records."""


def new_id(prefix: str) -> str:
    """An id nobody can guess or collide with, `<prefix>-<16 hex digits>`."""
    return f"{prefix}-{secrets.token_hex(8)}"


class Record(BaseModel):
    """A stored value: replaced whole, never altered in place."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Product(Record):
    """Something on sale."""

    id: str
    sku: Sku
    name: Text
    category: Text
    price: MinorUnits
    currency: Currency
    active: bool = True


class OrderStatus(StrEnum):
    """How far an order has come."""

    PLACED = "placed"
    PAID = "paid"
    FULFILLED = "fulfilled"
    CANCELLED = "cancelled"


class OrderLine(Record):
    """One position of an order, at the price it was sold for."""

    sku: Sku
    name: Text
    quantity: Quantity
    unit_price: MinorUnits


class Order(Record):
    """A sale."""

    id: str
    customer_id: str | None
    status: OrderStatus
    lines: tuple[OrderLine, ...]
    total: MinorUnits
    currency: Currency
    placed_at: AwareDatetime
    placed_by: str
    note: str | None = None


class Place(StrEnum):
    """Where stock lies."""

    SHELF = "shelf"
    BACKROOM = "backroom"


class Stock(Record):
    """How many of one SKU there are, where, and how many of them are promised to orders. The SKU is the id."""

    sku: Sku
    shelf: Level
    backroom: Level
    reserved: Level = 0
    counted_at: AwareDatetime | None = None

    @property
    def on_hand(self) -> int:
        """What there is, promised or not."""
        return self.shelf + self.backroom

    @property
    def available(self) -> int:
        """What can still be promised; below zero when stock went missing after it was promised."""
        return self.on_hand - self.reserved


class MovementKind(StrEnum):
    """Why a stock level changed."""

    RECEIVED = "received"
    COUNTED = "counted"
    ADJUSTED = "adjusted"
    MOVED = "moved"
    RESERVED = "reserved"
    RELEASED = "released"


class StockMovement(Record):
    """One change of a stock level; `quantity` is signed."""

    id: str
    sku: Sku
    kind: MovementKind
    quantity: int
    reason: str | None
    moved_at: AwareDatetime
    moved_by: str


class Tier(StrEnum):
    """A member's standing, from least to most."""

    BRONZE = "bronze"
    SILVER = "silver"
    GOLD = "gold"
    PLATINUM = "platinum"


class LoyaltyAccount(Record):
    """A customer's points."""

    id: str
    customer_id: str
    tier: Tier
    points: Annotated[int, Field(ge=0)]
    enrolled_at: AwareDatetime


class LoyaltyEntry(Record):
    """One line of an account's ledger; `points` is signed."""

    id: str
    account_id: str
    points: int
    reason: Text
    order_id: str | None
    booked_at: AwareDatetime
    booked_by: str


class IntentStatus(StrEnum):
    """Where a payment intent stands: created, then captured or cancelled; a captured one can be refunded."""

    REQUIRES_CONFIRMATION = "requires_confirmation"
    SUCCEEDED = "succeeded"
    CANCELLED = "cancelled"


class PaymentMethod(StrEnum):
    """How it is paid."""

    CARD = "card"
    CASH = "cash"
    GIFT_CARD = "gift_card"


class PaymentIntent(Record):
    """The intention to take an amount for an order, and what became of it.

    Attributes:
        refunded: The sum of refunds issued so far; never above `amount`.
        card_last4: Of a card payment, all that is kept of its number.
    """

    id: str
    order_id: str
    amount: PositiveMinorUnits
    currency: Currency
    method: PaymentMethod
    status: IntentStatus
    refunded: MinorUnits = 0
    card_last4: Annotated[str, StringConstraints(pattern=r"^[0-9]{4}$")] | None = None
    created_at: AwareDatetime


class Refund(Record):
    """Money given back."""

    id: str
    intent_id: str
    amount: PositiveMinorUnits
    reason: Text
    issued_at: AwareDatetime
    issued_by: str


class RefundRequest(Record):
    """A refund somebody without the right to issue it asks for."""

    id: str
    intent_id: str
    amount: PositiveMinorUnits
    reason: Text
    opened_at: AwareDatetime
    opened_by: str


class Customer(Record):
    """A person; everything but the id is personal data."""

    id: str
    name: Text
    email: Email
    phone: Phone | None = None
    marketing_consent: bool = False
    since: AwareDatetime


class Partner(Record):
    """Another company's system that sends and is sent messages."""

    id: str
    name: Text
    kind: Text
    endpoint: PartnerEndpoint
    enabled: bool = True


class DeliveryStatus(StrEnum):
    """Whether a partner has taken a message."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"


class Delivery(Record):
    """One message from or to a partner."""

    id: str
    partner_id: str
    subject: Text
    status: DeliveryStatus
    attempts: Annotated[int, Field(ge=0)]
    updated_at: AwareDatetime
