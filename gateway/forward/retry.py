"""Which request may be sent a second time after a service's connection failed. Pure."""

from typing import Final

from gateway.case import Case
from gateway.errors import GatewayError, UpstreamError
from gateway.wire.framing import NO_BODY

_IDEMPOTENT: Final = frozenset({b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE"})
"""RFC 9110 s9.2.2, without TRACE, which is refused. Sent twice they mean the same as once."""
_UNANSWERED: Final = frozenset({"stale", "closed"})


def may_repeat(case: Case, error: GatewayError) -> bool:
    """Whether the request may be sent again, to another connection.

    No byte of an answer has come; the method is idempotent (RFC 9112 s9.3.1 lets nobody but the client repeat any
    other); and the whole request is still in hand: it has no body, or one that was collected for the decision.
    """
    head, match = case.head, case.match
    if head is None or match is None or not isinstance(error, UpstreamError) or error.kind not in _UNANSWERED:
        return False
    return head.method in _IDEMPOTENT and (head.framing == NO_BODY or match.route.reads_body)
