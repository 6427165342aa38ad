"""Why a credential was refused: one list of fixed words, and what may be told with each.

The caller learns only the code (`token_invalid` for nearly everything); the word goes into the record, so it never
contains anything of the token.
"""

from enum import StrEnum

import msgspec

from gateway.errors import Code, NotIdentified

# RFC 6750 s3.1: a request without any credential gets the bare challenge, everything else names the error.
_REALM = b'Bearer realm="lychgate"'
_CHALLENGES = {
    Code.UNAUTHENTICATED: _REALM,
    Code.TOKEN_EXPIRED: _REALM + b', error="invalid_token", error_description="The access token expired"',
    Code.TOKEN_INVALID: _REALM + b', error="invalid_token"',
}


class Reason(StrEnum):
    """The exact reason, in the order in which the stages find it."""

    MISSING = "missing"
    """No `Authorization` field."""
    SCHEME = "scheme"
    """A scheme other than Bearer."""
    TOO_LONG = "too_long"
    """A token over `jws.MAX_TOKEN_BYTES`."""
    MALFORMED = "malformed"
    """Not one compact JWS of canonical base64url with strict JSON objects in it."""
    HEADER = "header"
    """A protected header that asks for what is not done here: `crit`, `b64`, a foreign `typ`."""
    ISSUER = "issuer"
    """Nobody whom this gateway trusts."""
    ALGORITHM = "algorithm"
    """Not one of the issuer's algorithms, or not one its key is for."""
    UNKNOWN_KEY = "unknown_key"
    """No key of the issuer's current set; `TokenRefused.unknown_key` says which was asked for."""
    SIGNATURE = "signature"
    """The key did not sign this."""
    CLAIMS = "claims"
    """A claim of the wrong type, or a required one missing."""
    TENANT = "tenant"
    """No tenant, not a tenant's name, or not one this issuer may assert."""
    SUBJECT = "subject"
    """No subject, too long, or with control characters."""
    AUDIENCE = "audience"
    """Meant for someone else."""
    ROLE = "role"
    """A role this issuer, or a caller of this tenant, may not have."""
    NOT_YET = "not_yet"
    """`nbf` or `iat` lie in the future."""
    EXPIRED = "expired"
    """Everything held but the time."""
    REVOKED = "revoked"
    """Everything held, and it was revoked: the token, its user or its tenant (`gateway.revocations`)."""


class Claimed(msgspec.Struct, frozen=True, gc=False):
    """Whose a refused token was. Made only when the signature held and the issuer may speak for the tenant.

    Attributes:
        issuer: The issuer's configured name.
        tenant_id: The tenant to whose audit the refusal is booked.
        sub: The subject.
    """

    issuer: str
    tenant_id: str
    sub: str


class UnknownKey(msgspec.Struct, frozen=True, gc=False):
    """A key that was asked for and is not there; a fetch may bring it.

    Attributes:
        issuer: The issuer's configured name.
        kid: As the token names it; None when it names none and the set leaves a choice.
    """

    issuer: str
    kid: str | None


class TokenRefused(NotIdentified):
    """A credential that did not hold.

    Attributes:
        claimed: Whose it was, for booking; None unless its signature was good.
        unknown_key: What to ask the supervisor to fetch; None for every reason but `unknown_key`.
    """

    def __init__(
        self,
        reason: Reason,
        *,
        code: Code = Code.TOKEN_INVALID,
        claimed: Claimed | None = None,
        unknown_key: UnknownKey | None = None,
    ) -> None:
        super().__init__(reason, code=code, headers=((b"www-authenticate", _CHALLENGES[code]),))
        self.claimed = claimed
        self.unknown_key = unknown_key
