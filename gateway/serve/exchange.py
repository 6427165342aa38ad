"""One request and its answer: judged, recorded, forwarded, streamed; and recorded again when it is over.

The order is the promise. A durable allow is on disk before the first byte goes to the service, a known caller's refusal
before it is answered. Whatever ends an exchange, one event tells of it.

Callbacks and states rather than a task: a task costs about as much as everything else on a request's way together.
"""

from enum import Enum, auto
from typing import Final

from gateway.case import Case
from gateway.errors import Code, GatewayError, Internal, RequestTimeout, Unready, UpstreamTimeout
from gateway.forward.headers import DECISION, TRACE, interim_head, response_head
from gateway.forward.request import service_request
from gateway.forward.trace import trace_id
from gateway.forward.upstream import UpstreamConnection
from gateway.identify.refusal import TokenRefused
from gateway.model import Peer, Route
from gateway.pipeline import Refuse, admit, judge
from gateway.serve import refusal
from gateway.serve.intake import Intake
from gateway.serve.server import Client, Server
from gateway.snapshot import Snapshot
from gateway.wire.framing import NO_BODY, Ending, Framing
from gateway.wire.head import Head, ResponseHead

_SAFE: Final = frozenset({b"GET", b"HEAD"})
_LAST_CHUNK: Final = b"0\r\n\r\n"
_CONTINUE: Final = 100
_LONG_S: Final = 5.0
"""A buffered exchange that takes longer is written in two records: readers' `complete_through` waits for the first."""
_CLIENT_GONE: Final = 499  # what the metrics call a request whose client did not wait; nginx's number for it


class _State(Enum):
    JUDGING = auto()
    COLLECTING = auto()  # the body, because the decision needs it
    RECORDING = auto()
    CONNECTING = auto()
    STREAMING = auto()  # towards the service, from it, or both
    REFUSING = auto()  # the refusal is on its way to the disk
    OVER = auto()


