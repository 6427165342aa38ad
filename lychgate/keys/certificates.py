"""What a certificate says of the private key beside it; the key itself is not looked at."""

import math
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from audit.integrity.keys import spki_id


class Certificate(msgspec.Struct, frozen=True, kw_only=True):
    """The first certificate of a file; empty where there is none that can be read.

    Attributes:
        key_id: Of its public key, as keys of seals are named.
        alg: `RSA-2048`, `EC-secp256r1`, `Ed25519`.
        begins: From when it holds, seconds since the epoch.
        ends: Until when.
    """

    key_id: str = ""
    alg: str = ""
    begins: float = -math.inf
    ends: float = math.inf


def certificate_of(file: Path) -> Certificate:
    """Read it. Whether it can be used is not asked here: who serves with it says so."""
    try:
        found = x509.load_pem_x509_certificate(file.read_bytes())
        key = found.public_key()
    except (OSError, ValueError):
        return Certificate()
    return Certificate(
        key_id=spki_id(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)),
        alg=algorithm(key),
        begins=found.not_valid_before_utc.timestamp(),
        ends=found.not_valid_after_utc.timestamp(),
    )


def algorithm(key: object) -> str:
    """What a public key is for, and how large it is."""
    if isinstance(key, rsa.RSAPublicKey):
        return f"RSA-{key.key_size}"
    if isinstance(key, ec.EllipticCurvePublicKey):
        return f"EC-{key.curve.name}"
    return "Ed25519" if isinstance(key, ed25519.Ed25519PublicKey) else type(key).__name__
