"""Heads of answers that were read before: services send the same bytes again while the second of `Date` lasts."""

from typing import Final

from gateway.wire.head import ResponseHead, read_response

_HEADS: Final = 512
_HEAD_BYTES: Final = 1024
"""Half a MiB at most; a head that says more is rarely said twice."""
_PRIVATE: Final = (b"set-cookie", b"www-authenticate", b"authorization")


class AnswerHeads:
    """What the heads of a worker's services mean.

    INVARIANT: a head that is found here is what `read_response` would make of the same bytes. Heads that hold a secret
    of one caller are not kept.
    """

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[bytes, ResponseHead] = {}

    def __repr__(self) -> str:
        return f"AnswerHeads({len(self._known)} of {_HEADS})"

    def get(self, block: bytes, method: bytes) -> ResponseHead:
        """Read a head.

        Args:
            block: From the status line to the empty line, both included.
            method: Of the request it answers.

        Raises:
            UpstreamError: As `read_response`.
        """
        if method == b"HEAD":  # the same bytes mean another framing
            return read_response(block, method)
        found = self._known.get(block)
        if found is None:
            found = read_response(block, method)
            if len(block) <= _HEAD_BYTES and not any(name in _PRIVATE for name, _ in found.headers):
                if len(self._known) >= _HEADS:
                    self._known.clear()
                self._known[block] = found
        return found
