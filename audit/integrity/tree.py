"""The Merkle tree hash of RFC 6962 section 2.1, leaf by leaf, in memory of the tree's height. Pure."""

import hashlib
from typing import Final

_NODE_PREFIX: Final = b"\1"
EMPTY_ROOT: Final = hashlib.sha256(b"").digest()


class Tree:
    """Takes leaves in order; knows the root of those it has.

    Kept are the roots of full subtrees, the largest first: their sizes are the ones in the binary form of the count.
    """

    def __init__(self) -> None:
        self._count = 0
        self._peaks: list[bytes] = []

    @property
    def count(self) -> int:
        """How many leaves it has."""
        return self._count

    def add(self, leaf_hash: bytes) -> None:
        """Take the next leaf's hash."""
        merges = self._count
        node = leaf_hash
        while merges & 1:  # each trailing one is a full subtree of the size of what we carry
            node = _node(self._peaks.pop(), node)
            merges >>= 1
        self._peaks.append(node)
        self._count += 1

    def root(self) -> bytes:
        """The root, 32 bytes; of no leaves, the hash of nothing."""
        if not self._peaks:
            return EMPTY_ROOT
        node = self._peaks[-1]
        for peak in reversed(self._peaks[:-1]):
            node = _node(peak, node)
        return node


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(_NODE_PREFIX + left + right).digest()
