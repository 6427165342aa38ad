"""Policies as one signed file: what `lychgate policy bundle` writes and a gateway reads. Pure.

    LYCHGATE BUNDLE   bytes
    magic             8    `LYCHBDL1`
    key               8    the first of the SHA-256 of the raw public key
    length            4    of the manifest, big-endian
    signature         64   Ed25519 over magic, key, length and manifest
    manifest               canonical JSON: format, serial, files [{name, sha256, size}] sorted by name
    contents               the files' bytes one after the other, in the manifest's order; nothing after them

The same files, serial and key give the same bytes. Nothing of the manifest is read before its signature holds, and no
file's bytes before their hash does. Names are names of a fixed form, never paths, and nothing is ever unpacked to disk.
ADR 0113 says why it is not a zip, a tar or a JWS.
"""

import hashlib
import re
import struct
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from policies.errors import BundleRefused
from policies.load import SCHEMA_FILE, SourceText

ROLES_FILE: Final = "roles.toml"
ROUTES_FILE: Final = "routes.toml"

MAX_BYTES: Final = 16 * 1024 * 1024
"""Of a bundle: 2,000 policies are about 2 MiB."""
_MAX_MANIFEST_BYTES: Final = 512 * 1024
_MAX_FILES: Final = 4096
_MAX_SERIAL: Final = 2**53 - 1
"""What JSON readers of any kind still read exactly."""

_MAGIC: Final = b"LYCHBDL1"
_KEY_BYTES: Final = 8
_SIGNATURE_BYTES: Final = 64
_HEAD: Final = struct.Struct(f">{len(_MAGIC)}s{_KEY_BYTES}sI{_SIGNATURE_BYTES}s")
_SIGNED: Final = struct.Struct(f">{len(_MAGIC)}s{_KEY_BYTES}sI")
_FORMAT: Final = 1
_POLICY_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}\.cedar")
_SINGLE: Final = frozenset({SCHEMA_FILE, ROLES_FILE, ROUTES_FILE})
_ENCODER: Final = msgspec.json.Encoder(order="sorted")


class _Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    sha256: str
    size: int


class _Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    format: int
    serial: int
    files: tuple[_Entry, ...]


class Packed(msgspec.Struct, frozen=True):
    """What a bundle holds.

    Attributes:
        serial: Which of two bundles is the later one.
        key: The id of the key that signed it, 16 hex digits.
        files: Name to text, sorted by name.
    """

    serial: int
    key: str
    files: Mapping[str, str]

    @property
    def policies(self) -> list[SourceText]:
        """The `.cedar` files, sorted by name."""
        return [(name, text) for name, text in self.files.items() if name not in _SINGLE]

    @property
    def schema(self) -> SourceText:
        """The schema."""
        return SCHEMA_FILE, self.files[SCHEMA_FILE]


def key_id(key: Ed25519PublicKey) -> str:
    """A public key's id: 16 hex digits."""
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()[: 2 * _KEY_BYTES]


def pack(files: Sequence[SourceText], serial: int, key: Ed25519PrivateKey) -> bytes:
    """Make a bundle.

    Args:
        files: Policies and schema, and where wanted `roles.toml` and `routes.toml`; in any order.
        serial: From 0; higher than that of every bundle before.
        key: Signs it.

    Raises:
        BundleRefused: No reader would take it: a name, a size, the serial.
    """
    contents = [(name, text.encode()) for name, text in sorted(files)]
    entries = tuple(_Entry(name, hashlib.sha256(data).hexdigest(), len(data)) for name, data in contents)
    manifest = _Manifest(_FORMAT, serial, entries)
    _require_sound(manifest)
    written = _ENCODER.encode(manifest)
    head = _SIGNED.pack(_MAGIC, bytes.fromhex(key_id(key.public_key())), len(written))
    made = b"".join([head, key.sign(head + written), written, *(data for _, data in contents)])
    if len(made) > MAX_BYTES or len(written) > _MAX_MANIFEST_BYTES:
        raise BundleRefused(f"longer than {MAX_BYTES} bytes")
    return made


