"""What is put into Redis is sealed with the fleet's key, so that Redis need not be believed. Pure.

A sealed value is the HMAC-SHA256 of what it is for and of its text, in hex, a dot, and the text. Whoever can write to
Redis but has no key can take values away, which the gateways put back, or bring old ones back, which lose to newer
states; they can neither revoke nor lift.
"""

import hashlib
import hmac
from pathlib import Path
from typing import Final

from audit.private_file import read_private

_MAC_CHARS: Final = 64
KEY_BYTES: Final = 32
"""The least a key has; `openssl rand -hex 32` makes twice as many."""
SEALED_BYTES: Final = 8192
"""No sealed value is longer."""


class Seal:
    """The fleet's key.

    Args:
        key: At least `KEY_BYTES`.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    def __repr__(self) -> str:
        """Without the key: a repr ends up in logs."""
        return "Seal()"

    @classmethod
    def from_file(cls, path: Path) -> "Seal":
        """Read the key, without white space around it.

        Raises:
            ValueError: With the reason.
        """
        try:
            key = read_private(path).strip()
        except OSError as exc:
            raise ValueError(f"{path}: cannot be read: {exc.strerror}") from exc
        if len(key) < KEY_BYTES:
            raise ValueError(f"{path}: shorter than {KEY_BYTES} bytes")
        return cls(key)

    def put(self, what: str, text: bytes) -> bytes:
        """The sealed value of a text; `what` it is for keeps one kind from being taken for another."""
        return b"%b.%b" % (self._mac(what, text), text)

    def open(self, what: str, sealed: bytes) -> bytes | None:
        """The text, or None where it was not sealed with this key for this."""
        if len(sealed) > SEALED_BYTES or sealed[_MAC_CHARS : _MAC_CHARS + 1] != b".":
            return None
        text = sealed[_MAC_CHARS + 1 :]
        return text if hmac.compare_digest(sealed[:_MAC_CHARS], self._mac(what, text)) else None

    def _mac(self, what: str, text: bytes) -> bytes:
        mac = hmac.new(self._key, b"lychgate %b\0%b" % (what.encode("ascii"), text), hashlib.sha256)
        return mac.hexdigest().encode("ascii")
