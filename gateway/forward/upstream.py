"""A connection to a service: writes one request, reads one answer, tells its user what came. Holds no rules of its own.

The service is a stranger too: its heads pass the same checks as a client's, a byte more than its framing declares is
`upstream_invalid` where it comes with the head; later it is not passed on. A connection that lied is never used again.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from gateway.errors import Code, GatewayError, UpstreamError
from gateway.forward.answers import AnswerHeads
from gateway.limits import Limits
from gateway.wire.framing import BodyReader, Ending
from gateway.wire.head import END, ResponseHead

_INTERIM: Final = 200
_SWITCHING: Final = 101
_NOT_MODIFIED: Final = 304
_INTERIM_LIMIT: Final = 16
"""1xx answers to one request; a service that sends more is not answering."""


class Answered(Protocol):
    """Who waits for the answer."""

    def on_interim(self, head: ResponseHead) -> None:
        """A 1xx answer came; the real one follows."""

    def on_head(self, head: ResponseHead) -> None:
        """The answer's head came."""

    def on_body(self, data: bytes) -> None:
        """A piece of its body came, in order, without framing."""

    def on_end(self) -> None:
        """The answer is whole."""

    def on_answer(self, head: ResponseHead, body: bytes) -> None:
        """Head, body and end in one: all of it came at once."""

    def on_upstream_error(self, error: GatewayError, *, stale: bool) -> None:
        """No answer, or no more of it, will come. `stale`: a kept connection closed before it answered a byte."""

    def on_upstream_pause(self, *, paused: bool) -> None:
        """The service reads slower than it is sent, or has caught up."""


