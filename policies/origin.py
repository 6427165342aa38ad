"""Where policies come from: a folder, or a signed bundle. Shell; for the gateway, the query process and commands."""

import os
import stat
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from policies.errors import BundleRefused, Finding, PolicyErrors
from policies.load import SourceText, read_folder
from policies.pack import MAX_BYTES, ROLES_FILE, ROUTES_FILE, Packed, unpack

_KEY_BYTES: Final = 64 * 1024
_OWNER_ONLY: Final = 0o600


class Texts(msgspec.Struct, frozen=True):
    """What an origin holds.

    Attributes:
        policies: The `.cedar` files, sorted by name.
        schema: The schema.
        roles: The role catalogue, where a bundle brings it.
        routes: The route table, where a bundle brings it.
        serial: Of the bundle; None for a folder.
    """

    policies: tuple[SourceText, ...]
    schema: SourceText
    roles: SourceText | None = None
    routes: SourceText | None = None
    serial: int | None = None


class Origin(msgspec.Struct, frozen=True):
    """A folder, or a bundle instead of it.

    Attributes:
        folder: With `*.cedar` and the schema; not looked at where there is a bundle.
        bundle: The signed file.
        public_keys: PEM files; any one of these keys must have signed it.
        min_serial: The least serial that is taken.
    """

    folder: Path
    bundle: Path | None = None
    public_keys: tuple[Path, ...] = ()
    min_serial: int = 0

    @property
    def path(self) -> Path:
        """What is read, and watched."""
        return self.folder if self.bundle is None else self.bundle

    def read(self) -> Texts:
        """Read it.

        Raises:
            PolicyErrors: It cannot be read, or a bundle is refused; the text names the file.
        """
        if self.bundle is None:
            policies, schema = read_folder(self.folder)
            return Texts(tuple(policies), schema)
        try:
            packed = open_bundle(self.bundle, [public_key(file) for file in self.public_keys])
        except BundleRefused as exc:
            raise PolicyErrors([Finding(exc.file or str(self.bundle), 0, 0, exc.reason)]) from exc
        if packed.serial < self.min_serial:
            reason = f"its serial is {packed.serial}; the least that is taken is {self.min_serial}"
            raise PolicyErrors([Finding(str(self.bundle), 0, 0, reason)])
        return Texts(
            tuple(packed.policies),
            packed.schema,
            _named(packed, ROLES_FILE),
            _named(packed, ROUTES_FILE),
            packed.serial,
        )


def open_bundle(file: Path, keys: Sequence[Ed25519PublicKey]) -> Packed:
    """Read a bundle.

    Raises:
        BundleRefused: It cannot be read, or as `unpack`.
    """
    return unpack(_bytes(file, MAX_BYTES), keys)


def public_key(file: Path) -> Ed25519PublicKey:
    """Read a public key, PEM.

    Raises:
        BundleRefused: It cannot be read, or is no Ed25519 public key.
    """
    try:
        key = load_pem_public_key(_bytes(file, _KEY_BYTES))
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise BundleRefused("not an Ed25519 public key in PEM", str(file))
    return key


def private_key(file: Path, read: Callable[[Path], bytes]) -> Ed25519PrivateKey:
    """Read a private key, PEM without a passphrase.

    Args:
        file: Where it is.
        read: Reads a file that holds a secret, and refuses one that others may read.

    Raises:
        BundleRefused: It cannot be read, is no Ed25519 private key, or others may read it.
    """
    try:
        data = read(file)
    except OSError as exc:
        raise BundleRefused(f"cannot be read: {exc.strerror}", str(file)) from exc
    try:
        key = load_pem_private_key(data, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise BundleRefused("not an Ed25519 private key in PEM without a passphrase", str(file))
    return key


def make_key(file: Path) -> Path:
    """Make a key pair: the private key for its owner alone, and beside it `<file>.pub`; nothing is written over.

    Returns:
        The public key's file.

    Raises:
        BundleRefused: One of the two is there already, or cannot be written.
    """
    key = Ed25519PrivateKey.generate()
    public = file.with_name(f"{file.name}.pub")
    _write_new(file, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), _OWNER_ONLY)
    _write_new(public, key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo), 0o644)
    return public


def _write_new(file: Path, data: bytes, mode: int) -> None:
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError:
        raise BundleRefused("is there already", str(file)) from None
    except OSError as exc:
        raise BundleRefused(f"cannot be written: {exc.strerror}", str(file)) from exc
    with os.fdopen(descriptor, "wb") as opened:
        opened.write(data)


def _bytes(file: Path, limit: int) -> bytes:
    try:
        with open(file, "rb", opener=_at_once) as opened:
            if not stat.S_ISREG(os.fstat(opened.fileno()).st_mode):
                raise BundleRefused("not a file", str(file))
            data = opened.read(limit + 1)
    except OSError as exc:
        raise BundleRefused(f"cannot be read: {exc.strerror}", str(file)) from exc
    if len(data) > limit:
        raise BundleRefused(f"longer than {limit} bytes", str(file))
    return data


def _at_once(path: str, flags: int) -> int:
    """Open without waiting for somebody at the other end of a pipe."""
    return os.open(path, flags | os.O_NONBLOCK)


def _named(packed: Packed, name: str) -> SourceText | None:
    text = packed.files.get(name)
    return None if text is None else (name, text)
