"""One request and its answer: judged, recorded, forwarded, streamed; and recorded again when it is over.

The order is the promise. A durable allow is on disk before the first byte goes to the service, a known caller's refusal
before it is answered. Whatever ends an exchange, one event tells of it.

Callbacks and states rather than a task: a task costs about as much as everything else on a request's way together.
"""

from typing import Final

from gateway.errors import Code, GatewayError, Internal, Unready, UpstreamError
from gateway.forward.answered import Answered
from gateway.forward.between import between
from gateway.forward.headers import DECISION, TRACE, answer_fields, interim_head, response_head
from gateway.forward.request import recalled_request, service_request
from gateway.forward.retry import may_repeat
from gateway.forward.trace import trace_id
from gateway.forward.upstream import UpstreamConnection
from gateway.model import Route
from gateway.pipeline import Refuse, admit, judge
from gateway.serve import refusal
from gateway.serve.conclude import Concluding, State
from gateway.serve.intake import Intake
from gateway.serve.lasting import is_event_stream
from gateway.serve.preflight import preflight
from gateway.serve.recall import Known
from gateway.serve.tunnel import Tunnel, wanted
from gateway.wire.framing import NO_BODY, Ending, Framing
from gateway.wire.head import Head, ResponseHead
from gateway.wire.websocket import switched, upgrading

_LAST_CHUNK: Final = b"0\r\n\r\n"
_CONTINUE: Final = 100
_OURS: Final = TRACE + b": %b\r\n" + DECISION + b": %b\r\n"


