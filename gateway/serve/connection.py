"""One client connection: bytes in, heads cut out of them, one exchange at a time, answers in the order of requests.

Pipelined requests wait in the buffer until the one before is answered; when more wait than `pipelined_requests`, or
more bytes than `pipelined_bytes`, reading stops. Nothing is parsed ahead: the head after a body is looked for only
where the body ends.
"""

import asyncio
import socket
import struct
from collections.abc import Callable
from typing import Final

from gateway.errors import BadRequest, Code, GatewayError, RequestTimeout, TooLarge
from gateway.model import Peer
from gateway.serve.exchange import Exchange
from gateway.serve.server import Handler, Server
from gateway.wire.grammar import TCHAR
from gateway.wire.head import END, HeadReader

_PIECES: Final = 16
"""Pieces of answers held back for one turn of the loop."""
_RESET: Final = struct.pack("ii", 1, 0)
"""`SO_LINGER`, on, no time: closing the socket resets the connection."""


class ClientConnection(asyncio.Protocol):
    """A client's connection, from accept to close."""

    __slots__ = (
        "_buffer",
        "_closing",
        "_deadline",
        "_eof",
        "_exchange",
        "_full",
        "_gone_at",
        "_in_head",
        "_open",
        "_pumping",
        "_reader",
        "_reading",
        "_sent_at_eof",
        "_server",
        "_skipped",
        "_stalled",
        "_transport",
        "_unsent",
        "peer",
    )

    def __init__(self, server: Server) -> None:
        self._server = server
        self._open: Callable[[ClientConnection, Server, Peer], Exchange] = server.opens or Exchange
        self._reader = HeadReader(server.limits)
        self._transport: asyncio.Transport | None = None
        self._unsent: list[bytes] = []
        self._buffer = b""
        self._exchange: Handler | None = None
        self._deadline = 0.0
        self._pumping = False
        self._reading = True
        self._stalled = False
        self._full = False  # the client does not keep up
        self._closing = False
        self._in_head = False
        self._skipped = False  # an empty line before the request line
        self._eof = False
        self._gone_at = 0.0
        self._sent_at_eof = 0
        self.peer = Peer("", 0)

    # --- what the loop does

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport over."""
        self._transport = transport  # type: ignore[assignment] # the listener is a stream socket
        server = self._server
        self.peer = server.hops.arrival(transport)
        if not server.admit(self.peer):
            self._closing = True
            transport.abort()  # type: ignore[attr-defined] # as above
            return
        if self._transport is not None:
            self._transport.set_write_buffer_limits(high=server.limits.write_buffer_bytes)
        server.connections.add(self)
        self._deadline = server.loop.time() + server.limits.keep_alive_idle_s

    def data_received(self, data: bytes) -> None:
        """Take bytes of requests."""
        if self._closing:
            return  # lingering: what still comes is read so that the answer is not lost to a reset
        self._buffer = self._buffer + data if self._buffer else data
        self._pump()

    def eof_received(self) -> bool:
        """The client has sent all it will; it may still wait for its answer."""
        self._eof = True
        if self._exchange is not None and not self._closing:
            self._sent_at_eof = self._exchange.case.response_bytes
            self._gone_at = self._server.loop.time() + self._server.limits.half_close_s
            if not self._buffer:
                self._exchange.client_finished()
            return True
        return self._full and bool(self._buffer) and not self._closing

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - a reset and an end are the same here
        """The client is gone: whatever is under way is stopped and recorded."""
        self._closing = True
        if self in self._server.connections:
            self._server.connections.remove(self)
            self._server.clients.leave(self.peer)
        self._transport = None
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.client_gone("client_gone")

    def pause_writing(self) -> None:
        """The client reads slower than the service answers. The transport says so once, whoever's answer it is."""
        self._full = True
        if self._exchange is not None:
            self._exchange.pause_answer(paused=True)

    def resume_writing(self) -> None:
        """It has caught up: with the answer in hand, or with the one before the next request."""
        self._full = False
        if self._exchange is not None:
            self._exchange.pause_answer(paused=False)
        else:
            self._deadline = self._server.loop.time() + self._server.limits.keep_alive_idle_s
            self._pump()

    # --- what the exchange does

    def write(self, data: bytes) -> None:
        """Send bytes of an answer: what is written in one turn of the loop goes out in one call of the system."""
        if not self._unsent:
            self._server.outbox.add(self._flush)
        self._unsent.append(data)
        if len(self._unsent) >= _PIECES:
            self._flush()  # many small refusals in one turn: the transport must get to say that it is full

    def _flush(self) -> None:
        """Hand what was written to the transport."""
        unsent, self._unsent = self._unsent, []
        if self._transport is not None and unsent:
            self._transport.write(unsent[0] if len(unsent) == 1 else b"".join(unsent))

    def stall(self, *, stalled: bool) -> None:
        """Stop or go on reading, because the service does not keep up with the body."""
        self._stalled = stalled
        self._set_reading()

    def body_wanted(self) -> None:
        """The exchange can take body bytes again."""
        self._pump()

    def switch(self, tunnel: Handler) -> None:
        """Let a tunnel have the connection from here on."""
        self._exchange = tunnel
        if self._full:
            tunnel.pause_answer(paused=True)
        self._pump()

    def finish(self) -> bool:
        """Send no more, and go on reading; False where only both can be ended."""
        self._flush()
        if self._transport is None or not self._transport.can_write_eof():
            return False
        self._transport.write_eof()
        return True

    def exchange_over(self, *, close: bool) -> None:
        """The answer is written. Go on with the next request, or end."""
        self._exchange = None
        self._stalled = False
        if close or self._server.closing_idle or (self._eof and not self._buffer):
            self._end(linger=close)
            return
        self._deadline = self._server.loop.time() + self._server.limits.keep_alive_idle_s
        if self._buffer or not self._reading:
            self._pump()

    def cut(self, why: str) -> None:
        """End now, in the middle of whatever is under way; with a reset where an end would pass for the answer's."""
        exchange, self._exchange = self._exchange, None
        self._closing = True
        if exchange is not None:
            exchange.client_gone(why)
        self._flush()
        if self._transport is not None:
            sock = self._transport.get_extra_info("socket") if exchange is not None and exchange.until_close else None
            if sock is not None:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self._transport.abort()

    # --- what the server does

    def tick(self, now: float) -> None:
        """Look at the deadline of what is being waited for."""
        exchange = self._exchange
        if exchange is not None:
            if self._eof and now >= self._gone_at:
                sent = exchange.case.response_bytes
                if sent == self._sent_at_eof:
                    self.cut("client_gone")
                    return
                self._sent_at_eof, self._gone_at = sent, now + self._server.limits.half_close_s
            exchange.tick(now)
        elif now >= self._deadline:
            if self._closing or self._full or not self._buffer:
                self.cut("idle")
            else:
                self._refuse(RequestTimeout("head: too slow", close=True))

    def drain(self) -> None:
        """End with the answer in hand, or at once when there is none."""
        if self._exchange is None and not self._closing:
            self._end(linger=False)

    # --- reading

    def _pump(self) -> None:
        """Give the buffer to whom it belongs, until nothing more can be done with it."""
        if self._pumping:
            return
        self._pumping = True
        try:
            while not self._closing:
                exchange = self._exchange
                if exchange is None:
                    # INVARIANT: no answer is begun for a client that has not taken the last one, or a few bytes of
                    # pipelined requests would be answered into memory without bound.
                    if self._full or not self._begin():
                        break
                elif self._buffer and exchange.wants_body:
                    data, self._buffer = self._buffer, b""
                    rest = exchange.feed(data)
                    self._buffer = rest + self._buffer if rest else self._buffer
                else:
                    break
        finally:
            self._pumping = False
        if self._eof and not self._buffer and self._exchange is not None and not self._closing:
            self._exchange.client_finished()  # all it sent has been used, and may still not be a whole body
        self._set_reading()

    def _begin(self) -> bool:
        """Cut the next head out of the buffer and begin its exchange; False while it is not whole."""
        # RFC 9112 s2.2: an empty line before a request line is ignored; more than one pair is nobody's mistake.
        if self._buffer.startswith(b"\r\n") and not self._skipped:
            self._skipped = True
            self._buffer = self._buffer[2:]
        if not self._buffer:
            return False
        limits = self._server.limits
        end = self._buffer.find(END)
        if end < 0:
            self._await_head()
            return False
        block, self._buffer = self._buffer[: end + 4], self._buffer[end + 4 :]
        self._in_head = self._skipped = False
        if len(block) > limits.header_bytes:
            self._refuse(TooLarge("head: too large", code=Code.HEADER_TOO_LARGE, close=True))
            return False
        server, peer = self._server, self.peer
        # With too much in hand the head is read like a stranger's, so that the refusal can say whose it was.
        full = server.inflight >= limits.inflight
        known = None if full else server.recall.find(block, server.clock.now())
        if known is not None:
            if peer.hop:
                peer = server.hops.client(peer, known.caller.headers)
            exchange = self._exchange = self._open(self, server, peer)
            exchange.begin_known(known, block)
            return True
        try:
            head = self._reader.read(block)
        except GatewayError as error:
            self._refuse(error)
            return False
        if peer.hop:
            peer = server.hops.client(peer, head.headers)
        exchange = self._exchange = self._open(self, server, peer)
        exchange.begin(head, block)
        return True

    def _await_head(self) -> None:
        """Bound a head that is not whole yet, in time and in size, and refuse early what can never become one."""
        limits, buffer = self._server.limits, self._buffer
        if not self._in_head:
            self._in_head = True
            self._deadline = self._server.loop.time() + limits.header_read_s
        if buffer == b"\r" and not self._skipped:
            return  # half of the empty line that may come first
        if buffer[0] not in TCHAR or buffer.count(b"\n") != buffer.count(b"\r\n"):
            self._refuse(BadRequest("head: bare CR or LF, or not HTTP", close=True))
        elif len(buffer) > limits.request_line_bytes and b"\n" not in buffer:
            self._refuse(TooLarge("request line too long", code=Code.URI_TOO_LONG, close=True))
        elif len(buffer) > limits.header_bytes:
            self._refuse(TooLarge("head: too large", code=Code.HEADER_TOO_LARGE, close=True))

    def _refuse(self, error: GatewayError) -> None:
        """Answer what cannot be read as a request, and end."""
        self._buffer = b""
        exchange = self._exchange = self._open(self, self._server, self.peer)
        exchange.refuse(error)

    def _set_reading(self) -> None:
        """Read while somebody can use what comes."""
        if self._transport is None or self._closing:
            return
        wanted = not self._stalled and (not self._buffer or self._has_room())
        if wanted != self._reading:
            self._reading = wanted
            if wanted:
                self._transport.resume_reading()
            else:
                self._transport.pause_reading()

    def _has_room(self) -> bool:
        """Whether more may wait behind the request in hand. A blank line in a body counts as a request, too."""
        limits, buffer = self._server.limits, self._buffer
        return len(buffer) <= limits.pipelined_bytes and (
            self._exchange is None or buffer.count(END) < limits.pipelined_requests
        )

    def _end(self, *, linger: bool) -> None:
        """Close; after a refusal in the middle of a body, read on for a moment so that the answer arrives."""
        self._closing = True
        self._buffer = b""
        self._flush()
        transport = self._transport
        if transport is None:
            return
        if linger and transport.can_write_eof() and not self._eof:
            self._deadline = self._server.loop.time() + 1.0
            if not self._reading:
                self._reading = True
                transport.resume_reading()
            transport.write_eof()
        else:
            transport.close()
