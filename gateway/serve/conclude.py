"""What every exchange holds, and all the ways it ends: answered, refused, cut, or left by its client.

Whatever ends an exchange, one event tells of it. The way up to there is `gateway.serve.exchange`.
"""

from enum import Enum, auto
from typing import Final

from gateway.case import Case
from gateway.errors import Code, GatewayError, Internal, RequestTimeout, UpstreamTimeout
from gateway.forward.trace import trace_id
from gateway.forward.upstream import UpstreamConnection
from gateway.identify.refusal import TokenRefused
from gateway.model import Peer
from gateway.pipeline import asked
from gateway.route.cors import Fields
from gateway.serve import refusal
from gateway.serve.lasting import Cut, Kind, Lasting, stream_closing
from gateway.serve.preflight import preflight_response
from gateway.serve.server import Client, Server
from gateway.snapshot import Snapshot
from gateway.wire.framing import Framing
from gateway.wire.head import Head
from gateway.wire.websocket import Handshake

_LONG_S: Final = 5.0
"""A buffered exchange that takes longer is written in two records: readers' `complete_through` waits for the first."""
_CLIENT_GONE: Final = 499  # what the metrics call a request whose client did not wait; nginx's number for it


class State(Enum):
    """How far an exchange is."""

    JUDGING = auto()
    COLLECTING = auto()  # the body, because the decision needs it
    RECORDING = auto()
    CONNECTING = auto()
    STREAMING = auto()  # towards the service, from it, or both
    REFUSING = auto()  # the refusal is on its way to the disk
    OVER = auto()


