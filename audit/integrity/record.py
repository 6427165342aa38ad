"""A record of the chain: what is said of a partition, signed, with the hash of the record before it. Pure."""

import hashlib
from enum import StrEnum
from typing import Final, NamedTuple

import msgspec

from audit.errors import SealRefused
from audit.integrity.keys import PublicKeys, SealKey

GENESIS: Final = "0" * 64
"""What the first record carries for the hash of the one before it."""

_RECORD_DOMAIN: Final = b"lychgate audit seal 1\n"
_BLOCK_DOMAIN: Final = b"lychgate audit block 1\n"
_TEXT_LIMIT: Final = 4096
_KEY_ID_SHOWN: Final = 16


class SealKind(StrEnum):
    """What a record does to what is known of its partition."""

    SEAL = "seal"  # these are its rows
    ADDENDUM = "addendum"  # these came late
    PURGE = "purge"  # these were deleted, being old enough
    DROP = "drop"  # the whole partition was, being old enough


class SealRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is signed.

    Attributes:
        v: The form, 1.
        seq: Its place in the chain, from 1, without gaps.
        kind: What it says.
        partition: Of which partition.
        from_id: The partition's lower bound.
        to_id: Its upper bound, exclusive.
        rows: How many leaves; for a drop, how many rows it is said to have had.
        root: Merkle root over the leaves in key order, hex; for a drop, of none.
        previous: SHA-256 of the record before it, hex.
        at: When it was made.
        key_id: Who signed it.
        complete_through: For a seal: what the store knew to be complete; before the partition's end, it was sealed
            without waiting any longer for a producer that is away.
        retention_days: For a purge or a drop: rows younger than so many days were not taken.
        purged_at: For a purge, the earliest deletion in it; for a drop, when.
    """

    seq: int
    kind: SealKind
    partition: str
    from_id: str
    to_id: str
    rows: int
    root: str
    previous: str
    at: str
    key_id: str
    complete_through: str | None = None
    retention_days: int | None = None
    purged_at: str | None = None
    v: int = 1


class Sealed(NamedTuple):
    """A record as it is kept and published: its exact text, and the signature over it."""

    record: SealRecord
    text: str
    signature: bytes

    @property
    def digest(self) -> str:
        """What the next record carries, hex."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    def line(self) -> str:
        """One line of a checkpoint file, and the message on the topic: JSON."""
        return msgspec.json.encode({"record": self.text, "signature": self.signature.hex()}).decode()


class _Line(msgspec.Struct, frozen=True):
    record: str
    signature: str


_ENCODER = msgspec.json.Encoder(order="sorted")
_RECORD = msgspec.json.Decoder(SealRecord)
_LINE = msgspec.json.Decoder(_Line)


def sealed(record: SealRecord, key: SealKey) -> Sealed:
    """Sign a record."""
    text = _ENCODER.encode(record).decode()
    return Sealed(record, text, key.sign(_RECORD_DOMAIN + text.encode()))


def read_sealed(text: str, signature: bytes, keys: PublicKeys) -> Sealed:
    """A record, checked: nothing in it is believed before its signature is.

    Raises:
        SealRefused: it is none, or not signed by one of these keys.
    """
    try:
        record = _RECORD.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError) as exc:
        raise SealRefused("is no seal record") from exc
    if record.v != 1:
        raise SealRefused("is of a form this program does not know")
    if record.key_id not in keys:
        raise SealRefused(f"is signed with key `{record.key_id[:_KEY_ID_SHOWN]}`, which is not one of yours")
    if not keys.holds(record.key_id, signature, _RECORD_DOMAIN + text.encode()):
        raise SealRefused("does not bear its key's signature")
    return Sealed(record, text, signature)


def read_line(line: str, keys: PublicKeys) -> Sealed:
    """A line of a checkpoint file, or a message of the topic.

    Raises:
        SealRefused: it is none, or not signed by one of these keys.
    """
    if len(line) > _TEXT_LIMIT:
        raise SealRefused("is no seal record")
    try:
        found = _LINE.decode(line)
        signature = bytes.fromhex(found.signature)
    except (msgspec.DecodeError, UnicodeEncodeError, ValueError) as exc:
        raise SealRefused("is no checkpoint") from exc
    return read_sealed(found.record, signature, keys)


def sign_block(key: SealKey, seq: int, number: int, leaves: bytes) -> bytes:
    """The signature of a block: its place is in it, so that no block can stand for another."""
    return key.sign(_block(seq, number, leaves))


def block_holds(keys: PublicKeys, key_id: str, seq: int, number: int, leaves: bytes, signature: bytes) -> bool:
    """Whether a block is the one that was signed."""
    return keys.holds(key_id, signature, _block(seq, number, leaves))


def _block(seq: int, number: int, leaves: bytes) -> bytes:
    return _BLOCK_DOMAIN + seq.to_bytes(8, "big") + number.to_bytes(4, "big") + hashlib.sha256(leaves).digest()
