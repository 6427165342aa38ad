"""A connection to a service: writes one request, reads one answer, tells its user what came. Holds no rules of its own.

The service is a stranger too: its heads pass the same checks as a client's, and how its answer ends is chosen by the
request's method and the status before any field is believed. A byte more than that is `upstream_invalid` where it comes
with the head; later it is nobody's and ends the connection. A connection that lied is never used again.
"""

import asyncio
import select
import ssl
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from gateway.errors import Code, UpstreamError
from gateway.forward.answered import Answered
from gateway.forward.answers import AnswerHeads
from gateway.forward.pool import Place, Pool
from gateway.forward.tls import tls_error
from gateway.limits import Limits
from gateway.outbox import Outbox
from gateway.wire.framing import BodyReader, Ending
from gateway.wire.head import END, ResponseHead

_INTERIM: Final = 200
_SWITCHING: Final = 101
_SERVER_FAULT: Final = 500
_SMALL: Final = 16 * 1024
_INTERIM_LIMIT: Final = 16
"""1xx answers to one request; a service that sends more is not answering."""


class Owner(Protocol):
    """Who lends connections, and keeps count of how their addresses do."""

    def on_gone(self, conn: "UpstreamConnection") -> None:
        """An unused connection is of no more use."""

    def on_failed(self, conn: "UpstreamConnection", kind: str) -> None:
        """The exchange failed in a way that another address might not have."""

    def on_recovered(self, conn: "UpstreamConnection") -> None:
        """An address with failures behind it has answered well."""