class UpstreamConnection(asyncio.Protocol):
    """One connection to one address.

    Attributes:
        address: `host:port`.
        pool: The pool it was opened for.
        used: How many exchanges it has carried.
        closed: Whether it is of no more use.
        on_switch: Takes the head of a 101, not parsed, and what follows it; None where none was asked for. Raises
            `UpstreamError` for one that does not fit; else it takes the transport by `hand_over`.
    """

    def __init__(self, address: str, limits: Limits, heads: AnswerHeads | None = None) -> None:
        self.address = address
        self._heads = heads or AnswerHeads()
        self.pool: object = None
        self.used = 0
        self._limits = limits
        self._transport: asyncio.Transport | None = None
        self._user: Answered | None = None
        self._method = b""
        self._held = b""
        self._body: BodyReader | None = None
        self._until_close = False
        self._interims = 0
        self._reusable = False
        self._answered = False
        self._paused = False  # reading, because the client does not keep up
        self._full = False  # the service does not keep up
        self.closed = False
        self.on_switch: Callable[[bytes, bytes], None] | None = None

    # --- what the user does

    @property
    def trailers(self) -> Sequence[tuple[bytes, bytes]]:
        """Fields that followed the answer's body; empty before its end."""
        return self._body.trailers if self._body is not None else ()

    def send(self, user: Answered, method: bytes, data: bytes) -> None:
        """Begin an exchange: `data` is the request's head and what there is of its body."""
        self._user = user
        self.on_switch = None
        self._method = method
        self._held = b""
        self._body = None
        self._until_close = False
        self._interims = 0
        self._reusable = False
        self._answered = False
        self.used += 1
        self.write(data)

    def write(self, data: bytes) -> None:
        """Send more of the request's body, already framed."""
        if self._transport is not None and not self.closed:
            self._transport.write(data)

    def pause(self, *, paused: bool) -> None:
        """Stop or go on reading the answer."""
        if self._transport is None or self.closed or paused is self._paused:
            return
        self._paused = paused
        if paused:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def hand_over(self, protocol: asyncio.BaseProtocol) -> asyncio.Transport | None:
        """Let another protocol have the transport; this connection is then only what must be released."""
        self._user = None
        self.on_switch = None
        self._reusable = False
        if self._transport is not None:
            self._transport.set_protocol(protocol)
        return self._transport

    def finish(self) -> bool:
        """End the exchange; returns whether the connection can be used again."""
        ended, self._user = self._user is None, None
        if ended and self._reusable and not self.closed and not self._held and not self._full:
            self.pause(paused=False)  # the last piece may have been more than the client would take
            return True
        self.abort()
        return False

    def abort(self) -> None:
        """Close now, whatever is on its way."""
        self._user = None
        self.closed = True
        if self._transport is not None:
            self._transport.abort()

    # --- what the loop does

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport over."""
        self._transport = transport  # type: ignore[assignment] # a stream transport: this is a TCP connection
        if self._transport is not None:
            self._transport.set_write_buffer_limits(high=self._limits.write_buffer_bytes)

    def data_received(self, data: bytes) -> None:
        """Take bytes of the answer."""
        if self._user is None:
            self.abort()  # nobody asked: what an unused connection says belongs to no request
            return
        self._answered = True
        try:
            if self._body is not None or self._held or self.on_switch is not None or not self._take_whole(data):
                self._take(data)
        except UpstreamError as error:
            self._fail(error)

    def _take_whole(self, data: bytes) -> bool:
        """Take an answer that is all in one piece, as most are; False for any other."""
        user, end = self._user, data.find(END) + 4
        if user is None or end < 4:  # noqa: PLR2004 - not found
            return False
        head = self._heads.get(data[:end], self._method)
        framing = head.framing
        ending = framing.ending
        if head.status < _INTERIM or (ending is not Ending.LENGTH and ending is not Ending.NONE):
            return False
        if len(data) - end != framing.length:
            return False
        self._reusable = head.keep_alive and (ending is Ending.LENGTH or not self._may_trail(head))
        self._user = None
        user.on_answer(head, data[end:])
        return True

    def _take(self, data: bytes) -> None:
        """Work through the bytes in hand until they are used up or the answer ends."""
        while self._user is not None:
            if self._body is None:
                self._held += data
                data = b""
                end = self._held.find(END)
                if end < 0:
                    if len(self._held) > self._limits.response_header_bytes:
                        raise UpstreamError("upstream head: too large", code=Code.UPSTREAM_INVALID)
                    return
                block, data = self._held[: end + 4], self._held[end + 4 :]
                self._held = b""
                if self.on_switch is not None and block.startswith(b"HTTP/1.1 101"):
                    self.on_switch(block, data)
                    return
                self._on_head(self._heads.get(block, self._method), len(data))
                continue
            try:
                content, rest = self._body.take(data)
            except ValueError as exc:
                raise UpstreamError(f"upstream body: {exc}", code=Code.UPSTREAM_INVALID) from None
            user = self._user
            if content:
                user.on_body(content)
            if self._body.done and self._user is not None:
                if rest:
                    self._reusable = False
                    self._held = rest
                self._end()
            return

    def _on_head(self, head: ResponseHead, follows: int) -> None:
        """Take a head; `follows` says how many bytes came with it."""
        if self._user is None:
            return
        if head.status < _INTERIM:
            self._interims += 1
            if head.status == _SWITCHING or self._interims > _INTERIM_LIMIT:
                raise UpstreamError("upstream head: not an answer", code=Code.UPSTREAM_INVALID)
            self._user.on_interim(head)
            return
        if head.framing.ending in {Ending.NONE, Ending.LENGTH} and follows > head.framing.length:
            raise UpstreamError("upstream body: longer than its length", code=Code.UPSTREAM_INVALID)
        self._body = BodyReader(head.framing)
        self._until_close = head.framing.ending is Ending.CLOSE
        self._reusable = head.keep_alive and not self._until_close and not self._may_trail(head)
        self._user.on_head(head)

    def _may_trail(self, head: ResponseHead) -> bool:
        """Whether the answer names a body that it must not have (HEAD, 304).

        A service that sends it all the same sends it late, when it would be taken for the next answer.
        """
        if self._method != b"HEAD" and head.status != _NOT_MODIFIED:
            return False
        return any(name in {b"content-length", b"transfer-encoding"} and value != b"0" for name, value in head.headers)

    def _end(self) -> None:
        user, self._user = self._user, None
        if user is not None:
            user.on_end()

    def eof_received(self) -> bool:
        """The service has said all it will say; if nobody waits for it, nobody shall be given this connection."""
        if self._user is None:
            self.closed = True
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the user what the end means: of a body until close, the end; of anything else, a failure."""
        self.closed = True
        self._reusable = False
        if self._user is None:
            return
        if self._until_close and self._body is not None and exc is None:
            self._end()
        elif self._answered:
            self._fail(UpstreamError("upstream closed in the middle of its answer", code=Code.UPSTREAM_INVALID))
        else:
            self._fail(UpstreamError("upstream closed without an answer"), stale=self.used > 1)

    def _fail(self, error: GatewayError, *, stale: bool = False) -> None:
        user, self._user = self._user, None
        self.abort()
        if user is not None:
            user.on_upstream_error(error, stale=stale)

    def pause_writing(self) -> None:
        """The service does not keep up."""
        self._full = True
        if self._user is not None:
            self._user.on_upstream_pause(paused=True)

    def resume_writing(self) -> None:
        """It has caught up."""
        self._full = False
        if self._user is not None:
            self._user.on_upstream_pause(paused=False)
