"""The page token of a search: where to go on, sealed, and bound to the search it was made for. Pure.

AES-GCM with the search as associated data: a token cannot be read, changed, or used by another caller or with another
question. It says nothing of the entities it stands between. Where nobody gives a key it is this process's own: after a
restart, and at another gateway, a search is then begun again.
"""

import base64
import binascii
import os
from typing import Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.errors import BadRequest

KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12
_TOKEN_CHARS: Final = 8192
"""An id is at most 1,024 characters where a request names it, and as long as the file has it where it does not."""


class Place(msgspec.Struct, frozen=True, array_like=True):
    """Where a page begins: behind which candidate, None for the first, and how many results a page has."""

    after: str | None
    limit: int


class PageSeal:
    """Makes and opens tokens.

    Args:
        key: 32 bytes; random ones where there are none.
    """

    def __init__(self, key: bytes | None = None) -> None:
        self._cipher = AESGCM(key or os.urandom(KEY_BYTES))

    def __repr__(self) -> str:
        return "PageSeal(key=...)"

    def seal(self, place: Place, bound: bytes) -> str:
        """The token that goes on behind a place, for the search that `bound` stands for."""
        nonce = os.urandom(_NONCE_BYTES)
        sealed = nonce + self._cipher.encrypt(nonce, msgspec.msgpack.encode(place), bound)
        return base64.urlsafe_b64encode(sealed).decode("ascii")

    def open(self, token: str, bound: bytes) -> Place:
        """Where a token goes on.

        Raises:
            BadRequest: It was altered, made elsewhere, or for another search.
        """
        try:
            if not 0 < len(token) <= _TOKEN_CHARS:
                raise BadRequest("page.token: not one of ours")
            sealed = base64.b64decode(token.encode("ascii"), altchars=b"-_", validate=True)
            plain = self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], bound)
        except (binascii.Error, ValueError):
            raise BadRequest("page.token: not one of ours") from None
        except InvalidTag:
            raise BadRequest("page.token: not made for this search; leave it out to begin again") from None
        return msgspec.msgpack.decode(plain, type=Place)
