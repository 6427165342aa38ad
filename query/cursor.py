"""The page token: where to go on, signed, and bound to the question it was made for. Pure.

33 bytes in 44 characters of base64url: a version, the 16 bytes of the last event's id, and 16 bytes of HMAC-SHA256
over both and the binding. The binding (tenants, rows, filters, order) is not in the token but in its signature, so
a token says nothing, fits in every URL, and is worth nothing for any other question.
"""

import base64
import binascii
import hashlib
import hmac
from typing import Final
from uuid import UUID

import msgspec

from query.access import Scope
from query.errors import BadQuery
from query.filters import Filter, Order

KEY_BYTES: Final = 32
_VERSION: Final = b"\x01"
_MAC_BYTES: Final = 16
"""128 bits: RFC 2104 section 5 asks for at least half the hash, which is what this is."""

_TEXT_LENGTH: Final = 44


def binding(wanted: Filter, scope: Scope, order: Order) -> bytes:
    """What a cursor is for: 32 bytes, equal exactly for questions that walk the same rows in the same order."""
    return hashlib.sha256(msgspec.json.encode((wanted, scope, order))).digest()


class CursorSigner:
    """Makes and checks cursors.

    Args:
        key: 32 random bytes, the same in every query process of an installation.
    """

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise ValueError(f"the cursor key has {len(key)} bytes, not {KEY_BYTES}")
        self._key = key

    def __repr__(self) -> str:
        return "CursorSigner(key=...)"

    def seal(self, after: UUID, bound: bytes) -> str:
        """The cursor that goes on behind the event `after`."""
        head = _VERSION + after.bytes
        return base64.urlsafe_b64encode(head + self._mac(head, bound)).decode()

    def open(self, cursor: str, bound: bytes) -> UUID:
        """The event a cursor goes on behind.

        Raises:
            BadQuery: It was altered, made elsewhere, or made for another question.
        """
        try:
            if len(cursor) != _TEXT_LENGTH:
                raise BadQuery("`cursor` is not one of ours")
            token = base64.b64decode(cursor, altchars=b"-_", validate=True)
        except (binascii.Error, ValueError) as exc:
            raise BadQuery("`cursor` is not one of ours") from exc
        head, mac = token[:-_MAC_BYTES], token[-_MAC_BYTES:]
        if not hmac.compare_digest(mac, self._mac(head, bound)) or head[:1] != _VERSION:
            raise BadQuery("`cursor` was not made for this query; leave it out to start again")
        return UUID(bytes=head[1:])

    def _mac(self, head: bytes, bound: bytes) -> bytes:
        return hmac.digest(self._key, head + bound, "sha256")[:_MAC_BYTES]
