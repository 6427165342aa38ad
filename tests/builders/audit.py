"""Builders of audit values."""

from typing import Any

import msgspec

from audit.codec import timestamp
from audit.event import (
    Actor,
    AuditEvent,
    Client,
    Decision,
    Kind,
    Outcome,
    Phase,
    Producer,
    Request,
    Resource,
)
from audit.ids import id_ms

_PLAIN = AuditEvent(
    event_id="01990000-0000-7000-8000-000000000000",
    phase=Phase.SINGLE,
    event_type="authz.decision.evaluated",
    kind=Kind.DECISION,
    tenant_id="acme",
    occurred_at="2026-11-23T15:00:00.000000Z",
    producer=Producer("test", 1, 1),
    actor=Actor("user", "u-1", ("Cashier",), "jwt", "dev"),
    client=Client("10.0.0.1", "curl/8"),
    action="order:read",
    crud="r",
    resource=Resource("Order", "o-1"),
    decision=Decision("allow", ("order.cashier-reads",), policy_version="abc", duration_us=12),
    outcome=Outcome.SUCCESS,
    status=200,
    latency_us=500,
    request=Request("GET", "/orders/{order_id}", "order"),
    trace_id="4bf92f3577b34da6a3ce929d0e0e4736",
)


def make_event(**fields: Any) -> AuditEvent:
    """An event of an allowed read; fields as given. Its time is its id's, unless said otherwise."""
    event: AuditEvent = msgspec.structs.replace(_PLAIN, **fields)
    if "event_id" in fields and "occurred_at" not in fields:
        try:
            at_ms = id_ms(event.event_id)
        except ValueError:
            return event
        event = msgspec.structs.replace(event, occurred_at=timestamp(at_ms * 1_000_000))
    return event
