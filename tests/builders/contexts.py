"""Security contexts, right by default and wrong on request."""

from functools import cache
from typing import Any

from roles.security_context.claims import SecurityContext
from roles.security_context.keys import new_private_jwk
from roles.security_context.signer import ContextSigner

ISSUER = "lychgate"
NOW = 1_795_000_000.0
"""When these contexts are made and read: no test looks at a clock."""
TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"


@cache
def real_signer(alg: str = "EdDSA", audience: str = "*") -> ContextSigner:
    """A signer with a key of its own, the same for a whole run."""
    if alg == "HS256":
        return ContextSigner(ISSUER, 60, {audience: new_private_jwk("HS256")}, alg)
    return ContextSigner(ISSUER, 60, {"*": new_private_jwk("EdDSA" if alg == "EdDSA" else "ES256")}, alg)


def make_context(**claims: Any) -> SecurityContext:
    """A context that holds now, for the service `order`; other claims by name."""
    usual: dict[str, Any] = {
        "iss": ISSUER,
        "aud": "order",
        "sub": "u-1",
        "tenant_id": "acme",
        "roles": ("Cashier",),
        "trace_id": TRACE_ID,
        "policy_version": "0123456789abcdef",
        "iat": int(NOW),
        "exp": int(NOW) + 60,
        "jti": "018f0000-0000-7000-8000-000000000001",
    }
    return SecurityContext(**(usual | claims))
