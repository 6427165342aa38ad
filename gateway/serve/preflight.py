"""A CORS preflight: a browser asks on behalf of a page whether it may send a request. Answered here, before identity.

It carries no credential, so nothing is told that a stranger may not know: that a path has a route for a method can be
found out by asking for it. A path or a method without a route is refused as the request itself would be.
"""

from gateway.case import Case
from gateway.errors import BadRequest
from gateway.forward.headers import DECISION, TRACE
from gateway.route.cors import Fields, asked_method, is_preflight, methods_for
from gateway.snapshot import Snapshot
from gateway.wire.target import normal_path

_NO_CONTENT = 204


def preflight(case: Case, snapshot: Snapshot) -> Fields:
    """What a request is answered with, if it is a preflight for a service with `cors` settings.

    Args:
        case: With its head; learns path, route, status, and whether the page may go on.
        snapshot: What to judge by.

    Returns:
        The fields of the answer; none where the request is to be judged as any other.

    Raises:
        GatewayError: The path is ambiguous or has no route for the method, or the question is no single one.
    """
    head = case.head
    if head is None or not is_preflight(head):
        return ()
    path = case.path = normal_path(head.target)
    method = asked_method(head)
    if method is None:
        raise BadRequest("preflight: not one question")
    match = snapshot.routes.match(method, path.segments)
    cors = snapshot.cors.services.get(match.route.service)
    if cors is None:
        return ()
    case.match = match
    fields, case.cors_granted = cors.preflight(head, methods_for(snapshot.routes, match.route.service, path.segments))
    case.status = _NO_CONTENT
    return fields


def preflight_response(case: Case, fields: Fields, *, close: bool) -> bytes:
    """The whole answer."""
    lines = [
        b"HTTP/1.1 204 No Content",
        b"%b: %b" % (TRACE, case.trace_id.encode("ascii")),
        b"%b: %b" % (DECISION, case.event_id.encode("ascii")),
        *(b"%b: %b" % pair for pair in fields),
    ]
    if close:
        lines.append(b"connection: close")
    return b"\r\n".join((*lines, b"\r\n"))
