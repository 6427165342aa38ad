"""Events of `order`. Generated from the registry of event types: change it there."""

from typing import ClassVar, Literal, TypeAlias

from audit.registry.typed import TypedEvent


class OrderCreated(TypedEvent, frozen=True):
    """Something was sold."""

    event_type: ClassVar[str] = "order.order.created"
    action: ClassVar[str | None] = "order:create"
    resource_type: ClassVar[str | None] = "Order"
    crud: ClassVar[str | None] = "c"


class OrderUpdated(TypedEvent, frozen=True):
    """A note was made on an order."""

    event_type: ClassVar[str] = "order.order.updated"
    action: ClassVar[str | None] = "order:update"
    resource_type: ClassVar[str | None] = "Order"
    crud: ClassVar[str | None] = "u"


class OrderDiscounted(TypedEvent, frozen=True, kw_only=True):
    """An order was marked down before it was paid.

    Attributes:
        percent: The share of the total, as it was asked for; in per cent; from 1 to 100.
        off: By how much the total fell; in minor units of the currency; from 0.
    """

    event_type: ClassVar[str] = "order.order.discounted"
    action: ClassVar[str | None] = "order:discount"
    resource_type: ClassVar[str | None] = "Order"
    crud: ClassVar[str | None] = "u"
    percent: int
    off: int


class OrderCancelled(TypedEvent, frozen=True, kw_only=True):
    """An order was given up before it was handed over.

    Attributes:
        reason: Why, in the caller's words; at most 200 characters.
    """

    event_type: ClassVar[str] = "order.order.cancelled"
    action: ClassVar[str | None] = "order:cancel"
    resource_type: ClassVar[str | None] = "Order"
    crud: ClassVar[str | None] = "u"
    reason: str


class OrderFulfilled(TypedEvent, frozen=True):
    """A paid order was handed over."""

    event_type: ClassVar[str] = "order.order.fulfilled"
    action: ClassVar[str | None] = "order:fulfil"
    resource_type: ClassVar[str | None] = "Order"
    crud: ClassVar[str | None] = "u"


class OrdersExported(TypedEvent, frozen=True):
    """Every order was handed out."""

    event_type: ClassVar[str] = "order.orders.exported"
    action: ClassVar[str | None] = "order:export"
    resource_type: ClassVar[str | None] = "Order"
    crud: ClassVar[str | None] = "r"


EventName: TypeAlias = Literal[
    "order.order.created",
    "order.order.updated",
    "order.order.discounted",
    "order.order.cancelled",
    "order.order.fulfilled",
    "order.orders.exported",
]
"""Every name of an event here, for who passes names along."""
