"""What a proxy asks at a door, and what it is told; and the head that the stages read. Pure."""

from typing import Final

import msgspec

from gateway.errors import BadRequest, Code, GatewayError, MethodNotAllowed, TooLarge
from gateway.limits import Limits
from gateway.model import Peer
from gateway.wire.framing import NO_BODY, Framing
from gateway.wire.grammar import is_token
from gateway.wire.head import Head

Fields = tuple[tuple[bytes, bytes], ...]
"""Header fields, names in lower case, in order."""

FORWARD: Final = "forward"
ENVOY_HTTP: Final = "ext_authz_http"
ENVOY_GRPC: Final = "ext_authz_grpc"
DOORS: Final = (FORWARD, ENVOY_HTTP, ENVOY_GRPC)
"""As metrics and records name them."""

_LINE_REST: Final = len(b"  HTTP/1.1")
_NEVER: Final = frozenset({b"CONNECT", b"TRACE"})
"""RFC 9110 s9.3.6, s9.3.8: refused on the public port as well (`gateway.wire.head`)."""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A client's request, as the proxy that holds it describes it.

    Attributes:
        client: For whom the proxy speaks.
        method: As the client sent it.
        target: Path and query, byte for byte what the proxy will forward.
        headers: What the client sent, without what the proxy added for this question.
        framing: How the client's body ends, where the door tells it.
        body: The whole body, where the door brought it.
    """

    client: Peer
    method: bytes
    target: bytes
    headers: Fields
    framing: Framing = NO_BODY
    body: bytes | None = None


class Allowed(msgspec.Struct, frozen=True, kw_only=True):
    """The request may pass.

    Attributes:
        trace_id: Of the request.
        decision_id: The record's.
        policy_version: By which it was decided.
        fields: What the service must be sent in place of anything of the same name.
        remove: Fields of this client's that the service must not be sent.
    """

    trace_id: str
    decision_id: str
    policy_version: str
    fields: Fields
    remove: tuple[bytes, ...]


class Denied(msgspec.Struct, frozen=True, kw_only=True):
    """It may not.

    Attributes:
        trace_id: Of the request.
        decision_id: The record's.
        error: Why.
    """

    trace_id: str
    decision_id: str
    error: GatewayError


def described_head(asked: Asked, limits: Limits) -> Head:
    """The head of a described request, judged as one that came over the wire is, as far as a door can.

    Raises:
        BadRequest, MethodNotAllowed, TooLarge: What the public port would have said.
    """
    if not is_token(asked.method):
        raise BadRequest("request line: method")
    if asked.method in _NEVER:
        raise MethodNotAllowed("request line: method refused")
    if len(asked.method) + len(asked.target) + _LINE_REST > limits.request_line_bytes:
        raise TooLarge("request line too long", code=Code.URI_TOO_LONG)
    if len(asked.headers) > limits.header_count:
        raise TooLarge("head: too many fields", code=Code.HEADER_TOO_LARGE)
    size = sum([len(name) + len(value) + 4 for name, value in asked.headers])
    if size > limits.header_bytes:
        raise TooLarge("head: too large", code=Code.HEADER_TOO_LARGE)
    for name, value in asked.headers:
        # A proxy may make one field of two. No credential has a comma (RFC 6750 s2.1), so that one was two.
        if name == b"authorization" and b"," in value:
            raise BadRequest("authorization: repeated")
    return Head(
        method=asked.method,
        target=asked.target,
        http_11=True,
        host=b"",  # nothing is decided by it
        headers=asked.headers,
        framing=asked.framing,
        keep_alive=True,
        expects_continue=False,
        size=size,
    )
