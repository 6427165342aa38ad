"""What a service is sent for an allowed request: head, context, and the body where it was read."""

from gateway.case import Case
from gateway.errors import Internal
from gateway.forward.context import injected
from gateway.forward.headers import request_head
from gateway.snapshot import Snapshot
from gateway.wire.framing import Ending, Framing


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
    sent = request_head(
        head,
        framing,
        case.path.target,
        address.encode("ascii"),
        fields,
        case.peer.ip,
        pass_authorization=route.pass_authorization,
    )
    return sent + body if route.reads_body else sent
