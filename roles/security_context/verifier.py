"""A compact JWS and keys in, a believed `SecurityContext` out. Pure: no clock, no IO.

Two questions, asked one after the other: is this a context of our gateway for us, now (`ContextVerifier.verify`), and
does it fit the request in hand (`check_binding`)?
"""

from base64 import urlsafe_b64decode
from collections.abc import Collection
from enum import StrEnum
from typing import Final

import msgspec
from joserfc import jws
from joserfc.errors import JoseError, UnsupportedAlgorithmError
from joserfc.jwa import JWSAlgModel
from joserfc.jws import JWSRegistry

from roles.errors import ContextRejected
from roles.security_context.claims import LIMIT_BYTES, TYPE, SecurityContext, b64url, body_hash, target_hash
from roles.security_context.keys import TrustedKeys

_SAFE_METHODS: Final = frozenset({"GET", "HEAD"})


class Reason(StrEnum):
    """Why a context is not believed; for logs."""

    MISSING = "missing"
    REPEATED = "repeated"
    TOO_LARGE = "too_large"
    MALFORMED = "malformed"
    TYPE = "type"
    ALGORITHM = "algorithm"
    UNKNOWN_KEY = "unknown_key"
    SIGNATURE = "signature"
    ISSUER = "issuer"
    AUDIENCE = "audience"
    EXPIRED = "expired"
    NOT_YET = "not_yet"
    NOT_BOUND = "not_bound"
    METHOD = "method"
    TARGET = "target"
    BODY = "body"
    BODY_LIMIT = "body_limit"
    KEYS_UNAVAILABLE = "keys_unavailable"


class _Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The only JOSE header a context has. Anything more (`crit`, `jwk`, `jku`, `b64`) is not ours."""

    alg: str
    kid: str
    typ: str


class _Registry(JWSRegistry):
    """joserfc's registry without its warning that `EdDSA` has been renamed (RFC 9864): it would come on each call."""

    def get_alg(self, name: str) -> JWSAlgModel:
        if name not in (self.allowed or ()):
            raise UnsupportedAlgorithmError("not allowed here")
        return self.algorithms[name]


class ContextVerifier:
    """Verifies contexts for one service.

    Attributes:
        issuer: The gateway's `iss`.
        audience: This service.
        leeway_s: Clock difference allowed for `iat` and `exp`.
    """

    __slots__ = ("audience", "issuer", "leeway_s")

    def __init__(self, issuer: str, audience: str, *, leeway_s: float = 5.0) -> None:
        self.issuer = issuer
        self.audience = audience
        self.leeway_s = leeway_s

    def verify(self, token: str, keys: TrustedKeys, now: float) -> SecurityContext:
        """Say whether a context is our gateway's, for us, now. No claim is read before the signature holds.

        Args:
            token: The field's value.
            keys: What to believe.
            now: Seconds since the epoch.

        Raises:
            ContextRejected: With a `Reason`. `unknown_key` may be cured by fresh keys.
        """
        claims = _signed_claims(token, keys)
        if claims.iss != self.issuer:
            raise ContextRejected(Reason.ISSUER)
        if claims.aud != self.audience:
            raise ContextRejected(Reason.AUDIENCE)
        if claims.exp <= now - self.leeway_s:
            raise ContextRejected(Reason.EXPIRED)
        if claims.iat > now + self.leeway_s:
            raise ContextRejected(Reason.NOT_YET)
        return claims


def check_binding(
    context: SecurityContext, *, method: str, target: bytes, body: bytes | None, reads: bool = False
) -> None:
    """Say whether a context fits the request in hand.

    A bound context fits exactly one request, whatever the method. One that is not bound, and can be used again and
    again, is good for reading only.

    Args:
        context: Already verified.
        method: Of the request.
        target: Path and query as received.
        body: As received; may be None where the context is not bound to it.
        reads: Whether the endpoint changes nothing although its method says otherwise.

    Raises:
        ContextRejected: It does not fit.
    """
    if not context.bound:
        if method not in _SAFE_METHODS and not reads:
            raise ContextRejected(Reason.NOT_BOUND)
        return
    if context.htm != method:
        raise ContextRejected(Reason.METHOD)
    if context.htp != target_hash(target):
        raise ContextRejected(Reason.TARGET)
    if context.htb is not None and (body is None or context.htb != body_hash(body)):
        raise ContextRejected(Reason.BODY)


def _signed_claims(token: str, keys: TrustedKeys) -> SecurityContext:
    if len(token) > LIMIT_BYTES:
        raise ContextRejected(Reason.TOO_LARGE)
    header = _header(token)
    if header.typ != TYPE:
        raise ContextRejected(Reason.TYPE)
    found = keys.get(header.kid)
    if found is None:  # asked first: the gateway's next key may be for another algorithm
        raise ContextRejected(Reason.UNKNOWN_KEY)
    key, alg = found
    if header.alg != alg:
        raise ContextRejected(Reason.ALGORITHM)
    try:
        signed = jws.deserialize_compact(token, key, registry=_registry({alg}))
    except JoseError:
        raise ContextRejected(Reason.SIGNATURE) from None
    except ValueError:
        raise ContextRejected(Reason.MALFORMED) from None
    try:
        return msgspec.json.decode(signed.payload, type=SecurityContext)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise ContextRejected(Reason.MALFORMED) from None


def _header(token: str) -> _Header:
    """The header, strictly.

    INVARIANT: base64url has one spelling for each value; the spare bits of the signature's last character are not
    signed, so another spelling would make a second valid token out of a first.
    """
    parts = token.split(".")
    if len(parts) != 3 or not token.isascii():  # noqa: PLR2004 - header, payload, signature (RFC 7515 s7.1)
        raise ContextRejected(Reason.MALFORMED)
    try:
        if any(b64url(_unb64url(part)) != part for part in parts):
            raise ContextRejected(Reason.MALFORMED)
        return msgspec.json.decode(_unb64url(parts[0]), type=_Header)
    except (ValueError, msgspec.MsgspecError):
        raise ContextRejected(Reason.MALFORMED) from None


def _unb64url(part: str) -> bytes:
    return urlsafe_b64decode(part + "=" * (-len(part) % 4))


def _registry(algorithms: Collection[str]) -> JWSRegistry:
    return _Registry(algorithms=algorithms)