class Exchange:
    """From a head to the end of its answer.

    Args:
        client: Whose request it is.
        server: What is shared.
        peer: The other end of the client's connection.

    Attributes:
        case: What is known of the request.
    """

    __slots__ = (
        "_answer",
        "_client",
        "_conn",
        "_continue_due",
        "_deadline",
        "_decided",
        "_head",
        "_intake",
        "_keep_alive",
        "_retried",
        "_server",
        "_snapshot",
        "_started",
        "_state",
        "case",
    )

    def __init__(self, client: Client, server: Server, peer: Peer) -> None:
        self._client = client
        self._server = server
        self._snapshot: Snapshot | None = None
        self._head: Head | None = None
        self._intake = Intake(server.limits)
        self._conn: UpstreamConnection | None = None
        self._state = _State.JUDGING
        self._decided = False  # whether the decision is recorded already, so that the end is a record of its own
        self._answer: Framing | None = None  # how the answer ends for this client; None until it has begun
        self._keep_alive = True
        self._continue_due = False
        self._retried = False
        self._deadline = 0.0
        self._started = server.loop.time()
        server.inflight += 1
        self.case = Case(event_id=server.sink.event_id(), trace_id="", received_at=server.clock.now(), peer=peer)

    # --- the way in

    def begin(self, head: Head) -> None:
        """Judge a request by its head; go on with its body where the decision needs that."""
        self._head = self.case.head = head
        self.case.trace_id = trace_id(head.get_all(b"traceparent"))
        self._keep_alive = head.keep_alive
        self._intake = intake = Intake(self._server.limits, head.framing)
        self._continue_due = head.expects_continue and not intake.done
        limits = self._server.limits
        try:
            self._snapshot = self._server.ready_snapshot()
            route = intake.route = admit(self.case, self._snapshot, limits.body_bytes, limits.decided_body_bytes)
            if route.reads_body and not intake.done:
                self._state = _State.COLLECTING
                self._deadline = self._server.loop.time() + limits.body_stall_s
                self._continue()
            else:
                self._judge(route)
        except GatewayError as error:
            self.refuse(error)
        except Exception as exc:  # noqa: BLE001 - the edge: what nobody foresaw is refused and told, never served
            self._fault(exc)

    def _judge(self, route: Route) -> None:
        """Ask Cedar, then record, then forward."""
        self._state = _State.JUDGING
        snapshot = self._snapshot or self._server.ready_snapshot()
        body = self._intake.collected if route.reads_body else None
        verdict = judge(self.case, snapshot, body, self._server.clock.text(self.case.received_at))
        self._server.count_decision(self.case)
        if isinstance(verdict, Refuse):
            self.refuse(verdict.error)
        elif route.durable:
            self._decided = True
            self._state = _State.RECORDING
            self._server.recorder.decided(self.case, snapshot, self._recorded)
        else:
            self._server.recorder.number(self.case)
            self._connect(route)

    def _recorded(self, kept: bool) -> None:
        """The decision is on disk, or cannot be put there."""
        gone = self._state is not _State.RECORDING  # the client went while the disk was busy
        if not kept:
            self._decided = False
            if not gone:
                self.refuse(Unready("the decision cannot be recorded", code=Code.AUDIT_UNAVAILABLE))
        elif gone:
            self._server.recorder.completed(self.case)  # nothing was forwarded, and the record says so
        elif self.case.match is not None:
            self._connect(self.case.match.route)

    # --- the service

    def _connect(self, route: Route, *, fresh: bool = False) -> None:
        self._state = _State.CONNECTING
        self._server.upstreams.acquire(route.service, self._connected, fresh=fresh)

    def _connected(self, conn: UpstreamConnection | None, error: GatewayError | None) -> None:
        if self._state is not _State.CONNECTING:  # the client went meanwhile
            if conn is not None:
                self._server.upstreams.release(self._service(), conn)
            return
        if conn is None:
            self._upstream_failed(error or Internal("no connection"), "connect")
            return
        self._conn = conn
        try:
            self._send(conn)
        except GatewayError as exc:
            self.refuse(exc)
        except Exception as exc:  # noqa: BLE001 - the edge, as in `begin`: a task that raises would end the worker
            self._fault(exc)

    def _send(self, conn: UpstreamConnection) -> None:
        """Send the service what there is of the request, and begin to wait for its answer."""
        data = service_request(self.case, self._snapshot, self._intake.collected, conn.address)
        self._state = _State.STREAMING
        self.case.forwarded = True
        self._await_answer()
        conn.send(self, self.case.head.method if self.case.head else b"", data)
        if not self._intake.done and self._state is _State.STREAMING:
            self._continue()
            self._client.body_wanted()

    def _await_answer(self) -> None:
        limits = self._server.limits
        wait = limits.first_byte_s if self._intake.done else limits.body_stall_s
        self._deadline = self._server.loop.time() + wait

    def _continue(self) -> None:
        """Tell a client that waits for it to send the body."""
        if self._continue_due:
            self._continue_due = False
            self._client.write(refusal.CONTINUE)

    # --- the request's body

    @property
    def wants_body(self) -> bool:
        """Whether body bytes can be taken now."""
        return not self._intake.done and self._state in {_State.COLLECTING, _State.STREAMING}

    def feed(self, data: bytes) -> bytes:
        """Take bytes of the body; returns what follows its end."""
        intake = self._intake
        self._continue_due = False  # it did not wait
        try:
            if self._state is _State.COLLECTING:
                rest = intake.collect(data)
                self._deadline = self._server.loop.time() + self._server.limits.body_stall_s
                self.case.request_bytes = intake.received
                if intake.done and intake.route is not None:
                    self._judge(intake.route)
                return rest
            content, rest = intake.pass_on(data)
        except GatewayError as error:
            self.refuse(error)
            return b""
        except Exception as exc:  # noqa: BLE001 - the edge, as in `begin`
            self._fault(exc)
            return b""
        self.case.request_bytes = intake.received
        if self._conn is not None and content:
            self._conn.write(content)
        if self._answer is None:
            self._await_answer()
        return rest

    # --- the answer

    def on_interim(self, head: ResponseHead) -> None:
        """Pass a 1xx on; 100 was answered here already, and HTTP/1.0 knows none."""
        if head.status != _CONTINUE and self._head is not None and self._head.http_11:
            self._client.write(interim_head(head))

    def on_head(self, head: ResponseHead) -> None:
        """Begin the answer, framed anew for this client."""
        framing = head.framing
        if framing.ending in {Ending.CHUNKED, Ending.CLOSE}:
            http_11 = self._head is not None and self._head.http_11
            framing = Framing(Ending.CHUNKED if http_11 else Ending.CLOSE)
        self._answer = framing
        case = self.case
        case.status = head.status
        if not self._intake.done or framing.ending is Ending.CLOSE or self._server.draining:
            self._keep_alive = False
        ours = ((TRACE, case.trace_id.encode("ascii")), (DECISION, case.event_id.encode("ascii")))
        self._client.write(response_head(head, framing, ours, close=not self._keep_alive))
        self._deadline = self._server.loop.time() + self._server.limits.stall_s

    def on_body(self, data: bytes) -> None:
        """Pass a piece of the answer on."""
        self.case.response_bytes += len(data)
        self._deadline = self._server.loop.time() + self._server.limits.stall_s
        chunked = self._answer is not None and self._answer.ending is Ending.CHUNKED
        self._client.write(b"%x\r\n%b\r\n" % (len(data), data) if chunked else data)

    def on_end(self) -> None:
        """The answer is whole."""
        if self._answer is not None and self._answer.ending is Ending.CHUNKED:
            self._client.write(_LAST_CHUNK)
        self._close_upstream(reusable=self._intake.done)
        self._record_end()
        self._over()
        self._client.exchange_over(close=not self._keep_alive)

    def pause_answer(self, *, paused: bool) -> None:
        """The client does not keep up, or has caught up."""
        if self._conn is not None:
            self._conn.pause(paused=paused)

    def on_upstream_pause(self, *, paused: bool) -> None:
        """The service does not keep up, or has caught up."""
        self._client.stall(stalled=paused)

    def on_upstream_error(self, error: GatewayError, *, stale: bool) -> None:
        """The service failed; try once more only where nothing can have happened."""
        head, match = self._head, self.case.match
        safe = head is not None and head.method in _SAFE and head.framing == NO_BODY
        if stale and safe and not self._retried and match is not None:
            self._retried = True
            self._close_upstream(reusable=False)
            self._connect(match.route, fresh=True)
            return
        self._upstream_failed(error, "invalid" if error.code is Code.UPSTREAM_INVALID else "closed")

    def _upstream_failed(self, error: GatewayError, kind: str) -> None:
        self._server.metrics.upstream_failed(self._service(), kind)
        if self._answer is not None:
            self._cut_answer(f"upstream_{kind}")
        else:
            self.refuse(error)

    def _cut_answer(self, why: str) -> None:
        """An answer that has begun cannot be taken back: it is cut, so that the client sees it is not whole."""
        self.client_gone(why)
        self._client.cut(why)

    # --- ends

    def refuse(self, error: GatewayError) -> None:
        """End the exchange with an answer of our own."""
        if self._state in {_State.OVER, _State.REFUSING}:
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
        self._state = _State.REFUSING
        passed = case.answer is not None and case.answer.allows and error.code is not Code.AUDIT_UNAVAILABLE
        if passed:
            self._record_end()
            self._answer_refusal(error)
        else:
            self._server.recorder.refused(case, self._snapshot, error, self._answer_refusal)

    def _answer_refusal(self, error: GatewayError) -> None:
        """The refusal is recorded as promised: say it."""
        if self._state is _State.OVER:
            return
        case, head = self.case, self._head
        close = error.close or not self._keep_alive or head is None or not self._intake.done or self._server.draining
        self._server.metrics.refused(error.code)
        head_only = head is not None and head.method == b"HEAD"
        self._client.write(refusal.response(error, case.trace_id, case.event_id, close=close, head_only=head_only))
        self._over()
        self._client.exchange_over(close=close)

    def _fault(self, exc: Exception) -> None:
        """Something nobody foresaw: told to the operator, refused to the caller."""
        self._server.fault(exc, self.case.trace_id)
        self.refuse(Internal(f"unforeseen {type(exc).__name__}", close=True))

    def client_finished(self) -> None:
        """The client will send no more; a body that is not whole never will be."""
        if not self._intake.done:
            self._client.cut("half_body")

    def client_gone(self, why: str) -> None:
        """The client is gone, or is cut off: stop the service's work and say how far it came."""
        if self._state is _State.OVER:
            return
        self.case.cut = why
        self._close_upstream(reusable=False)
        # While a record is on its way to the disk, its callback writes the end, or it is the only one there is.
        if self._state not in {_State.RECORDING, _State.REFUSING}:
            self._record_end()
        self._over()

    def tick(self, now: float) -> None:
        """Look at the deadline of what is being waited for."""
        if self._state is _State.COLLECTING and now >= self._deadline:
            self.refuse(RequestTimeout("body: too slow", close=True))
        if self._state is not _State.STREAMING:
            return
        if not self._decided and now >= self._started + _LONG_S:
            self._decided = True
            self._server.recorder.decided_meanwhile(self.case, self._snapshot)
        limit = self._server.limits.total_s
        total = bool(limit) and now >= self._started + limit
        if not total and now < self._deadline:
            return
        if self._answer is not None:
            self._server.metrics.upstream_failed(self._service(), "stall")
            self._cut_answer("total" if total else "upstream_stall")
        elif not self._intake.done and not total:
            self.refuse(RequestTimeout("body: too slow", close=True))
        else:
            self._server.metrics.upstream_failed(self._service(), "timeout")
            self.refuse(UpstreamTimeout("no answer in time"))

    def _record_end(self) -> None:
        """The last record: the second of a durable allow, else the only one."""
        if self._decided:
            self._server.recorder.completed(self.case)
        else:
            self._server.recorder.single(self.case, self._snapshot)

    def _over(self) -> None:
        self._state = _State.OVER
        server = self._server
        server.inflight -= 1
        method = self._head.method.decode("ascii") if self._head else ""
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
