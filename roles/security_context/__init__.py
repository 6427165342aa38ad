"""The signed security context: what the gateway tells a service about a request, and how the service believes it.

    claims     the values, and the hashes that bind a context to a request
    headers    the names of the fields that carry it, and trace ids
    keys       the keys it is signed and verified with
    key_ring   the keys of one file, and whose turn it is
    signer     for the gateway
    verifier   for services, pure
    key_source where a service gets the gateway's public keys
    secret_file  ... or the secrets it shares with it
    acceptance how a request is believed: the rules, once, pure
    extractor  the FastAPI dependency; asgi, wsgi: the same before any application of that kind
    context    who asks, as a service is told
    trust      whose contexts a service believes: what its owner writes down

Names are imported when they are first used (PEP 562): the gateway's workers sign, and must not load FastAPI for it.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from roles.security_context.asgi import SecurityContextMiddleware
    from roles.security_context.claims import Actor, SecurityContext, body_hash, target_hash
    from roles.security_context.context import RequestContext, current_context, on_behalf_of
    from roles.security_context.extractor import GuardedRoute, SecurityContextExtractor, context_rule, refuse
    from roles.security_context.key_source import JwksKeys, KeySource, StaticKeys
    from roles.security_context.keys import TrustedKeys, new_private_jwk
    from roles.security_context.secret_file import SecretFileKeys
    from roles.security_context.signer import ContextSigner
    from roles.security_context.trust import Trust
    from roles.security_context.verifier import ContextVerifier
    from roles.security_context.wsgi import SecurityContextWsgi

__all__ = [
    "Actor",
    "ContextSigner",
    "ContextVerifier",
    "GuardedRoute",
    "JwksKeys",
    "KeySource",
    "RequestContext",
    "SecretFileKeys",
    "SecurityContext",
    "SecurityContextExtractor",
    "SecurityContextMiddleware",
    "SecurityContextWsgi",
    "StaticKeys",
    "Trust",
    "TrustedKeys",
    "body_hash",
    "context_rule",
    "current_context",
    "new_private_jwk",
    "on_behalf_of",
    "refuse",
    "target_hash",
]

_HOME = {
    "Actor": "claims",
    "SecurityContext": "claims",
    "body_hash": "claims",
    "target_hash": "claims",
    "SecurityContextMiddleware": "asgi",
    "RequestContext": "context",
    "current_context": "context",
    "on_behalf_of": "context",
    "GuardedRoute": "extractor",
    "SecurityContextExtractor": "extractor",
    "context_rule": "extractor",
    "refuse": "extractor",
    "JwksKeys": "key_source",
    "KeySource": "key_source",
    "StaticKeys": "key_source",
    "TrustedKeys": "keys",
    "new_private_jwk": "keys",
    "SecretFileKeys": "secret_file",
    "ContextSigner": "signer",
    "Trust": "trust",
    "ContextVerifier": "verifier",
    "SecurityContextWsgi": "wsgi",
}


def __getattr__(name: str) -> object:
    """Import a public name from its module."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
