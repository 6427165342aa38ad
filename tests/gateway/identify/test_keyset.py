"""What a published key set comes to."""

import json
from typing import Any

import pytest

from gateway.identify.keyset import MAX_KEYS, KeySetRefused, read_key_set
from tests.builders.tokens import ALGORITHMS, jwks, signing_key

GOOD = signing_key("ES256", "good")


def _published(**members: object) -> dict[str, Any]:
    return signing_key("ES256", "other", 1).public(**members)


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_keys_of_every_algorithm(alg: str) -> None:
    """A key pinned to an algorithm verifies with it alone, and is named by its thumbprint."""
    key = signing_key(alg)
    (read,) = read_key_set(jwks(key.public()), "partner").keys
    assert set(read.verifiers) == {alg}
    assert read.kid == "k1"
    assert read.ref == f"partner#{key.key.thumbprint()}"


@pytest.mark.parametrize(
    ("alg", "fitting"),
    [("RS256", 6), ("ES256", 1), ("ES512", 1), ("EdDSA", 1)],
)
def test_a_key_without_alg_fits_its_type(alg: str, fitting: int) -> None:
    """Where the issuer pins nothing, the key's type and curve do."""
    (read,) = read_key_set(jwks(signing_key(alg).public(alg=None, use=None)), "partner").keys
    assert len(read.verifiers) == fitting


@pytest.mark.parametrize(
    ("members", "severity", "reason"),
    [
        ({"use": "enc"}, "ignored", "use is not sig"),
        ({"key_ops": ["sign"]}, "ignored", "key_ops without verify"),
        ({"key_ops": []}, "ignored", "key_ops without verify"),
        ({"key_ops": "verify"}, "refused", "a member of the wrong type"),
        ({"use": ["sig"]}, "refused", "a member of the wrong type"),
        ({"use": "sig", "key_ops": ["verify", "encrypt"]}, "refused", "not a valid key"),
        ({"alg": "ES384"}, "refused", "alg does not fit the key"),
        ({"alg": "RS256"}, "refused", "alg does not fit the key"),
        ({"alg": "HS256"}, "ignored", "unknown alg"),
        ({"alg": "none"}, "ignored", "unknown alg"),
        ({"alg": "ES521"}, "ignored", "unknown alg"),
        ({"kty": "RSA"}, "refused", "not a valid key"),
        ({"kty": "AKP"}, "ignored", "unknown kty or crv"),
        ({"kty": None}, "refused", "a member of the wrong type"),
        ({"crv": "secp256k1", "alg": None}, "ignored", "unknown kty or crv"),
        ({"crv": "P-384", "alg": None}, "refused", "not a valid key"),
        ({"y": GOOD.public()["y"]}, "refused", "not a valid key"),
        ({"x": ""}, "refused", "not a valid key"),
        ({"x": "é"}, "refused", "not a valid key"),
        ({"x": None}, "refused", "not a valid key"),
        ({"kid": "k" * 257}, "refused", "kid too long"),
        ({"kid": 7}, "refused", "a member of the wrong type"),
    ],
)
def test_one_bad_key_does_not_take_the_others_with_it(members: dict[str, Any], severity: str, reason: str) -> None:
    """A key that is for something else is ignored, one that is wrong is refused; the good one beside it serves."""
    read = read_key_set(jwks(_published(**members), GOOD.public()), "partner")
    assert [key.kid for key in read.keys] == ["good"]
    (finding,) = read.findings
    assert (finding.issuer, finding.severity, finding.reason) == ("partner", severity, reason)


@pytest.mark.parametrize("crv", ["X25519", "Ed448"])
def test_other_octet_curves_are_ignored(crv: str) -> None:
    """Only Ed25519 signs here; X25519 is for key agreement."""
    odd = {"kty": "OKP", "crv": crv, "x": "A" * 43}
    assert [key.kid for key in read_key_set(jwks(odd, GOOD.public()), "partner").keys] == ["good"]


@pytest.mark.parametrize("entry", [None, 5, "x", [], ["kty"]])
def test_entries_that_are_no_keys(entry: object) -> None:
    """Whatever else stands in the list is refused by itself, and named by its place."""
    read = read_key_set(json.dumps({"keys": [GOOD.public(), entry]}), "partner")
    assert [finding.kid for finding in read.findings] == ["#1"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        "{}",
        '{"keys":{}}',
        '{"keys":null}',
        "<html>",
        json.dumps({"keys": [_published(use="enc")]}),
        '{"keys":[],"keys":[]}',
        "[" * 10_000,
        "\ud800",
    ],
)
def test_what_is_no_set_is_refused_whole(text: str) -> None:
    """Not a JWK Set, one with a doubtful text, too large, or with not one key to use."""
    with pytest.raises(KeySetRefused):
        read_key_set(text, "partner")


def test_a_set_has_a_size() -> None:
    """As many keys as the limit are read, one more is refused before any of them is."""
    many = [GOOD.public(kid=f"k{number}") for number in range(MAX_KEYS + 1)]
    assert len(read_key_set(jwks(*many[:-1]), "partner").keys) == MAX_KEYS
    with pytest.raises(KeySetRefused, match="too many keys"):
        read_key_set(jwks(*many), "partner")


def test_an_empty_set_withdraws_every_key() -> None:
    """An issuer that says it has no keys is believed: nothing it signed holds any more."""
    assert read_key_set('{"keys":[]}', "partner").keys == ()


@pytest.mark.parametrize(
    "secret",
    [{"kty": "oct", "k": "c2VjcmV0", "alg": "HS256"}, {"kty": "oct"}, signing_key("RS256").private(), GOOD.private()],
)
def test_a_set_that_gives_a_secret_away_is_refused_whole(secret: dict[str, Any]) -> None:
    """Whoever reads a symmetric or private key can sign with it, so nothing beside it is trusted either."""
    with pytest.raises(KeySetRefused, match="in a published set") as caught:
        read_key_set(jwks(_published(), secret), "partner")
    assert all(str(value) not in str(caught.value) for name, value in secret.items() if name in {"k", "d"})


def test_two_keys_under_one_name_are_neither() -> None:
    """Which of them verifies would be up to the order of the set, so both are refused."""
    twins = [signing_key("ES256", "twin", which).public() for which in (1, 2)]
    read = read_key_set(jwks(*twins, GOOD.public()), "partner")
    assert [key.kid for key in read.keys] == ["good"]
    assert [(finding.kid, finding.reason) for finding in read.findings] == [
        ("twin", "two keys under one kid and algorithm")
    ]


def test_one_name_for_two_algorithms_is_no_conflict() -> None:
    """RFC 7517 s4.5 allows equivalent keys of different types to share a name."""
    pair = [signing_key("ES256", "same").public(), signing_key("EdDSA", "same").public()]
    assert len(read_key_set(jwks(*pair), "partner").keys) == 2