class Exchange(Concluding):
    """From a head to the end of its answer."""

    __slots__ = ()

    # --- the way in

    def begin(self, head: Head, block: bytes = b"") -> None:
        """Judge a request by its head; go on with its body where the decision needs that.

        Args:
            head: What was read.
            block: Its bytes, so that they can be remembered.
        """
        self._head = self.case.head = head
        self.case.trace_id = trace_id(head.get_all(b"traceparent"))
        self._keep_alive = head.keep_alive
        self._intake = intake = Intake(self._server.limits, head.framing)
        self._continue_due = head.expects_continue and not intake.done
        limits = self._server.limits
        try:
            self._snapshot = snapshot = self._server.ready_snapshot()
            if head.method == b"OPTIONS" and snapshot.cors and (fields := preflight(self.case, snapshot)):
                self._answer_preflight(fields)
                return
            route = intake.route = admit(self.case, snapshot, limits.body_bytes, limits.decided_body_bytes)
            if route.websocket:
                self._handshake = wanted(self.case, snapshot, self._server)
            if route.reads_body and not intake.done:
                self._state = State.COLLECTING
                self._deadline = self._server.loop.time() + limits.body_stall_s
                self._continue()
            else:
                self._judge(route, block)
        except GatewayError as error:
            self.refuse(error)
        except Exception as exc:  # noqa: BLE001 - the edge: what nobody foresaw is refused and told, never served
            self._fault(exc)

    def begin_known(self, known: Known, block: bytes = b"") -> None:
        """Go on at once with a request that was judged before and allowed.

        Args:
            known: What was found out then.
            block: The head's bytes, in case it lasts and has to be judged again.
        """
        self._block = block
        target, caller, ruling, traces = known
        case, server = self.case, self._server
        framing = caller.framing
        self._head = case.head = Head(
            target.method,
            target.target,
            True,
            caller.host,
            caller.headers,
            framing,
            caller.keep_alive,
            caller.expects_continue,
            0,
        )
        case.trace_id = trace_id(traces)
        case.path, case.match, case.identity = target.path, target.match, caller.identity
        case.tenant_id, case.named_tenants, case.answer = ruling.tenant_id, ruling.named_tenants, ruling.answer
        case.target, case.caller, case.ruling, case.memo_hit = target, caller, ruling, True
        self._snapshot = server.snapshot
        self._keep_alive = caller.keep_alive
        route = ruling.route
        if framing is not NO_BODY:
            self._intake = Intake(server.limits, framing)
            self._intake.route = route
            self._continue_due = caller.expects_continue and not self._intake.done
        server.count_recalled()
        try:
            self._allowed(route)
        except GatewayError as error:
            self.refuse(error)
        except Exception as exc:  # noqa: BLE001 - the edge, as in `begin`
            self._fault(exc)

    def _judge(self, route: Route, block: bytes = b"") -> None:
        """Ask Cedar, then record, then forward."""
        self._state = State.JUDGING
        snapshot = self._snapshot or self._server.ready_snapshot()
        body = self._intake.collected if route.reads_body else None
        verdict = judge(self.case, snapshot, body, self._server.clock.text(self.case.received_at))
        self._server.count_decision(self.case)
        if isinstance(verdict, Refuse):
            self.refuse(verdict.error)
            return
        if block:
            self._server.recall.remember(block, self.case, snapshot)
        self._allowed(route)

    def _allowed(self, route: Route) -> None:
        """Record, then forward."""
        if not route.durable:
            self._server.recorder.number(self.case)
            self._connect(route)
        elif self._snapshot is not None:
            self._decided = True
            self._state = State.RECORDING
            self._server.recorder.decided(self.case, self._snapshot, self._recorded)

    def _recorded(self, kept: bool) -> None:
        """The decision is on disk, or cannot be put there."""
        gone = self._state is not State.RECORDING  # the client went while the disk was busy
        if not kept:
            self._decided = False
            if not gone:
                self.refuse(Unready("the decision cannot be recorded", code=Code.AUDIT_UNAVAILABLE))
        elif gone:
            self._server.recorder.completed(self.case, self._snapshot)  # nothing was forwarded, and the record says so
        elif self.case.match is not None:
            self._connect(self.case.match.route)

    # --- the service

    def _connect(self, route: Route, failed: UpstreamConnection | None = None) -> None:
        self._state = State.CONNECTING
        self._server.upstreams.acquire(route.service, self._connected, guard=route.changes, instead_of=failed)

    def _connected(self, conn: UpstreamConnection | None, error: GatewayError | None) -> None:
        if self._state is not State.CONNECTING:  # the client went meanwhile
            if conn is not None:
                self._server.upstreams.release(self._service(), conn)
            return
        if conn is None:
            self._upstream_failed(error or Internal("no connection"))
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
        data = self._request(conn)
        self._state = State.STREAMING
        self.case.forwarded = True
        self._stall_s = conn.limits.stall_s
        self._await_answer()
        user: Answered = self
        snapshot, match = self._snapshot, self.case.match
        if snapshot is not None and match is not None and match.route.id in snapshot.shaped:
            user = between(self, self.case, snapshot, conn, self._server.limits, self._server.metrics)
        conn.send(user, self.case.head.method if self.case.head else b"", data)
        if self._handshake is not None:
            conn.on_switch = self._switched
        if not self._intake.done and self._state is State.STREAMING:
            self._continue()
            self._client.body_wanted()

    def _request(self, conn: UpstreamConnection) -> bytes:
        """What the service is sent first."""
        if self.case.ruling is not None:
            return recalled_request(self.case, self._snapshot)
        data = service_request(self.case, self._snapshot, self._intake.collected, conn.address)
        return upgrading(data) if self._handshake is not None else data

    def _await_answer(self) -> None:
        limits = self._conn.limits if self._conn is not None else self._server.limits
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
        state = self._state
        return (state is State.STREAMING or state is State.COLLECTING) and not self._intake.done

    def feed(self, data: bytes) -> bytes:
        """Take bytes of the body; returns what follows its end."""
        intake = self._intake
        self._continue_due = False  # it did not wait
        try:
            if self._state is State.COLLECTING:
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

    def _switched(self, block: bytes, data: bytes) -> None:
        """The service says 101: its answer is whole, and what follows is a tunnel."""
        if self._conn is None or self._handshake is None:
            raise UpstreamError("upstream head: not an answer", code=Code.UPSTREAM_INVALID)
        head = switched(block, self._handshake)
        conn, self._conn = self._conn, None
        self.case.status = head.status
        self._record_end()
        self._over()
        Tunnel(self._client, self._server, conn, self.case, self._snapshot).begin(head, data)

    @property
    def until_close(self) -> bool:
        """Whether the answer is under way and the end of the connection is its end (RFC 9112 s6.3 rule 8)."""
        return self._answer is not None and self._answer.ending is Ending.CLOSE

    def on_interim(self, head: ResponseHead) -> None:
        """Pass a 1xx on; 100 was answered here already, and HTTP/1.0 knows none."""
        if head.status != _CONTINUE and self._head is not None and self._head.http_11:
            self._client.write(interim_head(head))

    def on_head(self, head: ResponseHead) -> None:
        """Begin the answer, framed anew for this client."""
        framing = head.framing
        stream = False
        if framing.ending in {Ending.CHUNKED, Ending.CLOSE}:
            http_11 = self._head is not None and self._head.http_11
            framing = Framing(Ending.CHUNKED if http_11 else Ending.CLOSE)
            stream = is_event_stream(head)
        self._answer = framing
        case = self.case
        case.status = head.status
        if stream:
            self._begin_stream()
        if not self._intake.done or framing.ending is Ending.CLOSE or self._server.draining:
            self._keep_alive = False
        ours = ((TRACE, case.trace_id.encode("ascii")), (DECISION, case.event_id.encode("ascii")))
        self._client.write(response_head(head, framing, ours, close=not self._keep_alive))
        self._deadline = self._server.loop.time() + self._stall_s

    def on_answer(self, head: ResponseHead, body: bytes) -> None:
        """The whole answer came at once: head and body go to the client in one piece."""
        case, server = self.case, self._server
        ending = head.framing.ending
        if not self._intake.done or (ending is not Ending.LENGTH and ending is not Ending.NONE):
            self.on_head(head)
            if body:
                self.on_body(body)
            self.on_end()
            return
        self._answer = head.framing
        case.status = head.status
        case.response_bytes = len(body)
        if server.draining:
            self._keep_alive = False
        passed = head.passed
        if not passed:
            passed = answer_fields(head, head.framing)
            head.keep_passed(passed)
        ours = _OURS % (case.trace_id.encode("ascii"), case.event_id.encode("ascii"))
        end = b"\r\n" if self._keep_alive else b"connection: close\r\n\r\n"
        self._client.write(b"%b%b%b%b" % (passed, ours, end, body))
        conn, self._conn = self._conn, None
        if conn is not None:
            server.upstreams.release(self._service(), conn)
        self._record_end()
        self._over()
        self._client.exchange_over(close=not self._keep_alive)

    def on_body(self, data: bytes) -> None:
        """Pass a piece of the answer on."""
        self.case.response_bytes += len(data)
        self._deadline = self._server.loop.time() + self._stall_s
        chunked = self._answer is not None and self._answer.ending is Ending.CHUNKED
        self._client.write(b"%x\r\n%b\r\n" % (len(data), data) if chunked else data)

    def on_trailers(self, block: bytes) -> None:
        """Fields come behind the body, each with its line end; only chunked coding has a place for them."""
        self._trailers = block

    def on_end(self) -> None:
        """The answer is whole."""
        if self._answer is not None and self._answer.ending is Ending.CHUNKED:
            self._client.write(b"0\r\n%b\r\n" % self._trailers if self._trailers else _LAST_CHUNK)
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

    def on_upstream_error(self, error: UpstreamError) -> None:
        """The service failed; try once more only what may be sent twice."""
        match = self.case.match
        if not self._retried and match is not None and may_repeat(self.case, error):
            self._retried = True
            failed = self._conn
            self._close_upstream(reusable=False)
            self._connect(match.route, failed)
            return
        self._upstream_failed(error)

    def _upstream_failed(self, error: GatewayError) -> None:
        kind = error.kind if isinstance(error, UpstreamError) else "other"
        self._server.metrics.upstream_failed(self._service(), kind)
        if self._answer is not None:
            self._cut_answer(f"upstream_{kind}")
        else:
            self.refuse(error)
