"""The key that signs seals, and the keys whose seals are believed: Ed25519, PEM."""

import hashlib
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from audit.errors import SealRefused
from audit.private_file import read_private

_KEY_ID_DIGITS = 16
_KEY_BYTES_LIMIT = 16_384  # a PEM of ours has 119


class SealKey:
    """Signs. Neither its text nor its repr says what the key is.

    Attributes:
        key_id: Names it in what it signed.
        public: Its other half.
    """

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.public = key.public_key()
        self.key_id = key_id(self.public)

    def sign(self, message: bytes) -> bytes:
        """The signature, 64 bytes."""
        return self._key.sign(message)

    def public_pem(self) -> str:
        """The public key, for whoever verifies."""
        return self.public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


class PublicKeys:
    """Whose seals are believed."""

    def __init__(self, keys: Iterable[Ed25519PublicKey]) -> None:
        self._keys = {key_id(key): key for key in keys}

    def __contains__(self, name: object) -> bool:
        """Whether a key is known."""
        return name in self._keys

    def __len__(self) -> int:
        """How many there are."""
        return len(self._keys)

    def holds(self, name: str, signature: bytes, message: bytes) -> bool:
        """Whether a signature is that key's; false for a key that is not known."""
        key = self._keys.get(name)
        if key is None:
            return False
        try:
            key.verify(signature, message)
        except InvalidSignature:
            return False
        return True


def key_id(key: Ed25519PublicKey) -> str:
    """The name of a key: the first 16 hex digits of the SHA-256 of its SubjectPublicKeyInfo."""
    return spki_id(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


def spki_id(encoded: bytes) -> str:
    """The same, of any kind of key, from its SubjectPublicKeyInfo in DER."""
    return hashlib.sha256(encoded).hexdigest()[:_KEY_ID_DIGITS]


def load_seal_key(file: Path) -> SealKey:
    """Read the signing key.

    Raises:
        SealRefused: it cannot be read, others may read it, or it is no Ed25519 key.
    """
    try:
        pem = read_private(file)
    except OSError as exc:
        raise SealRefused(f"{file}: cannot be read: {exc.strerror}") from exc
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as exc:  # TypeError: it wants a password
        raise SealRefused(f"{file}: no PEM of a private key without a password") from exc
    if not isinstance(key, Ed25519PrivateKey):
        raise SealRefused(f"{file}: seals are signed with Ed25519, and this is another kind of key")
    return SealKey(key)


def load_public_key(file: Path) -> Ed25519PublicKey:
    """Read a public key.

    Raises:
        SealRefused: it cannot be read, or is no Ed25519 public key.
    """
    try:
        key = load_pem_public_key(file.read_bytes()[:_KEY_BYTES_LIMIT])
    except OSError as exc:
        raise SealRefused(f"{file}: cannot be read: {exc.strerror}") from exc
    except (ValueError, UnsupportedAlgorithm) as exc:
        raise SealRefused(f"{file}: no PEM of a public key") from exc
    if not isinstance(key, Ed25519PublicKey):
        raise SealRefused(f"{file}: seals are signed with Ed25519, and this is another kind of key")
    return key


def make_seal_key(file: Path) -> bool:
    """A new signing key, for its owner alone, and its public half beside it as `<name>.pub`.

    Nothing where there is one. Written whole under another name and linked: of two that start together, both get the
    one that came first.

    Returns:
        Whether it was made.

    Raises:
        SealRefused: it cannot be made.
    """
    try:
        if file.exists():
            return False
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        key = Ed25519PrivateKey.generate()
        descriptor, name = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)  # 0600 from its first byte on
        draft = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as opened:
                opened.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
                opened.flush()
                os.fsync(opened.fileno())
            try:
                os.link(draft, file)
            except FileExistsError:
                return False
        finally:
            draft.unlink()
        file.with_name(f"{file.name}.pub").write_text(SealKey(key).public_pem(), encoding="ascii")
    except OSError as exc:
        raise SealRefused(f"{file}: cannot be made: {exc.strerror}") from exc
    return True
