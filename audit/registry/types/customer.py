"""Events of `customer`. Generated from the registry of event types: change it there."""

from typing import ClassVar, Literal, TypeAlias

from audit.event import Severity
from audit.registry.typed import TypedEvent


class CustomerCreated(TypedEvent, frozen=True):
    """A customer was entered."""

    event_type: ClassVar[str] = "customer.customer.created"
    action: ClassVar[str | None] = "customer:create"
    resource_type: ClassVar[str | None] = "Customer"
    crud: ClassVar[str | None] = "c"


class CustomerUpdated(TypedEvent, frozen=True):
    """What is known of a customer was corrected."""

    event_type: ClassVar[str] = "customer.customer.updated"
    action: ClassVar[str | None] = "customer:update"
    resource_type: ClassVar[str | None] = "Customer"
    crud: ClassVar[str | None] = "u"


class ConsentChanged(TypedEvent, frozen=True):
    """A customer's consent to hear from the shop was noted."""

    event_type: ClassVar[str] = "customer.consent.changed"
    action: ClassVar[str | None] = "customer:consent"
    resource_type: ClassVar[str | None] = "Customer"
    crud: ClassVar[str | None] = "u"


class CustomerErased(TypedEvent, frozen=True, kw_only=True):
    """A person was forgotten; the record names the id and nothing of what was known.

    Attributes:
        accounts: How many memberships went with it; from 0.
        orders: How many orders stay without a name; from 0.
    """

    event_type: ClassVar[str] = "customer.customer.erased"
    action: ClassVar[str | None] = "customer:erase"
    resource_type: ClassVar[str | None] = "Customer"
    crud: ClassVar[str | None] = "d"
    severity: ClassVar[Severity] = Severity.NOTICE
    accounts: int
    orders: int


class CustomerExported(TypedEvent, frozen=True):
    """Everything that is held on a person was handed out."""

    event_type: ClassVar[str] = "customer.customer.exported"
    action: ClassVar[str | None] = "customer:export"
    resource_type: ClassVar[str | None] = "Customer"
    crud: ClassVar[str | None] = "r"
    severity: ClassVar[Severity] = Severity.NOTICE


EventName: TypeAlias = Literal[
    "customer.customer.created",
    "customer.customer.updated",
    "customer.consent.changed",
    "customer.customer.erased",
    "customer.customer.exported",
]
"""Every name of an event here, for who passes names along."""
