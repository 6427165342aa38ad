"""Tokens that were verified a moment ago, so that a keep-alive client pays for one signature and not for each request.

One worker's, single-threaded, owned by a snapshot: a new snapshot starts a new memo, or carries the old one over with
`keep_keys` when nothing but key sets has changed.
"""

import hashlib
from collections.abc import Collection, MutableMapping

from gateway.model import Identity

# About 1 KiB an entry, so 16 MiB a worker at most. A shop with 16,000 people signed in per worker is a large one.
DEFAULT_CAPACITY = 16_384


class TokenMemo:
    """A bounded map from the SHA-256 of an `Authorization` value to its `Identity`, least recently used out first.

    Holds digests, never a token's text. Only tokens that held are remembered: a refusal depends on bytes that an
    attacker varies at will, so remembering it would only let them push out the others.
    """

    __slots__ = ("_capacity", "_known", "hits", "misses")

    def __init__(self, capacity: int = DEFAULT_CAPACITY) -> None:
        """Start empty.

        Args:
            capacity: How many tokens to remember; 0 remembers none.
        """
        self._capacity = capacity
        self._known: dict[bytes, Identity] = {}
        self.hits = 0
        self.misses = 0

    def __len__(self) -> int:
        return len(self._known)

    def __repr__(self) -> str:
        return f"TokenMemo({len(self._known)} of {self._capacity}, {self.hits} hits, {self.misses} misses)"

    @property
    def memory(self) -> MutableMapping[bytes, Identity]:
        """All that is remembered, for whoever throws it away."""
        return self._known

    def get(self, authorization: bytes, now: float) -> Identity | None:
        """Whose credential this is, if it held before and has not expired by now.

        Args:
            authorization: The field's value, as `identify` takes it.
            now: Seconds since the epoch.
        """
        digest = hashlib.sha256(authorization).digest()
        # A dict keeps insertion order, so taking an entry out and putting it back makes it the youngest.
        found = self._known.pop(digest, None)
        if found is None or now >= found.expires_at:
            self.misses += 1
            return None
        self._known[digest] = found
        self.hits += 1
        return found

    def put(self, authorization: bytes, identity: Identity) -> None:
        """Remember a credential that held.

        Args:
            authorization: The field's value.
            identity: What `identify` made of it.
        """
        digest = hashlib.sha256(authorization).digest()
        self._known.pop(digest, None)
        self._known[digest] = identity
        while len(self._known) > self._capacity:
            del self._known[next(iter(self._known))]

    def keep_keys(self, key_refs: Collection[str]) -> None:
        """Forget every credential that a key verified which is no longer trusted.

        Args:
            key_refs: `Keyring.key_refs` of the new keyring.
        """
        self._known = {digest: found for digest, found in self._known.items() if found.kid_ref in key_refs}