class UpstreamConnection(asyncio.Protocol):
    """One connection to one address.

    Args:
        place: The address.
        limits: Of the service.
        owner: Who lends it.
        heads: What heads of answers meant before.
        service: The service's name.
        outbox: Where it sends from; at once without one.

    Attributes:
        address: `host:port`.
        place, limits, service: As given.
        pool: The pool it was opened for.
        used: How many exchanges it has carried.
        seen: `place.circuit.marks` when the exchange in hand began.
        until: While unused: how long it is kept.
        failure: Why the exchange in hand failed, as `UpstreamError.kind`.
        paused: Whether reading has stopped because the client does not keep up.
        full: Whether the service does not keep up.
        closed: Whether it is of no more use.
        on_switch: Takes the head of a 101, not parsed, and what follows it; None where none was asked for. Raises
            `UpstreamError` for one that does not fit; else it takes the transport by `hand_over`.
    """

    __slots__ = (
        "_answered",
        "_body",
        "_ended",
        "_heads",
        "_held",
        "_interims",
        "_method",
        "_outbox",
        "_owner",
        "_reusable",
        "_tainted",
        "_transport",
        "_unsent",
        "_until_close",
        "_user",
        "address",
        "closed",
        "failure",
        "full",
        "limits",
        "on_switch",
        "paused",
        "place",
        "pool",
        "seen",
        "service",
        "until",
        "used",
    )

    def __init__(
        self,
        place: "Place[UpstreamConnection]",
        limits: Limits,
        owner: Owner,
        heads: AnswerHeads | None = None,
        service: str = "",
        outbox: Outbox | None = None,
    ) -> None:
        self._outbox = outbox
        self._unsent: list[bytes] = []
        self._heads = heads or AnswerHeads()
        self.address = place.address
        self.place = place
        self.limits = limits
        self.service = service
        self.pool: Pool[UpstreamConnection] | None = None
        self.used = 0
        self.seen = 0
        self.until = 0.0
        self.failure = ""
        self._owner = owner
        self._transport: asyncio.Transport | None = None
        self._user: Answered | None = None
        self._method = b""
        self._held = b""
        self._body: BodyReader | None = None
        self._until_close = False
        self._interims = 0
        self._reusable = False
        self._tainted = False  # a 1xx named a body
        self._answered = False
        self._ended = False  # the service has said that this is the end
        self.paused = self.full = self.closed = False
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
        self._tainted = False
        self._answered = False
        self.used += 1
        self.write(data)

    def quiet(self) -> bool:
        """Whether nothing has come on an unused connection that the loop has not told of yet: an end, or a lie.

        About 1 us, so only for a request that could not be sent again; the others find out by sending.
        """
        sock = self._transport.get_extra_info("socket") if self._transport is not None else None
        if sock is None or self.closed:
            return not self.closed
        poll = select.poll()
        poll.register(sock.fileno(), select.POLLIN)
        return not poll.poll(0)

    def late(self) -> None:
        """The answer has not begun in time."""
        self._owner.on_failed(self, "timeout")

    def write(self, data: bytes) -> None:
        """Send more of the request's body, already framed. What is small goes at the end of the loop's turn."""
        if self._outbox is not None and len(data) <= _SMALL:
            if not self._unsent:
                self._outbox.add(self._flush)
            self._unsent.append(data)
        elif self._transport is not None and not self.closed:
            self._flush()
            self._transport.write(data)  # at once, so that the transport can say that it is full

    def _flush(self) -> None:
        """Hand what was written to the transport."""
        unsent, self._unsent = self._unsent, []
        if unsent and self._transport is not None and not self.closed:
            self._transport.write(unsent[0] if len(unsent) == 1 else b"".join(unsent))

    def pause(self, *, paused: bool) -> None:
        """Stop or go on reading the answer."""
        if self._transport is None or self.closed or paused is self.paused:
            return
        self.paused = paused
        if paused:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def hand_over(self, protocol: asyncio.BaseProtocol) -> asyncio.Transport | None:
        """Let another protocol have the transport; this connection is then only what must be released."""
        self._flush()
        self._user = None
        self.on_switch = None
        self._reusable = False
        self._judge(_SWITCHING)
        if self._transport is not None:
            self._transport.set_protocol(protocol)
        return self._transport

    def finish(self) -> bool:
        """End the exchange; returns whether the connection can be used again."""
        ended, self._user = self._user is None, None
        if ended and self._reusable and not (self.closed or self._held or self.full or self._unsent):
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
            self._transport.set_write_buffer_limits(high=self.limits.write_buffer_bytes)

    def data_received(self, data: bytes) -> None:
        """Take bytes of the answer."""
        if self._user is None:
            self.abort()  # nobody asked: what an unused connection says belongs to no request
            self._owner.on_gone(self)
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
        circuit = self.place.circuit
        if circuit.well and head.status < _SERVER_FAULT:
            circuit.marks += 1
        else:
            self._judge(head.status)
        names_none = ending is Ending.LENGTH or not self._may_trail(head)
        self._reusable = names_none and head.keep_alive and not self._tainted
        self._user = None
        user.on_answer(head, data[end:])
        return True

    def _judge(self, status: int) -> None:
        """Note how the address has answered; all there is to do for a good answer without trouble is to count."""
        circuit = self.place.circuit
        if status in circuit.faults:
            self._owner.on_failed(self, "status")
        elif circuit.well:
            circuit.marks += 1
        else:
            self._owner.on_recovered(self)

    def _take(self, data: bytes) -> None:
        """Work through the bytes in hand until they are used up or the answer ends."""
        while self._user is not None:
            if self._body is None:
                seen = max(len(self._held) - 3, 0)  # where the end of the head may begin: not looked for twice
                self._held += data
                data = b""
                end = self._held.find(END, seen)
                if end < 0:
                    if len(self._held) > self.limits.response_header_bytes:
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
            self._tainted = self._tainted or self._may_trail(head)
            self._user.on_interim(head)
            return
        if head.framing.ending in {Ending.NONE, Ending.LENGTH} and follows > head.framing.length:
            raise UpstreamError("upstream body: longer than its length", code=Code.UPSTREAM_INVALID)
        self._judge(head.status)
        self._body = BodyReader(head.framing)
        self._until_close = head.framing.ending is Ending.CLOSE
        self._reusable = head.keep_alive and not self._until_close and not self._tainted and not self._may_trail(head)
        self._user.on_head(head)

    def _may_trail(self, head: ResponseHead) -> bool:
        """Whether the answer names a body that it must not have (HEAD, 1xx, 204, 304).

        A service that sends it all the same sends it late, when it would be taken for the next answer.
        """
        if head.framing.ending is not Ending.NONE:
            return False
        return any(
            name == b"transfer-encoding" or (name == b"content-length" and value.strip(b"0"))
            for name, value in head.headers
        )

    def _end(self) -> None:
        user, self._user = self._user, None
        if user is not None:
            user.on_end()

    def eof_received(self) -> bool:
        """The service has said all it will say; if nobody waits for it, nobody shall be given this connection.

        Over TLS this is the service's own word; a connection that just ends has been cut by somebody.
        """
        self._ended = True
        if self._user is None:
            self.closed = True
            self._owner.on_gone(self)
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the user what the end means: of a body until close, the end; of anything else, a failure."""
        self.closed = True
        self._reusable = False
        if self._user is None:
            self._owner.on_gone(self)
        elif self._until_close and self._body is not None and self._ended and exc is None:
            self._end()
        elif self._answered:
            self._fail(UpstreamError("upstream closed in the middle of its answer", code=Code.UPSTREAM_INVALID))
        elif self.used > 1:
            self._fail(UpstreamError("upstream closed a kept connection", kind="stale"))
        elif isinstance(exc, ssl.SSLError):
            self._fail(tls_error(exc))
        else:
            self._fail(UpstreamError("upstream closed without an answer", kind="closed"))

    def _fail(self, error: UpstreamError) -> None:
        user, self._user = self._user, None
        self.failure = error.kind
        if error.kind != "stale":  # which says nothing of the address: it may close what is not used
            self._owner.on_failed(self, error.kind)
        self.abort()
        if user is not None:
            user.on_upstream_error(error)

    def pause_writing(self) -> None:
        """The service does not keep up."""
        self.full = True
        if self._user is not None:
            self._user.on_upstream_pause(paused=True)

    def resume_writing(self) -> None:
        """It has caught up."""
        self.full = False
        if self._user is not None:
            self._user.on_upstream_pause(paused=False)
