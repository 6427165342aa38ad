"""Signing: what comes out, and which settings are refused."""

import json
from base64 import urlsafe_b64decode
from typing import Any

import pytest

from gateway.sources import ContextSource
from roles.errors import ContextUnusable
from roles.security_context.claims import LIMIT_BYTES, Actor
from roles.security_context.keys import new_private_jwk
from roles.security_context.signer import ContextSigner
from roles.security_context.verifier import ContextVerifier
from tests.builders.contexts import ISSUER, NOW, make_context, real_signer


@pytest.mark.parametrize("alg", ["EdDSA", "ES256", "HS256"])
def test_what_is_signed_can_be_verified(alg: str) -> None:
    """Every claim comes back, by every algorithm."""
    signer = real_signer(alg, "order")
    context = make_context(sub="Zoë", act=Actor("integration"), idp="dev", htm="POST", htp="x", htb="y")
    token = signer.sign(context)
    assert ContextVerifier(ISSUER, "order").verify(token, signer.trusted_keys("order"), NOW) == context


def test_the_header_says_what_it_is() -> None:
    """Algorithm, key and type: nothing else, and no key inside."""
    signer = real_signer()
    header = signer.sign(make_context()).split(".")[0]
    kid = signer.public_jwks()["keys"][0]["kid"]
    assert json.loads(urlsafe_b64decode(header + "==")) == {"alg": "EdDSA", "kid": kid, "typ": "security-context+jwt"}


@pytest.mark.parametrize("alg", ["EdDSA", "ES256"])
def test_what_is_published_is_public(alg: str) -> None:
    """The key set has the public half, its name, use and algorithm; never the private one."""
    (jwk,) = real_signer(alg).public_jwks()["keys"]
    assert (jwk["alg"], jwk["use"]) == (alg, "sig")
    assert "d" not in jwk
    assert jwk["kid"]


def test_a_secret_is_not_published() -> None:
    """With HS256 there is nothing to publish."""
    assert real_signer("HS256", "order").public_jwks() == {"keys": []}


def test_each_service_has_its_own_secret() -> None:
    """What one service could forge, no other believes; and no secret, no context."""
    signer = ContextSigner(
        ISSUER, 60, {"order": new_private_jwk("HS256"), "payment": new_private_jwk("HS256")}, "HS256"
    )
    assert signer.sign(make_context()).split(".")[0] != signer.sign(make_context(aud="payment")).split(".")[0]
    for attempt in (lambda: signer.sign(make_context(aud="other")), lambda: signer.trusted_keys("other")):
        with pytest.raises(ContextUnusable, match="`other`"):
            attempt()


def test_a_context_of_another_issuer_is_not_signed() -> None:
    """A signer vouches for its own gateway."""
    with pytest.raises(ContextUnusable):
        real_signer().sign(make_context(iss="other"))


def test_a_context_fits_its_limit() -> None:
    """The longest subject of all, in characters of three bytes, in every role fits; a chain without end does not."""
    roles = tuple(f"Role{number:02}" + "x" * 26 for number in range(32))
    assert len(real_signer().sign(make_context(sub="€" * 85, tenant_id="t" * 63, roles=roles))) <= LIMIT_BYTES
    chain = None
    for _ in range(200):
        chain = Actor("integration", chain)
    with pytest.raises(ContextUnusable, match="4096"):
        real_signer().sign(make_context(act=chain))


def test_a_signer_from_the_gateway_s_sources() -> None:
    """The configuration says issuer, algorithm, key and time to live."""
    source = ContextSource(issuer="gw", alg="ES256", private_jwk=new_private_jwk("ES256"), ttl_s=30)
    signer = ContextSigner.from_source(source)
    assert (signer.issuer, signer.alg, signer.ttl_s) == ("gw", "ES256", 30)
    secret = ContextSource(issuer="gw", alg="HS256", hs256_keys={"order": new_private_jwk("HS256")})
    assert ContextSigner.from_source(secret).alg == "HS256"


@pytest.mark.parametrize(
    "fields",
    [
        {"alg": "none", "private_jwk": new_private_jwk()},
        {"alg": "RS256", "private_jwk": new_private_jwk()},
        {"alg": "ES256", "private_jwk": new_private_jwk("EdDSA")},
        {"alg": "EdDSA", "private_jwk": new_private_jwk("HS256")},
        {"alg": "EdDSA", "private_jwk": ""},
        {"alg": "EdDSA", "private_jwk": json.dumps(real_signer().public_jwks()["keys"][0])},
        {"alg": "HS256", "hs256_keys": {"order": new_private_jwk("EdDSA")}},
        {"alg": "EdDSA", "private_jwk": new_private_jwk(), "ttl_s": 0},
    ],
)
def test_settings_that_cannot_sign_are_refused(fields: dict[str, Any]) -> None:
    """Before anything is served: another algorithm, a wrong, public or missing key, no time to live."""
    with pytest.raises(ContextUnusable):
        ContextSigner.from_source(ContextSource(issuer="gw", **fields))


def test_a_repr_has_no_key() -> None:
    """It ends up in logs."""
    assert repr(real_signer()) == "ContextSigner('lychgate', EdDSA)"
