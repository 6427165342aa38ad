"""Values that one stage makes and a sibling reads."""

import msgspec

from roles.model import Principal


class Peer(msgspec.Struct, frozen=True, gc=False):
    """The other end of a client connection."""

    ip: str
    port: int


class Identity(msgspec.Struct, frozen=True, gc=False):
    """A caller whose credential held.

    Attributes:
        principal: Who it is.
        auth_method: `jwt` or `anonymous`.
        expires_at: Seconds since the epoch when the gateway stops believing the credential: `exp` and the issuer's
            leeway; 0 for a caller without a credential.
        issued_at: Its `iat`; 0 where it has none, which is before any revocation by time of issue.
        token_sha256: Of the credential's text, 32 bytes; empty without one. The text itself is never kept.
        jti: The token's own id, where it has one.
        kid_ref: Which key verified it, `<issuer>#<RFC 7638 thumbprint>`, so that it can be forgotten with its key.
        dropped_roles: Role names of the token that are neither ours nor mapped.
    """

    principal: Principal
    auth_method: str
    expires_at: float = 0.0
    issued_at: float = 0.0
    token_sha256: bytes = b""
    jti: str | None = None
    kid_ref: str = ""
    dropped_roles: tuple[str, ...] = ()
