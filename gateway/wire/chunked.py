"""Chunked transfer coding (RFC 9112 s7.1), decoded strictly and incrementally.

A decoder of our own because the end of the body must be known to the byte: what follows it is the next request, and
that is judged by our rules before any parser sees it. Deviations, all on the strict side: lines end with CRLF only (a
line feed hidden in a chunk extension is a known smuggling road); an extension is at most 256 bytes of text, dropped
as RFC 9112 s7.1.1 asks, and nothing stands between size and semicolon; a size has at most 16 hex digits; trailers
are bounded, checked and never merged into the header: who passes them on writes them behind the body again.
"""

from enum import Enum
from typing import Final

from gateway.wire.grammar import HEAD_BYTES, HEX, is_token, only

_SIZE_DIGITS: Final = 16
_EXTENSION_BYTES: Final = 256
_TRAILER_BYTES: Final = 8 * 1024


class _State(Enum):
    SIZE = 0
    DATA = 1
    DATA_END = 2
    TRAILER = 3
    DONE = 4


class ChunkedDecoder:
    """Feed bytes, get content.

    Attributes:
        done: Whether the last chunk and its trailers have been read.
        trailers: Fields behind the last chunk, names in lower case; who asked for none leaves them here.
    """

    __slots__ = ("_held", "_left", "_state", "_trailer_bytes", "done", "trailers")

    def __init__(self) -> None:
        self._state = _State.SIZE
        self._held = b""
        self._left = 0
        self._trailer_bytes = 0
        self.done = False
        self.trailers: list[tuple[bytes, bytes]] = []

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """Decode as far as `data` goes.

        Returns:
            The content, and what follows the end of the body (empty while it has not ended).

        Raises:
            ValueError: Not chunked coding as we accept it; the reason is fixed text.
        """
        if self._held:
            data = self._held + data
            self._held = b""
        out: list[bytes] = []
        at = 0
        while not self.done:
            if self._state is _State.DATA:
                piece = data[at : at + self._left]
                out.append(piece)
                at += len(piece)
                self._left -= len(piece)
                if self._left:
                    return b"".join(out), b""
                self._state = _State.DATA_END
            elif self._state is _State.DATA_END:
                if len(data) - at < 2 and b"\r\n".startswith(data[at:]):  # noqa: PLR2004 - CRLF
                    self._held = data[at:]
                    return b"".join(out), b""
                if data[at : at + 2] != b"\r\n":
                    raise ValueError("chunk longer than its size")
                at += 2
                self._state = _State.SIZE
            else:
                end = data.find(b"\n", at)
                if end < 0:
                    self._held = data[at:]
                    self._check_held()
                    return b"".join(out), b""
                self._line(data[at : end + 1])
                at = end + 1
        return b"".join(out), data[at:]

    def _line(self, line: bytes) -> None:
        """One whole line, its LF included: a chunk size or a trailer field."""
        if line[-2:] != b"\r\n":
            raise ValueError("bare line feed in chunked coding")
        line = line[:-2]
        if self._state is _State.SIZE:
            size, semicolon, extension = line.partition(b";")
            if not size or len(size) > _SIZE_DIGITS or not only(size, HEX):
                raise ValueError("chunk size")
            if semicolon and not _is_extension(extension):
                raise ValueError("chunk extension")
            self._left = int(size, 16)
            self._state = _State.DATA if self._left else _State.TRAILER
            return
        if not line:
            self._state = _State.DONE
            self.done = True
            return
        self._trailer_bytes += len(line)
        name, colon, value = line.partition(b":")
        if self._trailer_bytes > _TRAILER_BYTES or not colon or not is_token(name):
            raise ValueError("trailer")
        if b"\r" in line or not only(line, HEAD_BYTES):
            raise ValueError("trailer")
        self.trailers.append((name.lower(), value.strip(b" \t")))

    def _check_held(self) -> None:
        """Refuse early what can no longer become a line: memory is bounded whatever is sent."""
        limit = _SIZE_DIGITS + len(b";") + _EXTENSION_BYTES if self._state is _State.SIZE else _TRAILER_BYTES
        if len(self._held) > limit + len(b"\r"):
            raise ValueError("line too long in chunked coding")


def _is_extension(text: bytes) -> bool:
    """Whether what follows a semicolon is text that may be dropped; its own grammar matters to nobody then."""
    return 0 < len(text) <= _EXTENSION_BYTES and b"\r" not in text and only(text, HEAD_BYTES)
