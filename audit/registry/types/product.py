"""Events of `product`. Generated from the registry of event types: change it there."""

from typing import ClassVar, Literal, TypeAlias

from audit.registry.typed import TypedEvent


class ProductCreated(TypedEvent, frozen=True):
    """Something was put on sale."""

    event_type: ClassVar[str] = "product.product.created"
    action: ClassVar[str | None] = "product:create"
    resource_type: ClassVar[str | None] = "Product"
    crud: ClassVar[str | None] = "c"


class ProductUpdated(TypedEvent, frozen=True):
    """A product's description was corrected."""

    event_type: ClassVar[str] = "product.product.updated"
    action: ClassVar[str | None] = "product:update"
    resource_type: ClassVar[str | None] = "Product"
    crud: ClassVar[str | None] = "u"


class PriceChanged(TypedEvent, frozen=True):
    """A product's price was set."""

    event_type: ClassVar[str] = "product.price.changed"
    action: ClassVar[str | None] = "product:price"
    resource_type: ClassVar[str | None] = "Product"
    crud: ClassVar[str | None] = "u"


class ProductRetired(TypedEvent, frozen=True):
    """A product was taken off sale."""

    event_type: ClassVar[str] = "product.product.retired"
    action: ClassVar[str | None] = "product:retire"
    resource_type: ClassVar[str | None] = "Product"
    crud: ClassVar[str | None] = "u"


class AssortmentImported(TypedEvent, frozen=True, kw_only=True):
    """One batch of a feed of products was taken in.

    Attributes:
        rows: How many lines the batch had; from 0.
        created: How many were new; from 0.
        updated: How many were known; from 0.
        rejected: How many lines of the feed were left out; from 0.
    """

    event_type: ClassVar[str] = "product.assortment.imported"
    action: ClassVar[str | None] = "product:import"
    resource_type: ClassVar[str | None] = "Product"
    crud: ClassVar[str | None] = "c"
    rows: int
    created: int
    updated: int
    rejected: int | None = None


class AssortmentExported(TypedEvent, frozen=True):
    """The whole assortment was handed out."""

    event_type: ClassVar[str] = "product.assortment.exported"
    action: ClassVar[str | None] = "product:export"
    resource_type: ClassVar[str | None] = "Product"
    crud: ClassVar[str | None] = "r"


EventName: TypeAlias = Literal[
    "product.product.created",
    "product.product.updated",
    "product.price.changed",
    "product.product.retired",
    "product.assortment.imported",
    "product.assortment.exported",
]
"""Every name of an event here, for who passes names along."""
