"""What a service may see of a request, and a caller of an answer. Pure.

Strip before inject: whatever speaks for identity, tenant, trace or origin is removed from what the client sent, in any
case, with underscores for hyphens, however often; then our own is added. Hop-by-hop fields and those that `Connection`
names end here in both directions; framing is written anew, never copied.
"""

from collections.abc import Iterable
from typing import Final

from gateway.wire.framing import Ending, Framing
from gateway.wire.head import Head, ResponseHead
from roles.security_context import headers as security_context

CONTEXT, TENANT, USER_ID, USER_ROLES, TRACE, DECISION, TRACEPARENT = (
    name.lower().encode("ascii") for name in security_context.NAMES
)

_HOP_BY_HOP: Final = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
        b"http2-settings",
    }
)
"""RFC 9110 s7.6.1, and what a connection to the next hop would take as an offer."""

_FRAMING: Final = frozenset({b"content-length", b"expect", b"host"})
"""Written anew for the next hop."""

_NO_CONTENT: Final = 204

_OURS: Final = (CONTEXT, TENANT, b"x-user-", TRACE, DECISION)
_ORIGIN: Final = (
    b"x-forwarded",
    b"x-original-",
    b"x-rewrite-",
    b"x-real-ip",
    b"x-client-ip",
    b"x-cluster-client-ip",
    b"x-envoy-",
    b"true-client-ip",
)
_OVERRIDES: Final = (b"x-http-method", b"x-method-override")
"""A service that believes these does another thing than was decided."""
_SINGLE: Final = frozenset({TRACEPARENT, b"forwarded", b"proxy"})
"""`Proxy` becomes `HTTP_PROXY` in a CGI-like service (CVE-2016-5385)."""
_CREDENTIALS: Final = frozenset({b"authorization", b"x-api-key", b"api-key"})
_PROXYS_OWN: Final = frozenset(
    {b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"x-forwarded-port", b"forwarded"}
)
"""What a proxy in our place says of the client; as is what begins with `x-envoy-`, which Envoy keeps clean itself."""
_REMEMBERED: Final = 2048

_dropped: dict[bytes, bool] = {}  # verdicts on field names; bounded, because strangers choose the names


def _is_dropped(name: bytes) -> bool:
    """Whether a request field never reaches a service, credentials aside."""
    verdict = _dropped.get(name)
    if verdict is None:
        plain = name.replace(b"_", b"-")
        verdict = (
            plain in _HOP_BY_HOP
            or plain in _FRAMING
            or plain in _SINGLE
            or plain.startswith(_OURS + _ORIGIN + _OVERRIDES)
            or (plain != name and plain in _CREDENTIALS)  # under its own name a route may let one pass
        )
        if len(_dropped) >= _REMEMBERED:
            _dropped.clear()
        _dropped[name] = verdict
    return verdict


def is_for_next_hop(name: bytes) -> bool:
    """Whether a field may go on at all: not of this hop, not framing, not identity, origin or an override of ours."""
    return not _is_dropped(name)


def proxy_removes(name: bytes, *, pass_authorization: bool) -> bool:
    """Whether a proxy that forwards on our word must take a field of the client's out.

    What `request_head` drops, less what such a proxy makes anew itself: this hop's fields and framing, and in their own
    spelling those that it tells of the client.

    Args:
        name: In lower case.
        pass_authorization: Whether the route lets the caller's credential through.
    """
    if name in _CREDENTIALS:
        return not (pass_authorization and name == b"authorization")
    if name in _HOP_BY_HOP or name in _FRAMING or name in _PROXYS_OWN or name.startswith(b"x-envoy-"):
        return False
    return _is_dropped(name)


def request_head(
    head: Head,
    framing: Framing,
    target: bytes,
    host: bytes,
    injected: Iterable[tuple[bytes, bytes]],
    peer_ip: str,
    scheme: bytes = b"http",
    *,
    pass_authorization: bool,
) -> bytes:
    """The head a service is sent.

    Args:
        head: As the client sent it.
        framing: How the body will end on the service's connection.
        target: The canonical target that was decided on.
        host: Of the upstream, for a client that sent none.
        injected: The security context and its companions, ready to send.
        peer_ip: The client's address: the only one we vouch for.
        scheme: `http` or `https`, how the client came.
        pass_authorization: Whether the route lets the caller's credential through.

    Returns:
        Request line to empty line.
    """
    passed = passed_fields(head, framing, host, pass_authorization=pass_authorization)
    ours = b"".join([b"%b: %b\r\n" % pair for pair in injected])
    return b"%b %b HTTP/1.1\r\n%b%b%b\r\n" % (head.method, target, passed, ours, hop_fields(peer_ip, scheme))


