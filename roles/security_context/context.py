"""Who asks, as a service is told; and whose request is being served here and now.

Every shell around `acceptance` leaves what it found in a context variable as well, so that what is not handed the
request (an audit producer, a logger, a call to another service) need not be told.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

import msgspec

from roles.security_context.claims import Actor

_CURRENT: Final[ContextVar["RequestContext | None"]] = ContextVar("lychgate_request_context", default=None)


class RequestContext(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks, as the gateway says.

    Attributes:
        tenant_id: The only tenant to answer for.
        sub: The principal's name at its issuer; empty for a caller without a credential.
        idp: The configured name of that issuer.
        roles: Our role names, in catalogue order.
        trace_id: 32 hex digits; made here where none came.
        decision_id: Of the gateway's decision; empty where it did not say.
        policy_version: Of the policies that decided.
        act: The service that calls on the principal's behalf, if one does.
        token: The signed context, to be shown when calling another service.
    """

    tenant_id: str
    sub: str
    idp: str
    roles: tuple[str, ...]
    trace_id: str
    decision_id: str
    policy_version: str
    act: Actor | None
    token: str

    def __repr__(self) -> str:
        """Without the token: a repr ends up in logs."""
        return f"RequestContext({self.tenant_id}/{self.sub}, {','.join(self.roles)}, trace {self.trace_id})"

    @property
    def on_behalf_by(self) -> str | None:
        """The service that passed the request on, if one did."""
        return self.act.sub if self.act is not None else None


def current_context() -> RequestContext | None:
    """Whose request is being served; None outside of one, and where nobody was believed."""
    return _CURRENT.get()


def serving(context: RequestContext | None) -> None:
    """Say whose request is served from here on; None: nobody's."""
    _CURRENT.set(context)


@contextmanager
def on_behalf_of(context: RequestContext) -> Iterator[None]:
    """Serve this request within the block: for what goes on elsewhere, a worker's job or a test."""
    token = _CURRENT.set(context)
    try:
        yield
    finally:
        _CURRENT.reset(token)
