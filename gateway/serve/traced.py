"""Exchanges that tell of themselves; in place of plain ones where `telemetry` is configured, and only there.

A plain exchange knows nothing of this module: what is not configured costs no branch.
"""

from random import Random
from typing import Final

from gateway.case import Case
from gateway.errors import GatewayError, UpstreamError
from gateway.forward.headers import TRACEPARENT
from gateway.forward.trace import caller_span
from gateway.forward.upstream import UpstreamConnection
from gateway.metrics import METHODS
from gateway.model import Peer, Route
from gateway.serve.exchange import Exchange
from gateway.serve.recall import Known
from gateway.serve.server import Client, Server
from gateway.spans import WAITING_MAX, Attempt, Sampling, Traced
from gateway.wire.head import Head

_NAMES: Final = Random()  # noqa: S311 - ids of spans, not secrets
_OURS: Final = b"\r\n" + TRACEPARENT + b": 00-"
_SPAN_AT, _FLAGS_AT = len(_OURS) + 33, len(_OURS) + 50
"""Where span id and flags stand behind the field's name: 32 digits and a dash, 16 and a dash."""
_HALF: Final = (1 << 64) - 1
_OTHER: Final = "_OTHER"


class Tracer:
    """What was told and not yet sent to the supervisor.

    Args:
        sampling: Which requests are told of.

    Attributes:
        follow_caller: See `Sampling`.
        dropped: How many were not kept since this was last taken.
    """

    __slots__ = ("_bound", "_waiting", "dropped", "follow_caller")

    def __init__(self, sampling: Sampling) -> None:
        # As OpenTelemetry's ratio sampler: the lower half of the trace's id below a share of all there are.
        self._bound = round(sampling.ratio * (_HALF + 1))
        self.follow_caller = sampling.follow_caller
        self._waiting: list[Traced] = []
        self.dropped = 0

    def samples(self, trace_id: str) -> bool:
        """Whether a trace is told of."""
        return int(trace_id[16:], 16) < self._bound

    def add(self, traced: Traced) -> None:
        """Keep what a request tells."""
        if len(self._waiting) >= WAITING_MAX:
            self.dropped += 1
        else:
            self._waiting.append(traced)

    def take(self) -> tuple[tuple[Traced, ...], int]:
        """What waits, and how many were dropped; both begin anew."""
        taken, dropped = tuple(self._waiting), self.dropped
        self._waiting.clear()
        self.dropped = 0
        return taken, dropped


class TracedExchange(Exchange):
    """An exchange that tells of itself when it is over.

    Args:
        client: Whose request it is.
        server: What is shared.
        peer: The other end of the client's connection.
        tracer: Whom it tells.
    """

    __slots__ = ("_attempts", "_decided_at", "_parent", "_sampled", "_sent", "_tracer")

    def __init__(self, client: Client, server: Server, peer: Peer, tracer: Tracer) -> None:
        self._tracer = tracer
        self._parent: tuple[str, bool] | None = None
        self._sampled: bool | None = None  # not known before the trace is
        self._decided_at = 0.0
        self._sent: tuple[str, float, str] | None = None  # to whom the request is on its way, by which span
        self._attempts: list[Attempt] = []
        super().__init__(client, server, peer)

    def begin(self, head: Head, block: bytes = b"") -> None:
        """See `Exchange`."""
        self._parent = caller_span(head.get_all(b"traceparent"))
        super().begin(head, block)

    def begin_known(self, known: Known, block: bytes = b"") -> None:
        """See `Exchange`."""
        self._parent = caller_span(known.traces)
        super().begin_known(known, block)

    def _judge(self, route: Route, block: bytes = b"") -> None:
        self._decided_at = self._server.clock.now()
        super()._judge(route, block)

    def _request(self, conn: UpstreamConnection) -> bytes:
        """The request, whose `traceparent` names the span that will tell of it, and says whether one will."""
        data = super()._request(conn)
        at = data.index(_OURS)  # INVARIANT: a client's own was taken out, and no field's value has a line end in it
        if self._is_sampled():
            span_id = data[at + _SPAN_AT : at + _SPAN_AT + 16].decode("ascii")
            self._sent = span_id, self._server.clock.now(), conn.address
            return data
        return b"%b00%b" % (data[: at + _FLAGS_AT], data[at + _FLAGS_AT + 2 :])

    def on_upstream_error(self, error: UpstreamError) -> None:
        """See `Exchange`."""
        self._answered(0, error.kind)
        super().on_upstream_error(error)

    def refuse(self, error: GatewayError) -> None:
        """See `Exchange`."""
        self._answered(0, error.code.word)  # whatever the service still says is not waited for
        super().refuse(error)

    def _over(self) -> None:
        super()._over()
        self._answered(self.case.status or 0, self.case.cut or "")
        case = self.case
        if case.trace_id and self._is_sampled():
            self._tracer.add(self._traced(case))

    def _answered(self, status: int, error: str) -> None:
        """An attempt is over."""
        sent, self._sent = self._sent, None
        if sent is not None:
            span_id, began, address = sent
            self._attempts.append(Attempt(span_id, began, self._server.clock.now(), address, status, error))

    def _is_sampled(self) -> bool:
        if self._sampled is None:
            parent, tracer = self._parent, self._tracer
            if parent is not None and tracer.follow_caller:
                self._sampled = parent[1]
            else:
                self._sampled = tracer.samples(self.case.trace_id)
        return self._sampled

    def _traced(self, case: Case) -> Traced:
        route = case.match.route if case.match is not None else None
        method = case.head.method.decode("latin-1") if case.head is not None else _OTHER
        error = case.error.code.word if case.error is not None else case.cut or ""
        return Traced(
            case.trace_id,
            _NAMES.randbytes(8).hex(),
            self._parent[0] if self._parent is not None else "",
            case.received_at,
            self._server.clock.now(),
            method if method in METHODS else _OTHER,
            case.peer.scheme.decode("ascii"),
            "1.1" if case.head is None or case.head.http_11 else "1.0",
            route.template if route is not None else "",
            route.service if route is not None else "",
            case.status or 0,
            error,
            route.action if route is not None else "",
            case.answer.effect.value if case.answer is not None else "",
            case.memo_hit,
            self._decided_at,
            case.decision_us,
            tuple(self._attempts),
        )
