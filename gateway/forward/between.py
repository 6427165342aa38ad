"""Who stands between a service's answer and the exchange: nobody, on nearly every route.

A route whose answers are looked through, whose service has `cors` settings or whose trailers pass is in
`Snapshot.shaped`; only there is anything of this made. Nearest to the exchange is what changes the head for every
answer, before it what holds an answer back.
"""

from collections.abc import Callable
from typing import Protocol

from gateway.case import Case
from gateway.forward.answered import Answered
from gateway.forward.redaction import Redacting, Refusable, private
from gateway.forward.trailers import trailer_block, wants_trailers
from gateway.forward.upstream import UpstreamConnection
from gateway.limits import Limits
from gateway.metrics import GatewayMetrics
from gateway.route.cors import Fields, without_cors
from gateway.snapshot import Snapshot
from gateway.wire.head import ResponseHead


class HeadChanged:
    """An answer that streams through with another head."""

    __slots__ = ("_change", "_then", "on_body", "on_end", "on_interim", "on_upstream_error", "on_upstream_pause")

    def __init__(self, then: Answered, change: Callable[[ResponseHead], ResponseHead]) -> None:
        self._then = then
        self._change = change
        self.on_interim = then.on_interim
        self.on_body = then.on_body
        self.on_end = then.on_end
        self.on_upstream_error = then.on_upstream_error
        self.on_upstream_pause = then.on_upstream_pause

    def on_head(self, head: ResponseHead) -> None:
        """Pass the head on, changed."""
        self._then.on_head(self._change(head))

    def on_answer(self, head: ResponseHead, body: bytes) -> None:
        """Pass the whole on, its head changed."""
        self._then.on_answer(self._change(head), body)


class Exchanging(Refusable, Protocol):
    """The exchange, as far as it is stood before."""

    def on_trailers(self, block: bytes) -> None:
        """Fields that follow the body, each with its line end."""


class Trailing:
    """An answer that streams through, with its trailers."""

    __slots__ = (
        "_conn",
        "_exchange",
        "_then",
        "on_answer",
        "on_body",
        "on_head",
        "on_interim",
        "on_upstream_error",
        "on_upstream_pause",
    )

    def __init__(self, then: Answered, exchange: Exchanging, conn: UpstreamConnection) -> None:
        self._then = then
        self._exchange = exchange
        self._conn = conn
        self.on_interim = then.on_interim
        self.on_head = then.on_head
        self.on_answer = then.on_answer
        self.on_body = then.on_body
        self.on_upstream_error = then.on_upstream_error
        self.on_upstream_pause = then.on_upstream_pause

    def on_end(self) -> None:
        """Hand the trailers over before the end."""
        block = trailer_block(self._conn.trailers)
        if block:
            self._exchange.on_trailers(block)
        self._then.on_end()


def between(
    exchange: Exchanging,
    case: Case,
    snapshot: Snapshot,
    conn: UpstreamConnection,
    limits: Limits,
    metrics: GatewayMetrics,
) -> Answered:
    """Who is told of the answer to a request that is about to be sent.

    Args:
        exchange: Whose request it is.
        case: Judged, and allowed.
        snapshot: By which it was.
        conn: Where the answer will come from.
        limits: What may be held back.
        metrics: What is counted.
    """
    if case.match is None or case.head is None:
        return exchange
    route = case.match.route
    then: Answered = exchange
    cors = snapshot.cors.services.get(route.service)
    if cors is not None:
        fields = cors.answer(case.head)
        then = HeadChanged(then, lambda head: _opened(head, fields))
    if case.withheld:
        return Redacting(then, exchange, case, snapshot.redacted_fields, limits.redacted_body_bytes, metrics)
    if route.redact:
        then = HeadChanged(then, private)
    if route.trailers and wants_trailers(case.head):
        then = Trailing(then, exchange, conn)
    return then


def _opened(head: ResponseHead, fields: Fields) -> ResponseHead:
    """An answer that says what pages may read it, in our words alone."""
    return head.changed((*without_cors(head.headers), *fields))
