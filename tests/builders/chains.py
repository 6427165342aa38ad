"""Records of a chain, signed by keys of the tests."""

from collections.abc import Sequence
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from audit.integrity.keys import PublicKeys, SealKey
from audit.integrity.leaf import BLOCK_LEAVES, Leaf, pack
from audit.integrity.record import GENESIS, Sealed, SealKind, SealRecord, sealed, sign_block
from audit.integrity.tree import Tree
from audit.verify.manifest import Block

KEY = SealKey(Ed25519PrivateKey.from_private_bytes(b"1" * 32))
OTHER_KEY = SealKey(Ed25519PrivateKey.from_private_bytes(b"2" * 32))
KEYS = PublicKeys([KEY.public])

_FROM, _TO = "01990000-0000-7000-8000-000000000000", "019a0000-0000-7000-8000-000000000000"


def make_record(**fields: Any) -> SealRecord:
    """A seal of an empty partition, the first of its chain; fields as given."""
    given = {
        "seq": 1, "kind": SealKind.SEAL, "partition": "audit_events_20250901", "from_id": _FROM, "to_id": _TO,
        "rows": 0, "root": Tree().root().hex(), "previous": GENESIS, "at": "2026-11-23T15:00:00.000000Z",
        "key_id": KEY.key_id,
    }  # fmt: skip
    return SealRecord(**{**given, **fields})


def make_chain(*said: dict[str, Any]) -> list[Sealed]:
    """Records, each behind the one before it."""
    chain: list[Sealed] = []
    for seq, fields in enumerate(said, 1):
        previous = chain[-1].digest if chain else GENESIS
        chain.append(sealed(make_record(**{"seq": seq, "previous": previous, **fields}), KEY))
    return chain


def make_leaf(at: int, content: int = 0) -> Leaf:
    """A leaf; later in the order for a greater `at`."""
    return Leaf(bytes.fromhex("01990000000070008000") + at.to_bytes(6, "big"), "single", bytes([content]) * 32)


def make_blocks(seq: int, leaves: Sequence[Leaf], key: SealKey = KEY) -> tuple[list[Block], bytes]:
    """Leaves in signed blocks, and their root."""
    tree = Tree()
    for leaf in leaves:
        tree.add(leaf.hashed())
    packed = [pack(leaves[at : at + BLOCK_LEAVES]) for at in range(0, len(leaves), BLOCK_LEAVES)]
    return [(number, each, sign_block(key, seq, number, each)) for number, each in enumerate(packed)], tree.root()
