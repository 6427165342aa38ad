"""A WebSocket between a client and a service, from the service's 101 to its end.

The bytes are the two ends' own. The gateway follows the frames (`wire.websocket`), hands a side that does not read on
to the other as a pause, and so keeps at most a write buffer each way; passes on ends and aborts as they come; and
records, when it is over, how much passed and why it ended.
"""

import asyncio
import os
from typing import Final

from gateway.case import Case, Closing
from gateway.errors import Code, Internal, Unready
from gateway.forward.headers import DECISION, TRACE, response_head
from gateway.forward.upstream import UpstreamConnection
from gateway.serve.lasting import Cut, Kind
from gateway.serve.server import TUNNEL_PIECE, Client, Server
from gateway.snapshot import Snapshot
from gateway.wire.framing import NO_BODY
from gateway.wire.head import ResponseHead
from gateway.wire.websocket import (
    GOING_AWAY,
    POLICY_VIOLATION,
    PROTOCOL_ERROR,
    Frames,
    Handshake,
    close_frame,
    handshake,
    upgrading,
)

_LINGER_S: Final = 1.0
"""How long a service is given to take what it was sent last."""
_MASK_BYTES: Final = 4


def wanted(case: Case, snapshot: Snapshot, server: Server) -> Handshake | None:
    """Whether an admitted request opens a tunnel; for routes that have one.

    Raises:
        BadRequest, Forbidden: It would, and must not.
        Unready: `overloaded`: there are as many as a worker keeps.
    """
    if case.head is None or case.match is None:
        raise Internal("a tunnel for a request that was not admitted")
    found = handshake(case.head, snapshot.origins[case.match.route.service])
    if found is not None and server.lasting.tunnels >= server.limits.tunnels:
        raise Unready("tunnels", code=Code.OVERLOADED, headers=((b"retry-after", b"1"),))
    return found


