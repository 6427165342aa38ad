"""Tests of `audit.integrity.tree`."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.integrity.tree import EMPTY_ROOT, Tree

# The eight leaves and the roots over the first 1 to 8 of them that implementations of RFC 6962 agree on.
INPUTS = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def leaf(data: bytes) -> bytes:
    """A leaf's hash."""
    return hashlib.sha256(b"\0" + data).digest()


def naive(leaves: list[bytes]) -> bytes:
    """As the RFC writes it down: split at the largest power of two below the count."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    split = 1 << ((len(leaves) - 1).bit_length() - 1)
    return hashlib.sha256(b"\1" + naive(leaves[:split]) + naive(leaves[split:])).digest()


@pytest.mark.parametrize("count", range(1, 9))
def test_the_known_roots(count: int) -> None:
    """What others compute."""
    tree = Tree()
    for data in INPUTS[:count]:
        tree.add(leaf(bytes.fromhex(data)))
    assert tree.root().hex() == ROOTS[count - 1]


def test_of_nothing() -> None:
    """The hash of nothing."""
    assert Tree().root() == EMPTY_ROOT == naive([])


@given(st.lists(st.binary(max_size=4), max_size=70))
def test_leaf_by_leaf_is_as_all_at_once(data: list[bytes]) -> None:
    """At every count, and asking for a root changes nothing."""
    tree, leaves = Tree(), list[bytes]()
    for each in data:
        leaves.append(leaf(each))
        tree.add(leaves[-1])
        assert tree.root() == naive(leaves)
        assert tree.count == len(leaves)


def test_memory_is_of_the_trees_height() -> None:
    """A million leaves take twenty hashes."""
    tree = Tree()
    for _ in range(100_000):
        tree.add(b"x" * 32)
    assert len(tree._peaks) <= 17
