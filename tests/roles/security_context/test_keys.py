"""The keys contexts are signed and verified with."""

import json
from typing import Any

import pytest
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from roles.errors import ContextUnusable
from roles.security_context.keys import TrustedKeys, new_private_jwk, parse_jwk


def public(kind: str, **more: Any) -> dict[str, Any]:
    """The public half of a new key, as JWK."""
    key = OKPKey.generate_key("Ed25519") if kind == "EdDSA" else ECKey.generate_key("P-256")
    return {**key.as_dict(private=False), **more}


@pytest.mark.parametrize("alg", ["EdDSA", "ES256", "HS256"])
def test_a_new_key_is_what_it_says(alg: Any) -> None:
    """With a thumbprint for a name, for signatures only, and another one each time."""
    jwk = json.loads(new_private_jwk(alg))
    assert (jwk["alg"], jwk["use"], len(jwk["kid"])) == (alg, "sig", 43)
    key, found = parse_jwk(json.dumps(jwk), "sign")
    assert (found, key.kid) == (alg, jwk["kid"])
    assert new_private_jwk(alg) != new_private_jwk(alg)


@pytest.mark.parametrize(
    "jwk",
    [
        "",
        "[]",
        "7",
        "{}",
        '{"kty": "OKP"}',
        OKPKey.generate_key("X25519").as_dict(private=False),
        OKPKey.generate_key("Ed448").as_dict(private=False),
        ECKey.generate_key("P-384").as_dict(private=False),
        RSAKey.generate_key(2048).as_dict(private=False),
        OctKey.generate_key(128).as_dict(),
        public("EdDSA", alg="ES256"),
        public("ES256", alg="none"),
        public("EdDSA", use="enc"),
        public("EdDSA", key_ops=["sign"]),
        {"kty": "EC", "crv": "P-256", "x": "AAAA", "y": "AAAA"},
        public("EdDSA", crv="Ed25520"),
        {**OKPKey.generate_key("Ed25519").as_dict(private=True), "crv": ""},
        '{"kty":' * 50_000,
    ],
)
def test_a_key_that_contexts_are_not_signed_with(jwk: Any) -> None:
    """Another type, curve, algorithm, use or operation, too short, or no key at all."""
    with pytest.raises(ContextUnusable):
        parse_jwk(jwk)


def test_a_message_has_nothing_of_the_key() -> None:
    """Not even of a key that cannot be read."""
    secret = "c2VjcmV0c2VjcmV0c2VjcmV0"
    for jwk in ({"kty": "oct", "k": secret}, f'{{"kty": "oct", "k": "{secret}', {"kty": secret}):
        with pytest.raises(ContextUnusable) as caught:
            parse_jwk(jwk)
        assert secret not in str(caught.value)
        assert caught.value.__cause__ is None
        assert caught.value.__suppress_context__ is True or caught.value.__context__ is None


def test_a_set_knows_its_algorithms_and_names() -> None:
    """Which algorithms are accepted follows from the keys, and from nothing a token says."""
    one, two = public("EdDSA", kid="one"), public("ES256", kid="two")
    keys = TrustedKeys.from_jwks(json.dumps({"keys": [one, two]}))
    found = [keys.get(name) for name in ("one", "two")]
    assert [each and each[1] for each in found] == ["EdDSA", "ES256"]
    assert keys.get("three") is None
    assert repr(keys) == "TrustedKeys(one, two)"


def test_a_key_without_a_name_is_named_by_its_thumbprint() -> None:
    """RFC 7638, as the signer does."""
    jwk = public("EdDSA")
    assert TrustedKeys.from_jwks({"keys": [jwk]}).get(OKPKey.import_key(jwk).thumbprint()) is not None


@pytest.mark.parametrize(
    "jwks",
    [
        "",
        "[]",
        "{}",
        '{"keys": 7}',
        {"keys": []},
        {"keys": ["x"]},
        {"keys": [7]},
        {"keys": [public("EdDSA"), OctKey.generate_key(256).as_dict()]},
        {"keys": [OctKey.generate_key(256).as_dict()]},
        {"keys": [public("EdDSA"), public("EdDSA", crv="Ed25520")]},
        '{"keys":' * 5_000,
    ],
)
def test_a_set_that_is_none(jwks: Any) -> None:
    """Nothing, not keys, or a secret among what everybody can fetch: the whole set is refused."""
    with pytest.raises(ContextUnusable):
        TrustedKeys.from_jwks(jwks)


def test_a_secret_is_a_secret() -> None:
    """A shared secret accepts HS256 alone; a public key is none."""
    jwk = new_private_jwk("HS256")
    found = TrustedKeys.from_secret(jwk).get(json.loads(jwk)["kid"])
    assert found is not None
    assert found[1] == "HS256"
    with pytest.raises(ContextUnusable):
        TrustedKeys.from_secret(public("EdDSA"))
