"""The stage itself: an `Authorization` field and a key snapshot in, an `Identity` out.

Pure. RFC 8725 is the checklist: s2.1 and s3.1 algorithms come from configuration and are pinned by key, s3.2 and s3.5
keys are strong or not used, s3.3 every signature is checked, s3.4 points are on their curve, s3.7 text is UTF-8 and
names are distinct, s3.8 issuer and key belong together, s3.9 audience, s3.10 nothing in a header leads to a key,
s3.11 types. (s2.4, s3.6 are about compression and encryption, of which there is none.)
"""

import hashlib

from gateway.identify.claims import identity
from gateway.identify.jws import MAX_CONTAINERS, bearer_token, read
from gateway.identify.keyring import Keyring
from gateway.identify.refusal import Reason, TokenRefused
from gateway.model import Identity
from gateway.strict_json import NotStrictJson, parse_object
from policies.model import Json
from roles.catalogue import Catalogue
from roles.model import NO_TENANT, Principal


def identify(authorization: bytes, keyring: Keyring, catalogue: Catalogue, now: float) -> Identity:
    """Say who asks.

    Args:
        authorization: The value of the request's only `Authorization` field; empty when there is none.
        keyring: Issuers and keys.
        catalogue: What role names mean.
        now: Seconds since the epoch.

    Raises:
        TokenRefused: A `NotIdentified` with the fixed word, and with what else the record or the supervisor needs.
    """
    token = bearer_token(authorization)
    jws = read(token)
    claims = _claims(jws.payload)
    issuer = keyring.issuer_of(claims)
    check = issuer.check_for(jws)
    if not check.verify(jws.signature, jws.signed):
        raise TokenRefused(Reason.SIGNATURE)
    if claims is None:
        raise TokenRefused(Reason.CLAIMS)
    # Of what the signature covers: whoever holds an ECDSA token can write a second valid signature under it, and a
    # revocation by digest must name that text too.
    digest = hashlib.sha256(jws.signed).digest()
    return identity(claims, issuer.trusted, catalogue, now, token_sha256=digest, kid_ref=check.ref)


def anonymous(catalogue: Catalogue) -> Identity:
    """The caller without a credential, for routes that put such a caller to Cedar. The same every time."""
    return Identity(Principal(NO_TENANT, NO_TENANT, "anonymous", (catalogue.anonymous,)), "anonymous")


def _claims(payload: bytes) -> dict[str, Json] | None:
    try:
        return parse_object(payload, MAX_CONTAINERS)
    except NotStrictJson:
        return None
