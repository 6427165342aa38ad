"""From the bytes of an `Authorization` field to the parts of a compact JWS: the format stage.

Nothing here is believed yet. RFC 7515 s5.2 steps 1 to 6, with the deviations named below.
"""

import base64
import binascii
import re

import msgspec

from gateway.errors import Code
from gateway.identify.refusal import Reason, TokenRefused
from gateway.strict_json import NotStrictJson, parse_object

# Room for a few hundred role names; Kestrel, nginx and Apache all stop a header line at 8 KiB.
MAX_TOKEN_BYTES = 8192
# Keycloak's `resource_access` spends two containers a client; a header spends one.
MAX_CONTAINERS = 256
# The longest `kid` seen in the wild is a SHA-512 thumbprint URI, 130 characters.
MAX_KID_CHARS = 256

# RFC 6750 s2.1: "Bearer" 1*SP b64token; the scheme's case does not matter (RFC 9110 s11.1).
_SCHEME = re.compile(rb"bearer(?: +|$)", re.IGNORECASE)
# RFC 7515 s7.1. Three parts and no other form: JSON serialization and JWE (five parts) end here.
_COMPACT = re.compile(rb"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*")
# RFC 7519 s5.1 and RFC 9068 s2.1; the media type's prefix may be left out (RFC 7515 s4.1.9). An ID token or a logout
# token with another explicit type is no access token (RFC 8725 s3.11).
_TYPES = frozenset({"jwt", "at+jwt", "application/jwt", "application/at+jwt"})


class Jws(msgspec.Struct, frozen=True, gc=False):
    """A compact JWS, decoded and not verified.

    Attributes:
        alg: The header's `alg`, any text.
        kid: The header's `kid`, where there is one.
        signed: The bytes under the signature: both encoded parts with the dot.
        payload: The decoded payload, any bytes.
        signature: The decoded signature, any bytes.
    """

    alg: str
    kid: str | None
    signed: bytes
    payload: bytes
    signature: bytes


def bearer_token(authorization: bytes) -> bytes:
    """The one token in an `Authorization` field.

    Args:
        authorization: The field's value without surrounding whitespace; empty when nothing was sent. That the field
            stands there once is the caller's business.

    Raises:
        TokenRefused: `missing`, `scheme`, `too_long`, or `malformed` when it is not exactly one compact JWS.
    """
    if not authorization:
        raise TokenRefused(Reason.MISSING, code=Code.UNAUTHENTICATED)
    scheme = _SCHEME.match(authorization)
    if scheme is None:
        raise TokenRefused(Reason.SCHEME)
    token = authorization[scheme.end() :]
    if len(token) > MAX_TOKEN_BYTES:
        raise TokenRefused(Reason.TOO_LONG)
    if _COMPACT.fullmatch(token) is None:
        raise TokenRefused(Reason.MALFORMED)
    return token


def read(token: bytes) -> Jws:
    """Take a token apart.

    Args:
        token: As `bearer_token` returns it.

    Raises:
        TokenRefused: `malformed`, or `header` when the header asks for an extension. `crit` is refused whole, since no
            extension is understood here; `b64` too, which without `crit` two readers would take differently
            (RFC 7797 s6). `jwk`, `jku`, `x5c` and `x5u` are never looked at: keys come from the issuer's set alone
            (RFC 8725 s3.10).
    """
    head, payload, signature = token.split(b".")
    try:
        header = parse_object(_decode(head), MAX_CONTAINERS)
        decoded_payload, decoded_signature = _decode(payload), _decode(signature)
    except (NotStrictJson, binascii.Error) as exc:
        raise TokenRefused(Reason.MALFORMED) from exc
    alg, kid, typ = header.get("alg"), header.get("kid"), header.get("typ", "JWT")
    if not isinstance(alg, str) or not isinstance(typ, str):
        raise TokenRefused(Reason.MALFORMED)
    if kid is not None and (not isinstance(kid, str) or len(kid) > MAX_KID_CHARS):
        raise TokenRefused(Reason.MALFORMED)
    if "crit" in header or "b64" in header or typ.lower() not in _TYPES:
        raise TokenRefused(Reason.HEADER)
    return Jws(alg, kid, token[: len(head) + 1 + len(payload)], decoded_payload, decoded_signature)


def _decode(part: bytes) -> bytes:
    """Base64url in its one canonical form: whatever a lenient reader would forgive does not encode back to itself."""
    raw = base64.urlsafe_b64decode(part + b"=" * (-len(part) % 4))
    if base64.urlsafe_b64encode(raw).rstrip(b"=") != part:
        raise binascii.Error("not canonical base64url")
    return raw
