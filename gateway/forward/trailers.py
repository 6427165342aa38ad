"""Fields that follow a body (RFC 9110 s6.5), on the routes that say they pass.

They stay what they are: written behind the body they came behind, never merged into a head, where they could pass for
something that was decided on. What is about framing, routing, credentials, conditions or caching, or speaks in our
name, is dropped in both directions, in any spelling (RFC 9110 s6.5.1); so is everything for whom has not said that
they take trailers. Pure.
"""

from collections.abc import Iterable
from typing import Final

from gateway.forward.headers import is_for_next_hop
from gateway.wire.head import Head

ASKING: Final = ((b"te", b"trailers"), (b"connection", b"te"))
"""What a service is sent for a client that takes trailers."""

_NEVER: Final = frozenset(
    {
        # credentials
        b"authorization",
        b"authentication-info",
        b"cookie",
        b"set-cookie",
        b"www-authenticate",
        b"x-api-key",
        b"api-key",
        # what a request asks for
        b"accept-encoding",
        b"cache-control",
        b"max-forwards",
        b"origin",
        b"pragma",
        b"range",
        # what an answer controls
        b"age",
        b"date",
        b"expires",
        b"location",
        b"retry-after",
        b"vary",
        b"warning",
        b"x-redacted-fields",
    }
)
_NEVER_BEGINS: Final = (b"access-control-", b"content-", b"if-", b"proxy-", b"sec-")
_ALLOWED_CONTENT: Final = frozenset({b"content-digest", b"content-md5"})
"""What only the end of a body can tell."""


def wants_trailers(head: Head) -> bool:
    """Whether a client has said that it takes trailers (RFC 9110 s10.1.4): `TE`, and that `TE` is for this hop."""
    return head.http_11 and _lists(head, b"te", b"trailers") and _lists(head, b"connection", b"te")


def trailer_block(trailers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Those trailers that may pass, as they stand between the last chunk and the empty line."""
    return b"".join(b"%b: %b\r\n" % pair for pair in trailers if _may_pass(pair[0]))


def _may_pass(name: bytes) -> bool:
    plain = name.replace(b"_", b"-")
    if plain in _ALLOWED_CONTENT:
        return True
    return is_for_next_hop(name) and plain not in _NEVER and not plain.startswith(_NEVER_BEGINS)


def _lists(head: Head, name: bytes, member: bytes) -> bool:
    return any(member == item.strip().lower() for value in head.get_all(name) for item in value.split(b","))