class Concluding:
    """An exchange, as far as its end is concerned.

    Args:
        client: Whose request it is.
        server: What is shared.
        peer: The other end of the client's connection.

    Attributes:
        case: What is known of the request.
    """

    __slots__ = (
        "_answer",
        "_block",
        "_client",
        "_conn",
        "_continue_due",
        "_deadline",
        "_decided",
        "_handshake",
        "_head",
        "_intake",
        "_keep_alive",
        "_lasting",
        "_retried",
        "_server",
        "_snapshot",
        "_stall_s",
        "_started",
        "_state",
        "_trailers",
        "case",
    )

    def __init__(self, client: Client, server: Server, peer: Peer) -> None:
        self._client = client
        self._server = server
        self._snapshot: Snapshot | None = None
        self._head: Head | None = None
        self._intake = server.no_body
        self._conn: UpstreamConnection | None = None
        self._block = b""  # of a head that was not parsed, because it was known
        self._handshake: Handshake | None = None  # what it asks for is a tunnel
        self._lasting: Lasting | None = None  # it is an event stream, or takes long
        self._state = State.JUDGING
        self._decided = False  # whether the decision is recorded already, so that the end is a record of its own
        self._answer: Framing | None = None  # how the answer ends for this client; None until it has begun
        self._keep_alive = True
        self._continue_due = False
        self._retried = False
        self._stall_s = 0.0  # the service's own
        self._trailers = b""
        self._deadline = 0.0
        self._started = server.loop.time()
        server.inflight += 1
        self.case = Case(event_id=server.sink.event_id(), trace_id="", received_at=server.clock.now(), peer=peer)

    def _cut_answer(self, why: str) -> None:
        """An answer that has begun cannot be taken back: it is cut, so that the client sees it is not whole."""
        self.client_gone(why)
        self._client.cut(why)

    # --- ends

    def refuse(self, error: GatewayError) -> None:
        """End the exchange with an answer of our own."""
        if self._state in {State.OVER, State.REFUSING}:
            return
        if self._answer is not None:  # too late for another
            self._cut_answer(error.code.word)
            return
        case = self.case
        case.trace_id = case.trace_id or trace_id([])
        case.error = error
        case.status = error.code.status
        if isinstance(error, TokenRefused):
            if error.claimed is not None:
                case.claimed_tenant, case.claimed_sub = error.claimed.tenant_id, error.claimed.sub
            if error.unknown_key is not None:
                self._server.unknown_key(error.unknown_key)
        self._close_upstream(reusable=False)
        self._state = State.REFUSING
        passed = case.answer is not None and case.answer.allows and error.code is not Code.AUDIT_UNAVAILABLE
        if passed:
            self._record_end()
            self._answer_refusal(error)
        else:
            self._server.recorder.refused(case, self._snapshot, error, self._answer_refusal)

    def _answer_refusal(self, error: GatewayError) -> None:
        """The refusal is recorded as promised: say it."""
        if self._state is State.OVER:
            return
        case, head = self.case, self._head
        close = error.close or not self._keep_alive or head is None or not self._intake.done or self._server.draining
        self._server.metrics.refused(error.code)
        head_only = head is not None and head.method == b"HEAD"
        fields: Fields = ()
        if self._snapshot is not None and self._snapshot.cors:
            fields = self._snapshot.cors.refusal(head, self._service() or None)
        self._client.write(
            refusal.response(error, case.trace_id, case.event_id, close=close, head_only=head_only, fields=fields)
        )
        self._over()
        self._client.exchange_over(close=close)

    def _answer_preflight(self, fields: Fields) -> None:
        """A page asks what it may ask: that is told here, before anybody is known."""
        close = not self._keep_alive or not self._intake.done or self._server.draining
        self._client.write(preflight_response(self.case, fields, close=close))
        self._server.recorder.preflight(self.case)
        self._over()
        self._client.exchange_over(close=close)

    def _fault(self, exc: Exception) -> None:
        """Something nobody foresaw: told to the operator, refused to the caller."""
        self._server.fault(exc, self.case.trace_id)
        self.refuse(Internal(f"unforeseen {type(exc).__name__}", close=True))

    def _begin_stream(self) -> None:
        """The answer is an event stream: its opening is over and recorded, its end will be an event of its own."""
        if self._snapshot is not None:
            asked(self.case, self._snapshot, self._server.clock.text(self.case.received_at))
        self._record_end()
        self._decided = True
        self._last(Kind.STREAM)

    def _last(self, kind: Kind) -> None:
        """From here on the decision is looked at again."""
        route = self._intake.route
        body = self._intake.collected if route is not None and route.reads_body else b""
        self._lasting = self._server.lasting.add(kind, self, self.case, self._snapshot, body=body, block=self._block)
        if self._decided:
            self._snapshot = None  # what lasts must not keep every snapshot that there ever was

    def cut_off(self, cut: Cut) -> None:
        """The answer must not go on."""
        if cut.again is not None:
            self.case.error = cut.again.error
        self._cut_answer(cut.why)

    def client_finished(self) -> None:
        """The client will send no more; a body that is not whole never will be."""
        if not self._intake.done:
            self._client.cut("half_body")

    def client_gone(self, why: str) -> None:
        """The client is gone, or is cut off: stop the service's work and say how far it came."""
        if self._state is State.OVER:
            return
        self.case.cut = why
        self._close_upstream(reusable=False)
        # While a record is on its way to the disk, its callback writes the end, or it is the only one there is.
        if self._state not in {State.RECORDING, State.REFUSING}:
            self._record_end()
        self._over()

    def tick(self, now: float) -> None:
        """Look at the deadline of what is being waited for."""
        if self._state is State.COLLECTING and now >= self._deadline:
            self.refuse(RequestTimeout("body: too slow", close=True))
        if self._state is not State.STREAMING:
            return
        if not self._decided and now >= self._started + _LONG_S:
            self._decided = True
            self._server.recorder.decided_meanwhile(self.case, self._snapshot)
        conn = self._conn
        if conn is None:
            return
        limit = conn.limits.total_s
        total = bool(limit) and now >= self._started + limit
        deadline = self._deadline
        if self._lasting is not None:
            deadline += self._lasting.patience_s
        elif self._answer is not None and now >= self._started + self._server.limits.lasting_s:
            self._last(Kind.RESPONSE)
        if total or now >= deadline:
            self._overdue(conn, total=total)

    def _overdue(self, conn: UpstreamConnection, *, total: bool) -> None:
        """Somebody has taken too long: whoever does not read, else whoever has not sent."""
        if self._answer is not None:
            if conn.paused and not total:
                self._cut_answer("client_stall")
                return
            self._server.metrics.upstream_failed(self._service(), "stall")
            self._cut_answer("total" if total else "upstream_stall")
        elif not self._intake.done and not total and not conn.full:
            self.refuse(RequestTimeout("body: too slow", close=True))
        else:
            if self._intake.done or conn.full:
                conn.late()
            self._server.metrics.upstream_failed(self._service(), "timeout")
            self.refuse(UpstreamTimeout("no answer in time"))

    def _record_end(self) -> None:
        """The last record: the second of a durable allow, else the only one."""
        if self._lasting is not None and self._lasting.kind is Kind.STREAM:
            self._server.recorder.closed(self.case, stream_closing(self._lasting, self._server.loop.time()))
        elif self._decided:
            self._server.recorder.completed(self.case, self._snapshot)
        else:
            self._server.recorder.single(self.case, self._snapshot)

    def _over(self) -> None:
        self._state = State.OVER
        server = self._server
        server.inflight -= 1
        if self._lasting is not None:
            server.lasting.discard(self._lasting, self.case.cut or "closed")
        method = self._head.method if self._head else b""
        status = self.case.status or _CLIENT_GONE
        server.metrics.answered(self._service(), method, status, server.loop.time() - self._started)

    def _close_upstream(self, *, reusable: bool) -> None:
        conn, self._conn = self._conn, None
        if conn is None:
            return
        if not reusable:
            conn.abort()
        self._server.upstreams.release(self._service(), conn)

    def _service(self) -> str:
        return self.case.match.route.service if self.case.match else ""
