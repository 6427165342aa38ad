"""What a service is sent for an allowed request: head, context, and the body where it was read."""

from typing import Final

from gateway.case import Case
from gateway.errors import Internal
from gateway.forward.context import bound_context, injected, who_asks
from gateway.forward.headers import CONTEXT, DECISION, TRACE, TRACEPARENT, hop_fields, request_head
from gateway.forward.trailers import ASKING, wants_trailers
from gateway.forward.whole import whole_and_plain
from gateway.snapshot import Snapshot
from gateway.wire.framing import Ending, Framing
from roles.errors import ContextUnusable
from roles.security_context.headers import traceparent

_RECALLED: Final = b"%b%b%b" + TRACE + b": %b\r\n" + DECISION + b": %b\r\n" + TRACEPARENT + b": %b\r\n%b\r\n"
"""Request line, the client's fields, who asks, trace, decision, traceparent, hop."""


_BOUND: Final = CONTEXT + b": %b\r\n%b"


def _bound(case: Case, snapshot: Snapshot, tenant: str) -> bytes:
    try:
        return bound_context(case, snapshot, tenant, None).encode("ascii")
    except ContextUnusable as exc:
        raise Internal(f"context: {exc}") from None


def recalled_request(case: Case, snapshot: Snapshot | None) -> bytes:
    """The same as `service_request` for a request that was judged before and whose body is not read.

    Raises:
        Internal: The case is not one of those, or its context cannot be signed.
    """
    target, caller, ruling = case.target, case.caller, case.ruling
    if target is None or caller is None or ruling is None or snapshot is None:
        raise Internal("nothing to forward")
    who = ruling.context
    if ruling.route.changes and who:
        who = _BOUND % (_bound(case, snapshot, case.tenant_id or caller.identity.principal.tenant_id), who)
    elif case.received_at >= ruling.context_until:
        (signed, *plain), until = who_asks(case, snapshot, None)
        kept = b"".join([b"%b: %b\r\n" % pair for pair in plain])
        who = _BOUND % (signed[1], kept)
        ruling.context, ruling.context_until = (who, until) if until else (kept, 0.0)
    trace = case.trace_id.encode("ascii")
    return _RECALLED % (
        target.start,
        caller.passed,
        who,
        trace,
        case.event_id.encode("ascii"),
        traceparent(case.trace_id).encode("ascii"),
        hop_fields(case.peer.ip, case.peer.scheme),
    )


def service_request(case: Case, snapshot: Snapshot | None, body: bytes, address: str) -> bytes:
    """The first bytes of an exchange with a service.

    Args:
        case: Judged, and allowed.
        snapshot: By which it was.
        body: The whole body, where the route reads it; it is framed by its length then.
        address: `host:port` of the instance, for a client that named no host.

    Raises:
        Internal: The case was not judged, or its context cannot be signed.
    """
    head = case.head
    if head is None or snapshot is None or case.match is None or case.path is None:
        raise Internal("nothing to forward")
    route = case.match.route
    framing = Framing(Ending.LENGTH, len(body)) if route.reads_body else head.framing
    fields = injected(case, snapshot, body if route.reads_body else None)
    if route.trailers and not case.withheld and wants_trailers(head):
        fields += ASKING
    sent = request_head(
        whole_and_plain(head) if case.withheld else head,
        framing,
        case.path.target,
        address.encode("ascii"),
        fields,
        case.peer.ip,
        case.peer.scheme,
        pass_authorization=route.pass_authorization,
    )
    return sent + body if route.reads_body else sent