class Tunnel(asyncio.BufferedProtocol):
    """One open tunnel: the client's connection sees it as it sees an exchange, the service's as its protocol.

    Args:
        client: Whose tunnel it is.
        server: What is shared.
        conn: To the service, which has answered 101.
        case: The request that opened it; recorded.
        snapshot: By which it was judged.

    Attributes:
        case: Counts the bytes from now on.
    """

    __slots__ = (
        "_active_at",
        "_client",
        "_conn",
        "_down",
        "_down_ended",
        "_item",
        "_moved",
        "_over",
        "_paused",
        "_pending",
        "_resting",
        "_server",
        "_service",
        "_stalled",
        "_up",
        "_up_ended",
        "case",
    )

    until_close = False  # frames tell where they end

    def __init__(
        self, client: Client, server: Server, conn: UpstreamConnection, case: Case, snapshot: Snapshot | None
    ) -> None:
        self.case = case
        self._client = client
        self._server = server
        self._conn: UpstreamConnection | None = conn
        self._service: asyncio.Transport | None = conn.hand_over(self)
        self._up = Frames(masked=True)
        self._down = Frames(masked=False)
        self._up_ended = False  # the client has sent all it will
        self._down_ended = False
        self._stalled = False  # the service does not keep up
        self._paused = False  # the client does not keep up
        self._resting = False  # there is more from the client, which has to wait for the loop's next turn
        self._pending: Cut | None = None  # to be cut where the frame on its way to the client ends
        self._over = False
        self._moved = 0
        self._active_at = server.loop.time()
        self._item = server.lasting.add(Kind.TUNNEL, self, case, snapshot)

    def begin(self, head: ResponseHead, data: bytes) -> None:
        """Say 101, and pass on what came with it."""
        case = self.case
        ours = ((TRACE, case.trace_id.encode("ascii")), (DECISION, case.event_id.encode("ascii")))
        self._client.write(upgrading(response_head(head, NO_BODY, ours, close=False)))
        self._client.switch(self)
        if data:
            self._take(data)

    # --- what the client's connection does

    @property
    def wants_body(self) -> bool:
        """Whether the service can be sent more."""
        return not (self._stalled or self._resting or self._over)

    def feed(self, data: bytes) -> bytes:
        """Take bytes from the client; returns what has to wait."""
        rest = data[TUNNEL_PIECE:]
        if rest:
            data = data[:TUNNEL_PIECE]
            self._resting = True
            self._server.loop.call_soon(self._rested)
        try:
            self._up.take(data)
        except ValueError:
            self._end("client_invalid", PROTOCOL_ERROR, abort=True)
            return b""
        self.case.request_bytes += len(data)
        if self._service is not None:
            self._service.write(data)
        return rest

    def _rested(self) -> None:
        """The others have had their turn."""
        self._resting = False
        if not self._over:
            self._client.body_wanted()

    def pause_answer(self, *, paused: bool) -> None:
        """The client does not keep up, or has caught up."""
        if self._service is None or self._over or paused is self._paused:
            return
        self._paused = paused
        if paused:
            self._service.pause_reading()
        else:
            self._service.resume_reading()

    def client_finished(self) -> None:
        """The client will send no more; the service is told, and may still answer."""
        if self._up_ended or self._over:
            return
        self._up_ended = True
        if self._down_ended:
            self._end("closed", None)
        elif self._service is not None and self._service.can_write_eof():
            self._service.write_eof()

    def client_gone(self, why: str) -> None:
        """The client is gone, or is cut off; so is the service's side."""
        if not self._over:
            self._record(why)
            self._release()

    def tick(self, now: float) -> None:
        """End what is silent, or what only one side keeps open."""
        moved = self.case.request_bytes + self.case.response_bytes
        if moved != self._moved:
            self._moved, self._active_at = moved, now
        limits = self._server.limits
        if now < self._active_at + (limits.half_close_s if self._down_ended else limits.lasting_idle_s):
            return
        if self._down_ended:
            self._end("upstream_closed", None)
        else:
            self._end("idle", GOING_AWAY)

    # --- what the service's connection does

    def get_buffer(self, sizehint: int) -> bytearray:  # noqa: ARG002 - how much is read is ours to say
        """Where the service's next bytes go: one place for all tunnels, since each takes them out at once."""
        return self._server.tunnel_buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Take them."""
        self._take(bytes(memoryview(self._server.tunnel_buffer)[:nbytes]))

    def _take(self, data: bytes) -> None:
        """Take bytes from the service."""
        if self._over:
            return
        may_tell = self._may_tell
        try:
            whole = self._down.take(data)
        except ValueError:
            self._server.metrics.upstream_failed(self._name(), "invalid")
            self._end("upstream_invalid", PROTOCOL_ERROR, may_tell=may_tell, abort=True)
            return
        pending = self._pending if whole else None
        if pending is not None:
            data = data[:whole]
        self.case.response_bytes += len(data)
        self._client.write(data)
        if pending is not None:
            # A close frame that ends here is the service's own; one that begins here is cut off with the rest.
            self._end(pending.why, GOING_AWAY, may_tell=not (self._down.closed and self._down.between))

    def eof_received(self) -> bool:
        """The service will send no more; the client is told, and may still answer."""
        self._down_ended = True
        if self._over:
            return False
        self._active_at = self._server.loop.time()
        service = self._service
        if not self._up_ended and service is not None and service.can_write_eof() and self._client.finish():
            return True
        self._end("closed" if self._up_ended else "upstream_closed", None)
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """The service is gone: an abort is passed on as one."""
        self._service = None
        if self._over:
            self._release()
        elif exc is None and self._down_ended:
            self._end("upstream_closed", None)
        else:
            self._server.metrics.upstream_failed(self._name(), "closed")
            self._client.cut("upstream_closed")

    def pause_writing(self) -> None:
        """The service does not keep up."""
        self._stalled = True
        self._client.stall(stalled=True)

    def resume_writing(self) -> None:
        """It has caught up."""
        self._stalled = False
        if not self._over:
            self._client.stall(stalled=False)
            self._client.body_wanted()

    # --- the end

    def cut_off(self, cut: Cut) -> None:
        """End: at once, or, where there is nothing but a stop of ours in the way, after the frame that is passing."""
        if self._over:
            return
        if cut.why == "drain" and not self._down.between:
            self._pending = cut
            return
        code = GOING_AWAY if cut.why == "drain" else POLICY_VIOLATION
        self._end(cut.why, code)

    @property
    def _may_tell(self) -> bool:
        """Whether a close frame of ours may come next on the way to the client."""
        return self._down.between and not (self._down.closed or self._down_ended)

    def _end(self, why: str, code: int | None, *, may_tell: bool | None = None, abort: bool = False) -> None:
        """Close both sides, each with a close frame where one may stand and none has been sent.

        Args:
            why: For the record.
            code: Of the close frames; None for none.
            may_tell: Whether one may be put to the client, where that is not as the frames so far say.
            abort: Whether the service is cut off: one of the two is not to be trusted with more.
        """
        service = self._service
        if code is not None:
            if self._may_tell if may_tell is None else may_tell:
                self._client.write(close_frame(code))
            if service is not None and not abort and self._up.between and not (self._up.closed or self._up_ended):
                service.write(close_frame(code, os.urandom(_MASK_BYTES)))
        self._record(why)
        if abort or service is None:
            self._release()
        else:
            service.close()
            self._server.loop.call_later(_LINGER_S, self._release)
        self._client.exchange_over(close=True)

    def _record(self, why: str) -> None:
        """Say how it ended, once."""
        self._over = True
        if self._up.closed and self._down.closed and why in {"client_gone", "upstream_closed"}:
            why = "closed"  # both have said so: who lets go of the connection first means nothing
        server, item = self._server, self._item
        closing = Closing(
            kind="websocket",
            why=why,
            lasted_s=server.loop.time() - item.began_at,
            close_code=self._up.code if self._down.code is None else self._down.code,
            again=item.cut.again if item.cut is not None else None,
            policy_version=item.cut.policy_version if item.cut is not None else "",
        )
        server.lasting.discard(item, why)
        server.recorder.closed(self.case, closing)

    def _release(self) -> None:
        """Give the service's connection back, which closes it."""
        conn, self._conn = self._conn, None
        if conn is not None:
            self._server.upstreams.release(self._name(), conn)

    def _name(self) -> str:
        return self.case.match.route.service if self.case.match is not None else ""
