"""Tokens that were verified a moment ago, so that a keep-alive client pays for one signature and not for each request.

One worker's, single-threaded, owned by a snapshot: a new snapshot of keys or roles starts a new memo, or carries the
old one over with `keep_keys` when nothing but keys has changed.
"""

from collections.abc import Collection

from gateway.model import Identity

# About 1 KiB an entry, so 16 MiB a worker at most. A shop with 16,000 people signed in per worker is a large one.
DEFAULT_CAPACITY = 16_384


class TokenMemo:
    """A bounded map from a token's SHA-256 to its `Identity`, least recently used out first.

    Holds digests, never a token's text. Only tokens that held are remembered: a refusal depends on nothing that an
    attacker cannot vary, so remembering it would only let them push out the others.
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

    def get(self, token_sha256: bytes, now: float) -> Identity | None:
        """The identity of a token verified before, unless it has expired by now.

        Args:
            token_sha256: Of the token's text.
            now: Seconds since the epoch.
        """
        # A dict keeps insertion order, so taking an entry out and putting it back makes it the youngest.
        found = self._known.pop(token_sha256, None)
        if found is None or now >= found.expires_at:
            self.misses += 1
            return None
        self._known[token_sha256] = found
        self.hits += 1
        return found

    def put(self, identity: Identity) -> None:
        """Remember a verified token under its own digest."""
        self._known.pop(identity.token_sha256, None)
        self._known[identity.token_sha256] = identity
        while len(self._known) > self._capacity:
            del self._known[next(iter(self._known))]

    def forget(self, token_sha256: bytes) -> None:
        """Forget one token, because it was revoked; a token that is not known is no error."""
        self._known.pop(token_sha256, None)

    def keep_keys(self, key_refs: Collection[str]) -> None:
        """Forget every token that a key verified which is no longer trusted.

        Args:
            key_refs: `Keyring.key_refs` of the new keyring.
        """
        self._known = {digest: found for digest, found in self._known.items() if found.kid_ref in key_refs}