def passed_fields(head: Head, framing: Framing, host: bytes = b"", *, pass_authorization: bool = False) -> bytes:
    """The fields of a request that reach the service, framing made anew; each with its CRLF.

    Args:
        head: As the client sent it.
        framing: How the body will end on the service's connection.
        host: Of the upstream, for a client that sent none.
        pass_authorization: Whether the caller's credential goes through.
    """
    named = _connection_names(head.headers)
    lines = [b"host: %b\r\n" % (head.host or host)]
    for name, value in head.headers:
        if _is_dropped(name) or name in named:
            continue
        if name in _CREDENTIALS and not (pass_authorization and name == b"authorization"):
            continue
        lines.append(b"%b: %b\r\n" % (name, value))
    if head.host:
        lines.append(b"x-forwarded-host: %b\r\n" % head.host)
    lines += [line + b"\r\n" for line in _framing_fields(framing)]
    return b"".join(lines)


def hop_fields(peer_ip: str, scheme: bytes) -> bytes:
    """What we vouch for: the client's address and how it came, `http` or `https`; each field with its CRLF."""
    return b"x-forwarded-for: %b\r\nx-forwarded-proto: %b\r\n" % (peer_ip.encode("ascii"), scheme)


def response_head(
    answer: ResponseHead,
    framing: Framing,
    ours: Iterable[tuple[bytes, bytes]],
    *,
    close: bool,
) -> bytes:
    """The head the client is sent for a service's answer.

    Args:
        answer: As the service sent it.
        framing: How the body will end on the client's connection.
        ours: Trace and decision id.
        close: Whether the client's connection ends with this answer.
    """
    return (
        answer_fields(answer, framing)
        + b"".join([b"%b: %b\r\n" % pair for pair in ours])
        + (b"connection: close\r\n\r\n" if close else b"\r\n")
    )


def answer_fields(answer: ResponseHead, framing: Framing) -> bytes:
    """The status line and the fields of an answer that reach the client, framing made anew; each with its CRLF.

    Args:
        answer: As the service sent it.
        framing: How the body will end on the client's connection.
    """
    named = _connection_names(answer.headers)
    lines = [b"HTTP/1.1 %d %b\r\n" % (answer.status, answer.reason)]
    lines += [b"%b: %b\r\n" % (name, value) for name, value in answer.headers if not _stays_behind(name, named)]
    lines += [line + b"\r\n" for line in _framing_fields(framing)]
    if framing.ending is Ending.NONE and answer.status != _NO_CONTENT:
        # An answer to HEAD, or a 304, tells the length its body would have; it is not framing there. A 204 has none
        # to tell (RFC 9110 s8.6).
        lines += [b"content-length: %b\r\n" % value for name, value in answer.headers if name == b"content-length"]
    return b"".join(lines)


def interim_head(answer: ResponseHead) -> bytes:
    """A 1xx answer on its way to the client, without what is not its business."""
    named = _connection_names(answer.headers)
    lines = [b"HTTP/1.1 %d %b" % (answer.status, answer.reason)]
    lines += [b"%b: %b" % (name, value) for name, value in answer.headers if not _stays_behind(name, named)]
    lines.append(b"\r\n")
    return b"\r\n".join(lines)


def header_text(text: str) -> bytes:
    """Text as a field value: what is not visible ASCII is percent-encoded from UTF-8, the percent sign too."""
    if text.isascii() and text.isprintable() and " " not in text and "%" not in text:
        return text.encode("ascii")
    return b"".join(
        bytes((byte,)) if 0x21 <= byte <= 0x7E and byte != ord("%") else b"%%%02X" % byte  # noqa: PLR2004 - VCHAR
        for byte in text.encode("utf-8")
    )


def _connection_names(headers: Iterable[tuple[bytes, bytes]]) -> frozenset[bytes]:
    """Fields that `Connection` declares to be for this hop only."""
    values = [value for name, value in headers if name == b"connection"]
    if not values:
        return frozenset()
    return frozenset(option.strip().lower() for value in values for option in value.split(b","))


def _stays_behind(name: bytes, named: frozenset[bytes]) -> bool:
    """Whether a field of an answer is not for the client: of this hop, framing, or speaking in our name."""
    return name in _HOP_BY_HOP or name == b"content-length" or name in named or name.startswith(_OURS)


def _framing_fields(framing: Framing) -> list[bytes]:
    """The one field that says how the body ends."""
    match framing.ending:
        case Ending.LENGTH:
            return [b"content-length: %d" % framing.length]
        case Ending.CHUNKED:
            return [b"transfer-encoding: chunked"]
        case Ending.NONE | Ending.CLOSE:
            return []
