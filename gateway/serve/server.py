"""What all connections of a worker share: the snapshot in force, the recorder, limits, upstreams, and the tick."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, Final, Protocol

from gateway.case import Case
from gateway.clock import Clock
from gateway.control import HopsConfig
from gateway.errors import Code, Unready
from gateway.forward.upstreams import Upstreams
from gateway.identify.refusal import UnknownKey
from gateway.limits import Limits
from gateway.metrics import GatewayMetrics
from gateway.model import Peer
from gateway.ports import AuditSink
from gateway.revocations import Revocation, Revocations
from gateway.serve.clients import Clients
from gateway.serve.hops import TrustedHops
from gateway.serve.intake import Intake
from gateway.serve.lasting import Watch
from gateway.serve.leavings import Leavings
from gateway.serve.recall import Recall
from gateway.serve.recorder import Recorder
from gateway.snapshot import Snapshot

TICK_S: Final = 0.25
"""How often deadlines are looked at. One timer for all connections: a timer for each is a microsecond a request."""


TUNNEL_PIECE: Final = 16 * 1024
"""Bytes of a tunnel that are followed in one turn of the loop: as empty frames of a service 3 ms, as one frame 1 us."""
_BETWEEN_SLICES_S: Final = 0.002
_RETRY_AFTER: Final = ((b"retry-after", b"1"),)


def overloaded(reason: str) -> Unready:
    """The refusal of what is one too many."""
    return Unready(reason, code=Code.OVERLOADED, headers=_RETRY_AFTER)


class Connection(Protocol):
    """A client connection, as the server sees it."""

    peer: Peer

    def tick(self, now: float) -> None:
        """Look at the deadline of what is being waited for; `now` is the loop's time."""

    def drain(self) -> None:
        """End with the answer in hand."""

    def cut(self, why: str) -> None:
        """End now."""


class Handler(Protocol):
    """Who has a client's connection for now: an exchange, or a tunnel.

    Attributes:
        case: What is known of its request.
    """

    case: Case

    @property
    def until_close(self) -> bool:
        """Whether only the connection's end would tell the client that it has all."""

    @property
    def wants_body(self) -> bool:
        """Whether bytes can be taken now."""

    def feed(self, data: bytes) -> bytes:
        """Take bytes; returns what is not its own."""

    def pause_answer(self, *, paused: bool) -> None:
        """The client does not keep up, or has caught up."""

    def client_finished(self) -> None:
        """The client will send no more."""

    def client_gone(self, why: str) -> None:
        """The client is gone, or is cut off."""

    def tick(self, now: float) -> None:
        """Look at the deadline of what is being waited for."""


class Client(Protocol):
    """The client's connection, as an exchange sees it."""

    def write(self, data: bytes) -> None:
        """Send bytes of an answer."""

    def stall(self, *, stalled: bool) -> None:
        """Stop or go on reading the request's body."""

    def body_wanted(self) -> None:
        """Give what there is of the body."""

    def exchange_over(self, *, close: bool) -> None:
        """The answer is written."""

    def cut(self, why: str) -> None:
        """End the connection in the middle of the answer."""

    def switch(self, tunnel: Handler) -> None:
        """Let a tunnel have the connection from here on."""

    def finish(self) -> bool:
        """Tell the client that it will be sent no more, and go on reading; False where TLS can only end both."""


