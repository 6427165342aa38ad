"""An event whose type and fields the type checker knows: the base of what is generated from the registry.

    audit.emit(OrderCancelled(order_id="o-1", refund_cents=1200), tenant_id=..., actor=..., trace_id=...)

A class stands for one registered type; its fields are what the registry lets the event's `details` hold.
"""

from typing import Any, ClassVar

import msgspec

from audit.event import Kind, Severity


class TypedEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is particular to one type of event. Its fields are the event's `details`.

    Attributes:
        event_type: The registered name, a past fact: `order.order.cancelled`.
        kind: What sort of thing happened.
        action: The Cedar action it happens under; None where the caller has to say.
        resource_type: The Cedar type of what it happens to; None where the caller has to say.
        crud: What it does to it, one of c r u d x; None where the caller has to say.
        severity: Of a success; a failure is recorded at `error` or what is graver.
    """

    event_type: ClassVar[str]
    kind: ClassVar[Kind] = Kind.DOMAIN
    action: ClassVar[str | None] = None
    resource_type: ClassVar[str | None] = None
    crud: ClassVar[str | None] = None
    severity: ClassVar[Severity] = Severity.INFO

    def details(self) -> dict[str, Any] | None:
        """The fields by name, without those left at a default; None for none."""
        return msgspec.to_builtins(self) or None