def unpack(data: bytes, keys: Sequence[Ed25519PublicKey]) -> Packed:
    """Read a bundle.

    Args:
        data: All of it, `MAX_BYTES` at most.
        keys: Any one of them must have signed it.

    Raises:
        BundleRefused: Whatever is not exactly as it must be.
    """
    if len(data) > MAX_BYTES:
        raise BundleRefused(f"longer than {MAX_BYTES} bytes")
    if not data.startswith(_MAGIC):
        raise BundleRefused("not a bundle")
    if len(data) < _HEAD.size:
        raise BundleRefused("cut short")
    _, key, length, signature = _HEAD.unpack_from(data)
    if length > _MAX_MANIFEST_BYTES:
        raise BundleRefused(f"a manifest of {length} bytes; {_MAX_MANIFEST_BYTES} are allowed")
    if len(data) < _HEAD.size + length:
        raise BundleRefused("cut short")
    written = data[_HEAD.size : _HEAD.size + length]
    _require_signed(key.hex(), signature, data[: _SIGNED.size] + written, keys)
    try:
        manifest = msgspec.json.decode(written, type=_Manifest)
    except msgspec.MsgspecError as exc:
        raise BundleRefused(f"its manifest cannot be read: {exc}") from None
    if _ENCODER.encode(manifest) != written:
        raise BundleRefused("its manifest is not in canonical form")
    _require_sound(manifest)
    return Packed(manifest.serial, key.hex(), _contents(data, _HEAD.size + length, manifest.files))


def _require_signed(key: str, signature: bytes, signed: bytes, keys: Sequence[Ed25519PublicKey]) -> None:
    known = {key_id(public): public for public in keys}
    public = known.get(key)
    if public is None:
        raise BundleRefused(f"signed with the key {key}, which is not trusted ({', '.join(sorted(known))} are)")
    try:
        public.verify(signature, signed)
    except InvalidSignature:
        raise BundleRefused(f"the signature does not fit: it was altered after it was signed with {key}") from None


def _require_sound(manifest: _Manifest) -> None:
    """What holds of every manifest, whoever signed it."""
    if manifest.format != _FORMAT:
        raise BundleRefused(f"format {manifest.format}; this version reads {_FORMAT}")
    if not 0 <= manifest.serial <= _MAX_SERIAL:
        raise BundleRefused(f"the serial {manifest.serial} is not within 0 and {_MAX_SERIAL}")
    names = [entry.name for entry in manifest.files]
    if len(names) > _MAX_FILES:
        raise BundleRefused(f"{len(names)} files; {_MAX_FILES} are allowed")
    for name in names:
        if name not in _SINGLE and not _POLICY_NAME.fullmatch(name):
            raise BundleRefused(f"`{_shown(name)}` is not the name of a policy file")
    if names != sorted(set(names)):
        raise BundleRefused("its files are not sorted by name, each once")
    if SCHEMA_FILE not in names or not any(name not in _SINGLE for name in names):
        raise BundleRefused(f"without {SCHEMA_FILE} or without a policy")
    if any(entry.size < 0 for entry in manifest.files):
        raise BundleRefused("a file of less than no bytes")


def _contents(data: bytes, at: int, entries: Sequence[_Entry]) -> dict[str, str]:
    files = {}
    for entry in entries:
        content = data[at : at + entry.size]
        at += entry.size
        if len(content) < entry.size:
            raise BundleRefused("cut short")
        if hashlib.sha256(content).hexdigest() != entry.sha256:
            raise BundleRefused(f"`{entry.name}` is not what was signed")
        try:
            files[entry.name] = content.decode()
        except UnicodeDecodeError:
            raise BundleRefused(f"`{entry.name}` is not UTF-8") from None
    if at != len(data):
        raise BundleRefused(f"{len(data) - at} bytes after its end")
    return files


def _shown(name: str) -> str:
    return ascii(name)[1:-1][:80]
