"""Forward-auth as nginx (`auth_request`), Traefik (ForwardAuth) and Caddy (`forward_auth`) ask. Pure.

The question is a request of the proxy's own, with the client's fields and, in fields, the client's request. There are
two sets of names: `X-Forwarded-Method` and `X-Forwarded-Uri`, and nginx's `X-Original-Method` and `X-Original-URI`. A
proxy overwrites the set it uses and may let the client's own copies of the other one through; so a set counts only as a
whole, and where both are there they must say the same.
"""

from collections.abc import Callable
from typing import Final

from gateway.doors.asked import Allowed, Asked, Denied, Fields
from gateway.errors import BadRequest, Code
from gateway.forward.headers import DECISION, TRACE
from gateway.model import Peer
from gateway.serve.refusal import body

PATH: Final = b"/authz/forward"
CODE: Final = b"x-lychgate-code"
"""The field that tells the code where the status cannot."""

_SETS: Final = ((b"x-forwarded-method", b"x-forwarded-uri"), (b"x-original-method", b"x-original-uri"))
_OF_THE_QUESTION: Final = frozenset({b"host", b"connection", b"content-length", b"transfer-encoding", b"te", b"expect"})
"""What belongs to the proxy's own request and not to the client's."""
_TOLD: Final = (b"x-forwarded-", b"x-original-")

Client = Callable[[Peer, Fields], Peer]
"""For whom a believed proxy speaks: `gateway.serve.hops.TrustedHops.client`."""


def read(proxy: Peer, headers: Fields, client: Client) -> Asked:
    """The client's request.

    Args:
        proxy: Who asks, and is believed.
        headers: Of its question.
        client: Reads `X-Forwarded-For`.

    Raises:
        BadRequest: It tells no request, half of one, or two.
    """
    method, target = _request(headers)
    return Asked(
        client=client(proxy, headers), method=method, target=target, headers=without_question(headers, told=_TOLD)
    )


def without_question(headers: Fields, told: tuple[bytes, ...] = ()) -> Fields:
    """The client's fields among those of a question; `told` are beginnings of names that tell of the request."""
    return tuple(
        pair for pair in headers if pair[0] not in _OF_THE_QUESTION and not (told and pair[0].startswith(told))
    )


def _request(headers: Fields) -> tuple[bytes, bytes]:
    found = [told for names in _SETS if (told := _told(headers, *names)) is not None]
    if not found:
        raise BadRequest("door: the proxy does not tell method and uri")
    if any(told != found[0] for told in found):
        raise BadRequest("door: X-Original and X-Forwarded tell different requests")
    return found[0]


def _told(headers: Fields, method: bytes, uri: bytes) -> tuple[bytes, bytes] | None:
    """What one set of names says; None where it is not used."""
    methods = [value for name, value in headers if name == method]
    uris = [value for name, value in headers if name == uri]
    if not methods and not uris:
        return None
    if len(methods) != 1 or len(uris) != 1:
        raise BadRequest(f"door: {method.decode()} and {uri.decode()} are not there once each")
    return methods[0], uris[0]


def answer(told: Allowed | Denied) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """Status, fields and body: 200 with what the service must be sent, 401, or 403 for everything else.

    nginx makes a 500 of any other status.
    """
    if isinstance(told, Allowed):
        return 200, [*told.fields, (b"cache-control", b"no-store")], b""
    unknown = told.error.code.status == Code.UNAUTHENTICATED.status
    return (401 if unknown else 403), refusal_fields(told, all_fields=unknown), body(told.error, told.trace_id)


def refusal_fields(told: Denied, *, all_fields: bool) -> list[tuple[bytes, bytes]]:
    """The fields of a refusal; `all_fields` for those that belong to its real status as well."""
    return [
        (CODE, told.error.code.word.encode("ascii")),
        (TRACE, told.trace_id.encode("ascii")),
        (DECISION, told.decision_id.encode("ascii")),
        (b"content-type", b"application/json"),
        (b"cache-control", b"no-store"),
        *(told.error.headers if all_fields else ()),
    ]
