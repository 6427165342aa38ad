"""A row as a leaf: its key and the hash of its content, 49 bytes in a block. Pure."""

import hashlib
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

PHASES: Final = ("single", "decided", "completed")
"""The phases as a block writes them, by their place here: never reordered."""
BLOCK_LEAVES: Final = 256
"""A block has its own signature: where somebody rewrote a block, this is how many rows it may have been."""
LEAF_BYTES: Final = 16 + 1 + 32

_CODE: Final = {phase: bytes([code]) for code, phase in enumerate(PHASES)}
_LEAF_PREFIX: Final = b"\0"  # RFC 6962 section 2.1: a leaf can never be taken for a node


class Leaf(NamedTuple):
    """What of a row is sealed; leaves sort as the rows' keys do.

    Attributes:
        event_id: 16 bytes.
        phase: One of `PHASES`.
        payload_hash: SHA-256 of the row's canonical content, 32 bytes.
    """

    event_id: bytes
    phase: str
    payload_hash: bytes

    def hashed(self) -> bytes:
        """The leaf's hash, 32 bytes."""
        return hashlib.sha256(_LEAF_PREFIX + self.event_id + self.phase.encode() + self.payload_hash).digest()


def pack(leaves: Sequence[Leaf]) -> bytes:
    """Leaves as the bytes of a block.

    Raises:
        ValueError: a leaf has a phase we do not know, or parts of another length.
    """
    packed = b"".join([leaf.event_id + _CODE.get(leaf.phase, b"") + leaf.payload_hash for leaf in leaves])
    if len(packed) != LEAF_BYTES * len(leaves):
        raise ValueError("a row's key or hash is not what the store writes")
    return packed


def unpack(packed: bytes) -> Iterator[Leaf]:
    """The leaves of a block.

    Raises:
        ValueError: it is none.
    """
    if len(packed) % LEAF_BYTES:
        raise ValueError("a block of another length")
    for at in range(0, len(packed), LEAF_BYTES):
        code = packed[at + 16]
        if code >= len(PHASES):
            raise ValueError("a block with an unknown phase")
        yield Leaf(packed[at : at + 16], PHASES[code], packed[at + 17 : at + LEAF_BYTES])
