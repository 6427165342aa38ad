"""Events of `integration`. Generated from the registry of event types: change it there."""

from typing import ClassVar, Literal, TypeAlias

from audit.registry.typed import TypedEvent


class PartnerConfigured(TypedEvent, frozen=True):
    """How a partner is connected was changed."""

    event_type: ClassVar[str] = "integration.partner.configured"
    action: ClassVar[str | None] = "integration:configure"
    resource_type: ClassVar[str | None] = "Integration"
    crud: ClassVar[str | None] = "u"


class DeliveryTaken(TypedEvent, frozen=True, kw_only=True):
    """A message was taken in from a partner.

    Attributes:
        delivery_id: The delivery it became; at most 64 characters.
    """

    event_type: ClassVar[str] = "integration.delivery.taken"
    action: ClassVar[str | None] = "integration:deliver"
    resource_type: ClassVar[str | None] = "Integration"
    crud: ClassVar[str | None] = "c"
    delivery_id: str


class DeliveryRetried(TypedEvent, frozen=True):
    """What a partner did not take is sent again."""

    event_type: ClassVar[str] = "integration.delivery.retried"
    action: ClassVar[str | None] = "integration:retry"
    resource_type: ClassVar[str | None] = "Integration"
    crud: ClassVar[str | None] = "u"


class StockSynced(TypedEvent, frozen=True, kw_only=True):
    """Every stock level is sent to a partner.

    Attributes:
        skus: How many stock levels; from 0.
        delivery_id: The delivery they go with; at most 64 characters.
    """

    event_type: ClassVar[str] = "integration.stock.synced"
    action: ClassVar[str | None] = "integration:sync_stock"
    resource_type: ClassVar[str | None] = "Integration"
    crud: ClassVar[str | None] = "c"
    skus: int
    delivery_id: str


EventName: TypeAlias = Literal[
    "integration.partner.configured",
    "integration.delivery.taken",
    "integration.delivery.retried",
    "integration.stock.synced",
]
"""Every name of an event here, for who passes names along."""
