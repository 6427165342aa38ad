"""Tests of `audit.integrity.leaf`."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.event import Phase
from audit.integrity.leaf import LEAF_BYTES, PHASES, Leaf, pack, unpack

LEAVES = st.builds(
    Leaf, st.binary(min_size=16, max_size=16), st.sampled_from(PHASES), st.binary(min_size=32, max_size=32)
)


def test_every_phase_has_a_code_that_stays() -> None:
    """Codes are in signed blocks for ever."""
    assert set(PHASES) == {phase.value for phase in Phase}
    assert PHASES == ("single", "decided", "completed")


@given(st.lists(LEAVES, max_size=10))
def test_what_is_packed_is_unpacked(leaves: list[Leaf]) -> None:
    """49 bytes a row."""
    packed = pack(leaves)
    assert len(packed) == LEAF_BYTES * len(leaves)
    assert list(unpack(packed)) == leaves


def test_a_leafs_hash_holds_all_of_it() -> None:
    """Key and content, behind the prefix of a leaf."""
    leaf = Leaf(b"i" * 16, "decided", b"h" * 32)
    assert leaf.hashed() == hashlib.sha256(b"\0" + b"i" * 16 + b"decided" + b"h" * 32).digest()
    others = (leaf._replace(event_id=b"j" * 16), leaf._replace(phase="single"), leaf._replace(payload_hash=b"g" * 32))
    assert len({each.hashed() for each in (leaf, *others)}) == 4


@pytest.mark.parametrize(
    "leaf", [Leaf(b"i" * 16, "other", b"h" * 32), Leaf(b"i" * 15, "single", b"h" * 32), Leaf(b"i" * 16, "single", b"")]
)
def test_what_the_store_never_writes_is_refused(leaf: Leaf) -> None:
    """An unknown phase, an id or a hash of another length."""
    with pytest.raises(ValueError, match="not what the store writes"):
        pack([leaf])


@pytest.mark.parametrize("packed", [b"x", b"x" * 50, b"x" * 16 + b"\x03" + b"x" * 32])
def test_bytes_that_are_no_block_are_refused(packed: bytes) -> None:
    """Of another length, or with a code that means nothing."""
    with pytest.raises(ValueError, match="a block"):
        list(unpack(packed))