class Server:
    """The state of one worker's data plane.

    Attributes:
        snapshot: What requests are judged by; None until the first is installed.
        sink: Makes event ids.
        recorder: Writes records.
        limits: What strangers may do.
        upstreams: Connections to services.
        metrics: What is counted.
        clock: The only clock of the data plane.
        loop: The worker's loop.
        connections: Open client connections.
        lasting: Tunnels, event streams and long answers.
        hops: Who is believed about the client.
        clients: Counts connections by client.
        inflight: Requests begun and not over.
        draining: Whether every answer says that it is its connection's last.
        closing_idle: Whether a connection that has no request in hand ends.
        recall: What is remembered of heads that were judged.
        leavings: What is left of snapshots that were replaced.
        revocations: What is revoked; outlives snapshots.
        no_body: The intake of every request without a body.
        tunnel_buffer: Where tunnels read into, one after the other.
        opens: Makes an exchange of client, server and peer; None for a plain one.
        unknown_key: Told of keys that tokens name and no issuer's set has.
        fault: Told of exceptions that nobody foresaw, with the trace id.
    """

    def __init__(
        self,
        sink: AuditSink,
        limits: Limits,
        upstreams: Upstreams,
        metrics: GatewayMetrics,
        clock: Clock,
        loop: asyncio.AbstractEventLoop,
        *,
        unknown_key: Callable[[UnknownKey], None],
        fault: Callable[[Exception, str], None],
        hops: HopsConfig | None = None,
    ) -> None:
        self.snapshot: Snapshot | None = None
        self.sink = sink
        self.recorder = Recorder(sink, clock)
        self.limits = limits
        self.upstreams = upstreams
        self.outbox = upstreams.outbox
        self.metrics = metrics
        self.clock = clock
        self.loop = loop
        self.unknown_key = unknown_key
        self.fault = fault
        self.connections: set[Connection] = set()
        self.lasting = Watch(lambda: self.snapshot, limits, metrics, clock, loop, fault)
        self.hops = TrustedHops(hops or HopsConfig())
        self.clients = Clients(limits)
        self.inflight = 0
        self.draining = False
        self.closing_idle = False
        self.recall = Recall()
        self.leavings = Leavings()
        self.revocations = Revocations()
        self.no_body = Intake(limits)
        self.tunnel_buffer = bytearray(TUNNEL_PIECE)
        self.opens: Callable[[Any, Server, Peer], Any] | None = None

    def install(self, snapshot: Snapshot) -> None:
        """Judge by a new snapshot from the next request on; those in hand keep theirs."""
        self._count_identities()
        snapshot.revocations = self.revocations
        old, self.snapshot = self.snapshot, snapshot
        forgotten = self.recall.forget(snapshot)
        if old is not None and old is not snapshot:
            self.leavings.add(old, *forgotten)
            self._free()
        self.upstreams.configure(snapshot.services)
        self.metrics.serve(snapshot.services)

    def _free(self) -> None:
        """Free what is left of old snapshots; a slice a turn, with time for requests between two."""
        if self.leavings.free():
            self.loop.call_later(_BETWEEN_SLICES_S, self._free)

    def revoke(self, entries: Iterable[Revocation], *, stale: bool) -> None:
        """Hold every credential against these entries too, from now on; what lasts and is refused by them is cut.

        Args:
            entries: What has changed.
            stale: See `Revocations.stale`.
        """
        self.revocations.apply(entries, self.clock.now())
        self.revocations.stale = stale
        if self.revocations.active:
            self.lasting.revoked()

    def ready_snapshot(self) -> Snapshot:
        """The snapshot in force, for the request that was begun last.

        Raises:
            Unready: There is none yet, or there are more requests in hand than may be: `overloaded`.
        """
        if self.inflight > self.limits.inflight:
            raise overloaded("inflight: too many")
        if self.snapshot is None:
            raise Unready("no snapshot yet")
        return self.snapshot

    def admit(self, peer: Peer) -> bool:
        """Let a connection in; one that is not is told nothing, but counted and recorded.

        Its answer would cost a handshake, or a read of what nobody asked for: whoever opens too many pays no attention.
        """
        refusal = self.clients.enter(peer)
        if refusal is None:
            return True
        self.metrics.connection_refused(refusal.value)
        self.recorder.turned_away(peer, overloaded(f"connections: too many ({refusal.value})"))
        return False

    def count_decision(self, case: Case) -> None:
        """Count what Cedar said."""
        if case.answer is None:
            return
        self.metrics.decided(case.answer.effect.value, None if case.memo_hit else case.decision_us / 1e6)
        for error in (*case.answer.errors, *case.field_errors):
            self.metrics.policy_failed(error.effect.value)

    def count_recalled(self) -> None:
        """Count a request whose decision and whose token were both remembered."""
        self.metrics.recalled()

    def tick(self) -> None:
        """Look at every deadline; called each `TICK_S`."""
        now = self.loop.time()
        for connection in list(self.connections):
            connection.tick(now)
        self.lasting.tick()
        self.upstreams.sweep()
        self.recorder.tick()
        if self.leavings:
            self.leavings.free()
        self._count_identities()
        self.metrics.connections.set(len(self.connections))
        self.metrics.inflight.set(self.inflight)
        self.metrics.upstream_connections.set(self.upstreams.open)

    def _count_identities(self) -> None:
        """Hand on what identification has counted: on the tick, so that a request pays for no counter of it."""
        if self.snapshot is None:
            return
        tokens = self.snapshot.tokens
        self.metrics.token_memo_hits.inc(tokens.hits + self.recall.hits)
        self.metrics.token_memo_misses.inc(tokens.misses)
        self.metrics.dropped_roles.inc(self.snapshot.dropped_roles)
        tokens.hits = tokens.misses = self.snapshot.dropped_roles = self.recall.hits = 0

    def drain(self) -> None:
        """Let every connection end with what it has in hand."""
        self.draining = self.closing_idle = True
        for connection in list(self.connections):
            connection.drain()
        self.lasting.drain()

    def close(self) -> None:
        """Cut what is left, and write what is still folded."""
        for connection in list(self.connections):
            connection.cut("drain")
        self.lasting.close()
        self.recorder.close()
        self.upstreams.close()
