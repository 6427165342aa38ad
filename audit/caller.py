"""Who is behind an event, as a service has it in hand: the request's verified context, by its shape alone.

`roles.security_context.RequestContext` is a `Caller`. The audit imports nothing of `roles`, so it asks for the fields.
"""

from collections.abc import Callable
from typing import Any, Final, Protocol, TypeAlias, runtime_checkable

from audit.event import Actor

DECISION_ID: Final = "decision_id"
ON_BEHALF_BY: Final = "on_behalf_by"
TOLD: Final = (DECISION_ID, ON_BEHALF_BY)
"""What the details of an event of a caller hold besides its own: whose decision it rests on, and who passed it on."""


@runtime_checkable
class Caller(Protocol):
    """Who asks."""

    @property
    def tenant_id(self) -> str:
        """The only tenant to answer for."""

    @property
    def sub(self) -> str:
        """The principal's name at its issuer; empty for nobody known."""

    @property
    def idp(self) -> str:
        """The configured name of that issuer."""

    @property
    def roles(self) -> tuple[str, ...]:
        """Our role names."""

    @property
    def trace_id(self) -> str:
        """Of the request."""

    @property
    def decision_id(self) -> str:
        """Of the gateway's decision; empty where it did not say."""

    @property
    def on_behalf_by(self) -> str | None:
        """The service that passed the request on."""


WhoCalls: TypeAlias = Callable[[], Caller | None]
"""Says whose request is being served here and now: `roles.security_context.current_context` does."""


def actor_of(caller: Caller) -> Actor:
    """The caller as an event names them."""
    if not caller.sub:
        return Actor(type="anonymous", roles=caller.roles)
    return Actor(type="user", id=caller.sub, roles=caller.roles, issuer=caller.idp or None)


def told_of(caller: Caller) -> dict[str, Any]:
    """What the details say of the caller's request."""
    told: dict[str, Any] = {}
    if caller.decision_id:
        told[DECISION_ID] = caller.decision_id
    if caller.on_behalf_by:
        told[ON_BEHALF_BY] = caller.on_behalf_by
    return told
