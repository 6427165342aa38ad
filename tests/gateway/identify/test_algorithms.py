"""Each algorithm checks what its key signed and nothing else."""

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from gateway.identify.algorithms import ALGORITHMS, Verify, verifiers
from gateway.identify.jws import read
from tests.builders import tokens

_FITTING = {
    "ES256": {"ES256"},
    "ES384": {"ES384"},
    "ES512": {"ES512"},
    "EdDSA": {"EdDSA"},
    "RS256": {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"},
}


def _verifiers(key: tokens.SigningKey) -> dict[str, Verify]:
    public = key.key.public_key
    assert isinstance(public, (RSAPublicKey, ec.EllipticCurvePublicKey, Ed25519PublicKey))
    return verifiers(public)


def test_the_list_is_the_designs() -> None:
    """RS, PS and ES with three hashes, and EdDSA; neither `none` nor a symmetric one."""
    assert set(tokens.ALGORITHMS) == ALGORITHMS


@pytest.mark.parametrize("alg", _FITTING)
def test_a_key_checks_only_its_own_algorithms(alg: str) -> None:
    """An EC key is tied to its curve's algorithm, an RSA key to the RSA ones."""
    assert set(_verifiers(tokens.signing_key(alg))) == _FITTING[alg]


def test_a_curve_without_an_algorithm_checks_nothing() -> None:
    """secp256k1 is a curve that `cryptography` knows and this gateway does not."""
    assert verifiers(ec.generate_private_key(ec.SECP256K1()).public_key()) == {}


@pytest.mark.parametrize("alg", tokens.ALGORITHMS)
def test_signatures(alg: str) -> None:
    """The right signature holds; altered, cut, stretched, empty, or over another text it does not."""
    key = tokens.signing_key(alg)
    jws = read(tokens.mint(key))
    verify = _verifiers(key)[alg]
    good = jws.signature
    assert verify(good, jws.signed)
    assert not verify(good, jws.signed + b"x")
    flipped = bytes([good[0] ^ 1]) + good[1:]
    half = len(good) // 2
    padded_s = good[:half] + b"\0" + good[half:]  # the same two numbers of an ECDSA signature, in another text
    bad = (flipped, good[:-1], good + b"\0", b"\0" + good, padded_s, b"", bytes(len(good)), b"\xff" * len(good))
    assert not any(verify(signature, jws.signed) for signature in bad)


@pytest.mark.parametrize("alg", ["RS256", "PS256"])
def test_hash_and_padding_are_the_algorithms(alg: str) -> None:
    """A signature made with one RSA algorithm is none for any other of the same key."""
    key = tokens.signing_key(alg)
    jws = read(tokens.mint(key))
    checks = _verifiers(key)
    assert [name for name, verify in checks.items() if verify(jws.signature, jws.signed)] == [alg]


@pytest.mark.parametrize("alg", ["ES256", "ES384", "ES512"])
def test_a_der_signature_is_no_jws_signature(alg: str) -> None:
    """ECDSA signatures come as R and S side by side (RFC 7518 s3.4); the form most libraries make is refused."""
    key = tokens.signing_key(alg).key.private_key
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    digest = {"ES256": hashes.SHA256(), "ES384": hashes.SHA384(), "ES512": hashes.SHA512()}[alg]
    der = key.sign(b"text", ec.ECDSA(digest))
    assert not verifiers(key.public_key())[alg](der, b"text")
