"""Events of `inventory`. Generated from the registry of event types: change it there."""

from typing import ClassVar, Literal, TypeAlias

from audit.registry.typed import TypedEvent


class StockReceived(TypedEvent, frozen=True, kw_only=True):
    """Goods were booked in.

    Attributes:
        quantity: How many, negative where they went; in pieces.
    """

    event_type: ClassVar[str] = "inventory.stock.received"
    action: ClassVar[str | None] = "inventory:receive"
    resource_type: ClassVar[str | None] = "Stock"
    crud: ClassVar[str | None] = "u"
    quantity: int


class StockCounted(TypedEvent, frozen=True, kw_only=True):
    """A stock level was set to what was counted.

    Attributes:
        quantity: How many, negative where they went; in pieces.
    """

    event_type: ClassVar[str] = "inventory.stock.counted"
    action: ClassVar[str | None] = "inventory:count"
    resource_type: ClassVar[str | None] = "Stock"
    crud: ClassVar[str | None] = "u"
    quantity: int


class StockAdjusted(TypedEvent, frozen=True, kw_only=True):
    """A stock level was corrected.

    Attributes:
        quantity: How many, negative where they went; in pieces.
    """

    event_type: ClassVar[str] = "inventory.stock.adjusted"
    action: ClassVar[str | None] = "inventory:adjust"
    resource_type: ClassVar[str | None] = "Stock"
    crud: ClassVar[str | None] = "u"
    quantity: int


class StockTransferred(TypedEvent, frozen=True, kw_only=True):
    """Goods were carried between backroom and shelf.

    Attributes:
        quantity: How many, negative where they went; in pieces.
    """

    event_type: ClassVar[str] = "inventory.stock.transferred"
    action: ClassVar[str | None] = "inventory:transfer"
    resource_type: ClassVar[str | None] = "Stock"
    crud: ClassVar[str | None] = "u"
    quantity: int


class StockReserved(TypedEvent, frozen=True, kw_only=True):
    """Goods were promised to an order.

    Attributes:
        quantity: How many, negative where they went; in pieces.
    """

    event_type: ClassVar[str] = "inventory.stock.reserved"
    action: ClassVar[str | None] = "inventory:reserve"
    resource_type: ClassVar[str | None] = "Stock"
    crud: ClassVar[str | None] = "u"
    quantity: int


class StockReleased(TypedEvent, frozen=True, kw_only=True):
    """A promise of goods was taken back.

    Attributes:
        quantity: How many, negative where they went; in pieces.
    """

    event_type: ClassVar[str] = "inventory.stock.released"
    action: ClassVar[str | None] = "inventory:release"
    resource_type: ClassVar[str | None] = "Stock"
    crud: ClassVar[str | None] = "u"
    quantity: int


EventName: TypeAlias = Literal[
    "inventory.stock.received",
    "inventory.stock.counted",
    "inventory.stock.adjusted",
    "inventory.stock.transferred",
    "inventory.stock.reserved",
    "inventory.stock.released",
]
"""Every name of an event here, for who passes names along."""
