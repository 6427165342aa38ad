"""Events of `payment`. Generated from the registry of event types: change it there."""

from typing import ClassVar, Literal, TypeAlias

from audit.event import Severity
from audit.registry.typed import TypedEvent


class IntentCreated(TypedEvent, frozen=True):
    """The taking of an order's money began."""

    event_type: ClassVar[str] = "payment.intent.created"
    action: ClassVar[str | None] = "payment:create"
    resource_type: ClassVar[str | None] = "Payment"
    crud: ClassVar[str | None] = "c"


class IntentConfirmed(TypedEvent, frozen=True, kw_only=True):
    """The money was taken, and the order is paid.

    Attributes:
        amount: What was taken; in minor units of the currency; from 0.
        currency: ISO 4217; at most 3 characters.
        order_id: The order that is paid; at most 64 characters.
    """

    event_type: ClassVar[str] = "payment.intent.confirmed"
    action: ClassVar[str | None] = "payment:confirm"
    resource_type: ClassVar[str | None] = "Payment"
    crud: ClassVar[str | None] = "u"
    amount: int
    currency: str
    order_id: str


class IntentCancelled(TypedEvent, frozen=True):
    """An intent was given up before its money was taken."""

    event_type: ClassVar[str] = "payment.intent.cancelled"
    action: ClassVar[str | None] = "payment:cancel"
    resource_type: ClassVar[str | None] = "Payment"
    crud: ClassVar[str | None] = "u"


class RefundIssued(TypedEvent, frozen=True, kw_only=True):
    """Money was given back.

    Attributes:
        amount: What was given back, or was to be; in minor units of the currency; from 0.
        currency: ISO 4217; at most 3 characters.
        refund_id: The refund it became; at most 64 characters.
    """

    event_type: ClassVar[str] = "payment.refund.issued"
    action: ClassVar[str | None] = "payment:refund"
    resource_type: ClassVar[str | None] = "Payment"
    crud: ClassVar[str | None] = "u"
    severity: ClassVar[Severity] = Severity.NOTICE
    amount: int
    currency: str
    refund_id: str


class RefundRequested(TypedEvent, frozen=True, kw_only=True):
    """Somebody who may not give money back asked for it.

    Attributes:
        request_id: The request it became; at most 64 characters.
    """

    event_type: ClassVar[str] = "payment.refund.requested"
    action: ClassVar[str | None] = "payment:request_refund"
    resource_type: ClassVar[str | None] = "Payment"
    crud: ClassVar[str | None] = "c"
    request_id: str


EventName: TypeAlias = Literal[
    "payment.intent.created",
    "payment.intent.confirmed",
    "payment.intent.cancelled",
    "payment.refund.issued",
    "payment.refund.requested",
]
"""Every name of an event here, for who passes names along."""
