"""Signature algorithms: which key each is for, and how it is checked.

One table; what is not in it does not exist here. `none` and the HMAC family are not in it: DESIGN section 4 would allow
HS256 to the development issuer, which signs ES256 instead, so no symmetric key is ever accepted (ADR 0041).
"""

from collections.abc import Callable
from typing import TypeAlias

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512

PublicKey: TypeAlias = RSAPublicKey | ec.EllipticCurvePublicKey | Ed25519PublicKey
Verify: TypeAlias = Callable[[bytes, bytes], bool]
"""(signature, signed) -> whether the key made it. Never raises for bytes of any content."""

_RSA_PKCS1 = {"RS256": SHA256(), "RS384": SHA384(), "RS512": SHA512()}
_RSA_PSS = {"PS256": SHA256(), "PS384": SHA384(), "PS512": SHA512()}
# RFC 7518 s3.4 ties each to one curve; the curve by the name `cryptography` gives it.
_ECDSA = {
    "ES256": (ec.SECP256R1.name, SHA256()),
    "ES384": (ec.SECP384R1.name, SHA384()),
    "ES512": (ec.SECP521R1.name, SHA512()),
}

ALGORITHMS = frozenset({*_RSA_PKCS1, *_RSA_PSS, *_ECDSA, "EdDSA"})
"""Every algorithm an issuer can be configured with."""


def verifiers(key: PublicKey) -> dict[str, Verify]:
    """What a key can check: algorithm name to function, everything that can be prepared already prepared.

    Args:
        key: An RSA key, an EC key (on a curve without an algorithm the answer is empty) or an Ed25519 key.
    """
    if isinstance(key, RSAPublicKey):
        return {alg: _rsa(key, alg) for alg in (*_RSA_PKCS1, *_RSA_PSS)}
    if isinstance(key, Ed25519PublicKey):
        return {"EdDSA": _ed25519(key)}
    return {alg: _ecdsa(key, alg) for alg, (curve, _) in _ECDSA.items() if curve == key.curve.name}


def _rsa(key: RSAPublicKey, alg: str) -> Verify:
    scheme: padding.AsymmetricPadding
    if alg in _RSA_PKCS1:
        digest, scheme = _RSA_PKCS1[alg], padding.PKCS1v15()
    else:
        digest = _RSA_PSS[alg]
        # RFC 7518 s3.5: the salt is exactly as long as the hash
        scheme = padding.PSS(padding.MGF1(digest), digest.digest_size)

    def verify(signature: bytes, signed: bytes) -> bool:
        try:
            key.verify(signature, signed, scheme, digest)
        except InvalidSignature:
            return False
        return True

    return verify


def _ecdsa(key: ec.EllipticCurvePublicKey, alg: str) -> Verify:
    scheme = ec.ECDSA(_ECDSA[alg][1])
    half = (key.key_size + 7) // 8

    def verify(signature: bytes, signed: bytes) -> bool:
        # RFC 7518 s3.4: R and S, each as long as the curve's order; a shorter or longer one is another encoding
        if len(signature) != 2 * half:
            return False
        r, s = int.from_bytes(signature[:half], "big"), int.from_bytes(signature[half:], "big")
        try:
            key.verify(encode_dss_signature(r, s), signed, scheme)
        except InvalidSignature:
            return False
        return True

    return verify


def _ed25519(key: Ed25519PublicKey) -> Verify:
    def verify(signature: bytes, signed: bytes) -> bool:
        try:
            key.verify(signature, signed)
        except InvalidSignature:
            return False
        return True

    return verify
