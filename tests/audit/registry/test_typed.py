"""`audit.registry.typed`: an event whose fields are known."""

from typing import ClassVar

from audit.event import Kind, Severity
from audit.registry.typed import TypedEvent


class Cancelled(TypedEvent):
    """A registered type with a field that must be given and one that need not."""

    event_type: ClassVar[str] = "order.order.cancelled"
    refund_cents: int
    reason: str | None = None


def test_details_hold_what_was_given() -> None:
    """A field at its default is left out, as everywhere in an event."""
    assert Cancelled(refund_cents=1200).details() == {"refund_cents": 1200}
    assert Cancelled(refund_cents=0, reason="late").details() == {"refund_cents": 0, "reason": "late"}


def test_no_field_is_no_details() -> None:
    """An event without fields has no `details` at all."""

    class Bare(TypedEvent):
        event_type: ClassVar[str] = "order.order.seen"

    assert Bare().details() is None


def test_what_is_not_said_is_a_domain_event_at_info() -> None:
    """The defaults of a type that says nothing."""
    assert (Cancelled.kind, Cancelled.severity, Cancelled.action) == (Kind.DOMAIN, Severity.INFO, None)
