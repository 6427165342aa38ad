"""The security context as a value, and the hashes that bind one to a request.

Evolution rule: a claim is never removed, renamed or given another type; a new claim is optional and has a default.
Services ignore claims they do not know, so that the gateway can be newer than they are.
"""

import hashlib
from binascii import b2a_base64
from typing import Final

import msgspec

_URL_SAFE: Final = bytes.maketrans(b"+/", b"-_")

LIMIT_BYTES: Final = 4096
"""Of the compact JWS (DESIGN section 4). Servers commonly take 8 KiB for all fields together."""

TYPE: Final = "security-context+jwt"
"""The `typ` of the header: no token of an issuer can pass for a context, nor a context for a token (RFC 8725 s3.11)."""


class Actor(msgspec.Struct, frozen=True, omit_defaults=True):
    """Who acts on behalf of the subject (RFC 8693 s4.1): the newest outside, those before it inside.

    Attributes:
        sub: The service's name.
        act: Who acted before it.
    """

    sub: str
    act: "Actor | None" = None


class SecurityContext(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """The claims.

    Attributes:
        iss: The gateway.
        aud: The service it is for.
        sub: The principal's `sub`; empty for a caller without a credential.
        tenant_id: The only tenant the service may answer for.
        roles: Our role names, in catalogue order.
        trace_id: 32 lower-case hex digits.
        policy_version: The bundle that decided.
        iat: When it was made, seconds since the epoch.
        exp: Until when it holds.
        jti: The decision's id where it is bound, else an id of its own.
        idp: The configured name of the issuer that vouched for the subject: `<idp>/<tenant_id>/<sub>` is the principal.
        htm: Bound to this method.
        htp: Bound to this path and query: `target_hash`.
        htb: Bound to this body: `body_hash`; absent where the gateway has not read it.
        act: The service that passes it on.
    """

    iss: str
    aud: str
    sub: str
    tenant_id: str
    roles: tuple[str, ...]
    trace_id: str
    policy_version: str
    iat: int
    exp: int
    jti: str
    idp: str = ""
    htm: str | None = None
    htp: str | None = None
    htb: str | None = None
    act: Actor | None = None

    @property
    def bound(self) -> bool:
        """Whether it holds for one request only. Any one of the binding claims says so."""
        return self.htm is not None or self.htp is not None or self.htb is not None


def target_hash(target: bytes) -> str:
    """The hash `htp` of a request target in origin form.

    Args:
        target: Path and query exactly as they are sent to the service, `/orders?limit=5`. An empty query counts as
            none, because ASGI does not tell `/orders?` from `/orders`.

    Returns:
        SHA-256, base64url without padding.
    """
    return b64url(hashlib.sha256(target.removesuffix(b"?") if target.count(b"?") == 1 else target).digest())


def body_hash(body: bytes) -> str:
    """The hash `htb` of a request body: SHA-256, base64url without padding."""
    return b64url(hashlib.sha256(body).digest())


def b64url(data: bytes) -> str:
    """Base64url without padding (RFC 7515 s2)."""
    return b64url_bytes(data).decode()


def b64url_bytes(data: bytes) -> bytes:
    """The same as bytes. A changing request needs it three times; `base64` takes twice as long for it."""
    return b2a_base64(data, newline=False).translate(_URL_SAFE).rstrip(b"=")
