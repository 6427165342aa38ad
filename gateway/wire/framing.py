"""How a message's body ends, judged from its head by one function for each direction.

The rules are those of RFC 9112 s6.3, sharpened: everything that s6.3 lets a recipient repair is refused here, because
the next hop may repair it differently. Framing is never copied; what leaves is framed anew from what was read.
"""

from collections.abc import Sequence
from enum import Enum
from typing import Final

import msgspec

from gateway.errors import BadRequest, Code, UpstreamError
from gateway.wire.chunked import ChunkedDecoder
from gateway.wire.grammar import DIGITS, only

_LENGTH_DIGITS: Final = 18
"""A length of more digits is past 2**59 bytes: nobody's file, somebody's overflow."""


class Ending(Enum):
    """What ends a body."""

    NONE = "none"
    LENGTH = "length"
    CHUNKED = "chunked"
    CLOSE = "close"


class Framing(msgspec.Struct, frozen=True, gc=False):
    """How a body ends. `length` counts only for `Ending.LENGTH`, in bytes."""

    ending: Ending
    length: int = 0


NO_BODY: Final = Framing(Ending.NONE)
_CHUNKED: Final = Framing(Ending.CHUNKED)
_UNTIL_CLOSE: Final = Framing(Ending.CLOSE)


def request_framing(lengths: list[bytes], codings: list[bytes], *, http_11: bool) -> Framing:
    """How a request's body ends.

    Args:
        lengths: Every `Content-Length` value, in order.
        codings: Every `Transfer-Encoding` value, in order.
        http_11: Whether the request is HTTP/1.1.

    Raises:
        BadRequest: The framing is ambiguous; the connection must be closed.
    """
    try:
        framing = _declared(lengths, codings)
    except ValueError as exc:
        raise BadRequest(f"framing: {exc}", close=True) from None
    if framing is None:
        return NO_BODY
    if framing.ending is Ending.CHUNKED and not http_11:
        raise BadRequest("framing: transfer coding in HTTP/1.0", close=True)
    return framing


def response_framing(
    method: bytes, status: int, lengths: list[bytes], codings: list[bytes], *, http_11: bool
) -> Framing:
    """How an answer's body ends: the request's method and the status decide before any field does.

    Args:
        method: Of the request.
        status: Of the answer.
        lengths: Every `Content-Length` value, in order.
        codings: Every `Transfer-Encoding` value, in order.
        http_11: Whether the answer is HTTP/1.1; in 1.0 a transfer coding is faulty framing (RFC 9112 s6.1).

    Raises:
        UpstreamError: `upstream_invalid`; the connection lied or may have.
    """
    try:
        framing = _declared(lengths, codings)
    except ValueError as exc:
        raise UpstreamError(f"upstream framing: {exc}", code=Code.UPSTREAM_INVALID) from None
    if codings and not http_11:
        raise UpstreamError("upstream framing: transfer coding in HTTP/1.0", code=Code.UPSTREAM_INVALID)
    if method == b"HEAD" or status < 200 or status in {204, 304}:  # noqa: PLR2004 - RFC 9112 s6.3 rule 1
        return NO_BODY
    return _UNTIL_CLOSE if framing is None else framing


def _declared(lengths: list[bytes], codings: list[bytes]) -> Framing | None:
    """What the fields say, None when they say nothing; raises ValueError with the reason."""
    if codings:
        if lengths:
            raise ValueError("length and transfer coding together")
        if len(codings) > 1 or codings[0].lower() != b"chunked":
            raise ValueError("transfer coding is not exactly chunked")
        return _CHUNKED
    if not lengths:
        return None
    value = lengths[0]
    if len(lengths) > 1:
        raise ValueError("repeated length")
    if not value or len(value) > _LENGTH_DIGITS or not only(value, DIGITS):
        raise ValueError("length is not a number")
    return Framing(Ending.LENGTH, int(value))


class BodyReader:
    """Takes a body out of a byte stream, one piece at a time.

    Attributes:
        done: Whether the body has ended.
        received: Bytes of content so far.
    """

    __slots__ = ("_chunked", "_left", "done", "received")

    def __init__(self, framing: Framing) -> None:
        self._chunked = ChunkedDecoder() if framing.ending is Ending.CHUNKED else None
        self._left = framing.length if framing.ending is Ending.LENGTH else -1
        self.done = framing.ending is Ending.NONE or self._left == 0
        self.received = 0

    @property
    def trailers(self) -> Sequence[tuple[bytes, bytes]]:
        """Fields that followed the body, names in lower case; empty until it has ended."""
        return self._chunked.trailers if self._chunked is not None and self.done else ()

    def take(self, data: bytes) -> tuple[bytes, bytes]:
        """Split `data` into content and what follows the body.

        Returns:
            Content, possibly empty, and the bytes after the body's end, empty while it has not ended.

        Raises:
            ValueError: The chunked coding is broken.
        """
        if self.done:
            return b"", data
        if self._chunked is not None:
            content, rest = self._chunked.feed(data)
            self.done = self._chunked.done
        elif self._left >= 0:
            content, rest = data[: self._left], data[self._left :]
            self._left -= len(content)
            self.done = self._left == 0
        else:
            content, rest = data, b""
        self.received += len(content)
        return content, rest
