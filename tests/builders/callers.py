"""Who asks, for tests of the audit, which knows the shape alone."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Caller:
    """A `audit.caller.Caller`."""

    tenant_id: str = "acme"
    sub: str = "u-1"
    idp: str = "dev"
    roles: tuple[str, ...] = ("Cashier",)
    trace_id: str = "4bf92f3577b34da6a3ce929d0e0e4736"
    decision_id: str = "d-1"
    on_behalf_by: str | None = None
