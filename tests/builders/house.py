"""A data plane without a machine under it: real protocols, real policies, made-up sockets, disk and time.

Everything between the first byte of a client and the first byte of a service is the code that runs in a worker. The
loop is asyncio's own with a clock that is moved by hand, so nothing waits, a minute's silence costs microseconds, and
the same steps give the same bytes. What a socket adds (the kernel, its buffers, resets) is tested in `plane`.
"""

import asyncio
import functools
import selectors
import socket
import struct
import time
from collections.abc import Callable, Coroutine
from typing import Any

from prometheus_client import CollectorRegistry

from audit.codec import decode, encode
from audit.emit import Stamp
from audit.event import AuditEvent, Phase, Producer
from audit.fold import FoldKey
from audit.ids import EventIds
from gateway.clock import Clock
from gateway.forward.upstreams import Upstreams
from gateway.identify.refusal import UnknownKey
from gateway.limits import Limits
from gateway.metrics import GatewayMetrics
from gateway.serve.connection import ClientConnection
from gateway.serve.server import Server
from gateway.snapshot import Snapshot, build_snapshot
from tests.builders import plane

STEPS = 6_000
"""Turns of the loop that one act may cause. A piece a turn, thousands are many; more is a loop that feeds itself."""


_DISK_TURNS = 8


class Hang(Exception):
    """Something goes round and round, or never ends."""


class _Unwaiting(selectors.SelectSelector):
    """Waits for nothing: whatever happens, a test makes happen."""

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        return []


class HandLoop(asyncio.SelectorEventLoop):
    """asyncio's loop, turned by hand, with a clock that stands still until it is moved.

    Attributes:
        now: The loop's time.
        answers: Takes a fresh connection to a service, as the service's end; raises what connecting would.
        failed: What the loop's exception handler was told.
    """

    def __init__(self) -> None:
        super().__init__(_Unwaiting())
        self.now = 1_000.0
        self.answers: Callable[[End], None] = lambda _: None
        self.failed: list[dict[str, Any]] = []
        self.set_exception_handler(lambda _, context: self.failed.append(context))

    def _make_self_pipe(self) -> None:
        """Nobody wakes it from another thread, so it holds no socket."""

    def _close_self_pipe(self) -> None:
        """There is none."""

    def __del__(self) -> None:
        """It holds nothing that must be given back."""

    def time(self) -> float:
        """What the hand says."""
        return self.now

    def settle(self) -> None:
        """Turn until nothing more happens by itself."""
        running = asyncio._get_running_loop()
        asyncio._set_running_loop(self)
        try:
            self._run_once()
            for _ in range(STEPS):
                if not self._ready:
                    return
                self._run_once()
        finally:
            asyncio._set_running_loop(running)
        raise Hang("the loop does not come to rest")

    async def create_connection(self, factory: Any, *_: Any, **__: Any) -> Any:
        """A connection to whoever answers."""
        protocol = factory()
        end = End(self, protocol)
        end.transport.has_socket = False  # there is nothing to poll
        self.answers(end)
        protocol.connection_made(end.transport)
        return end.transport, protocol


class End:
    """The far end of one connection: what a client or a service does to it, and what it got.

    Attributes:
        transport: The near end.
        got: Bytes that came.
        closed: Whether the connection is gone.
        ended: Whether the near end has said that it sends no more.
        reset_by_peer: Whether the near end was torn down, so that nobody takes what came for whole.
        on_data: Called with each piece that comes.
    """

    def __init__(self, loop: HandLoop, protocol: Any) -> None:
        self.loop = loop
        self.protocol = protocol
        self.transport = Wire(self)
        self.got = bytearray()
        self.closed = False
        self.ended = False
        self.reset_by_peer = False
        self.on_data: Callable[[bytes], None] = lambda _: None

    def send(self, data: bytes) -> None:
        """Send bytes."""
        self.transport.arrive(data)

    def finish(self) -> None:
        """Say that no more will be sent."""
        self.transport.arrive(None)

    def reset(self) -> None:
        """Be gone."""
        self.transport.lose(ConnectionResetError())

    def take(self, *, takes: bool) -> None:
        """Stop or go on taking what comes."""
        self.transport.drain(drains=takes)


class Wire(asyncio.Transport):
    """The near end of a connection that has no socket; does what asyncio's documentation says one does."""

    def __init__(self, end: End) -> None:
        super().__init__()
        self._end = end
        self._loop = end.loop
        self._arrived: list[bytes | None] = []
        self._reading = True
        self._closing = False
        self._lost = False
        self._eof = False
        self._drains = True
        self._waiting = bytearray()
        self._high = 64 * 1024
        self._full = False
        self._resets = False
        self.most = 0
        self.has_socket = True

    # --- what a protocol does

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """A peer of a network for documentation."""
        if name == "socket" and self.has_socket:
            return self
        return ("192.0.2.7", 40_000) if name == "peername" else default

    def setsockopt(self, level: int, option: int, value: bytes | int) -> None:
        """As the socket's: whether closing is a reset is all that is seen from the other end."""
        self._resets = (level, option, value) == (socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Take the bound; low is a quarter of it, as asyncio has it."""
        self._high = 64 * 1024 if high is None else high

    def get_write_buffer_size(self) -> int:
        """What waits."""
        return len(self._waiting)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Take bytes, on to the other end while it takes them."""
        if self._lost or self._eof or not data:
            return
        if self._drains:
            self._loop.call_soon(self._deliver, bytes(data))
            return
        self._waiting += data
        self.most = max(self.most, len(self._waiting))
        if len(self._waiting) > self._high and not self._full:
            self._full = True
            self._end.protocol.pause_writing()

    def writelines(self, list_of_data: Any) -> None:
        """As `write`."""
        self.write(b"".join(list_of_data))

    def can_write_eof(self) -> bool:
        """Like TCP."""
        return True

    def write_eof(self) -> None:
        """Send no more."""
        self._eof = True
        if self._drains:
            self._loop.call_soon(self._deliver, None)

    def pause_reading(self) -> None:
        """Hold what arrives."""
        self._reading = False

    def resume_reading(self) -> None:
        """Go on."""
        self._reading = True
        self._loop.call_soon(self._hand_over)

    def is_reading(self) -> bool:
        """Whether what arrives is handed over."""
        return self._reading and not self._closing

    def is_closing(self) -> bool:
        """Whether it ends, or has ended."""
        return self._closing

    def close(self) -> None:
        """End once everything is written."""
        if not self._closing:
            self._closing = True
            if not self._waiting:
                self._loop.call_soon(self._lose, None)

    def abort(self) -> None:
        """End now."""
        self._closing = True
        self._waiting.clear()
        self._end.reset_by_peer = self._resets
        self._loop.call_soon(self._lose, None)

    # --- what the other end does

    def arrive(self, data: bytes | None) -> None:
        """Bytes, or None for their end."""
        self._arrived.append(data)
        if len(self._arrived) == 1:
            self._loop.call_soon(self._hand_over)

    def lose(self, exc: Exception | None) -> None:
        """The other end is gone."""
        self._closing = True
        self._waiting.clear()
        self._loop.call_soon(self._lose, exc)

    def drain(self, *, drains: bool) -> None:
        """The other end takes what comes, or stops taking."""
        self._drains = drains
        if not drains or self._lost:
            return
        if self._waiting:
            self._loop.call_soon(self._deliver, bytes(self._waiting))
            self._waiting.clear()
        if self._eof:
            self._loop.call_soon(self._deliver, None)
        if self._full:
            self._full = False
            self._end.protocol.resume_writing()
        if self._closing:
            self._loop.call_soon(self._lose, None)

    def _deliver(self, data: bytes | None) -> None:
        if data is None:
            self._end.ended = True
        else:
            self._end.got += data
            self._end.on_data(data)

    def _hand_over(self) -> None:
        """One piece a turn, as from a socket; `resume_reading` takes the rest up again."""
        if not self._arrived or not self._reading or self._closing:
            return
        data = self._arrived.pop(0)
        if self._arrived:
            self._loop.call_soon(self._hand_over)
        if data is not None:
            self._end.protocol.data_received(data)
        elif not self._end.protocol.eof_received():
            self.close()

    def _lose(self, exc: Exception | None) -> None:
        if not self._lost:
            self._lost = True
            self._end.closed = self._end.ended = True
            self._end.protocol.connection_lost(exc)


class MemorySink:
    """An audit sink that keeps its records in a list; alike refusals are kept apart, so that each can be counted.

    Attributes:
        events: Every record.
        kept: Called for each as it is kept: for a durable one when its disk would have it.
    """

    def __init__(self, loop: HandLoop) -> None:
        self._loop = loop
        self._ids = EventIds(time.time_ns)
        self._seq = 0
        self.events: list[AuditEvent] = []
        self.kept: Callable[[AuditEvent], None] = lambda _: None

    def event_id(self) -> str:
        """A rising id."""
        return self._ids.next()

    def producer(self, event_id: str | None = None) -> Producer:
        """The next number."""
        self._seq += 1
        return Producer(id="house", epoch=1, seq=self._seq)

    def number(self, at_ms: int) -> int:
        """The next number alone."""
        self._seq += 1
        return self._seq

    def numbered(self, seq: int) -> Producer:
        """This producer with a number that was taken."""
        return Producer(id="house", epoch=1, seq=seq)

    def render(self, event: AuditEvent) -> bytes | None:
        """The bytes of an event."""
        return encode(event)

    def emit_rendered(self, payload: bytes, seq: int, tenant_id: str, *, durable: bool = False) -> bool:
        """Keep what it says."""
        return self.emit(decode(payload), durable=durable)

    def emit_rendered_durable(self, payload: bytes, seq: int, tenant_id: str, then: Callable[[bool], None]) -> None:
        """Keep what it says, and say so some turns later."""
        self.emit_durable(decode(payload)).add_done_callback(lambda done: then(done.exception() is None))

    def emit(self, event: AuditEvent, *, durable: bool = False) -> bool:
        """Keep it."""
        self.events.append(event)
        self.kept(event)
        return True

    def emit_durable(self, event: AuditEvent) -> asyncio.Future[None]:
        """Keep it, and say so some turns later: a disk is slower than a connection."""
        self.events.append(event)
        written = self._loop.create_future()

        def turn(left: int) -> None:
            if left:
                self._loop.call_soon(turn, left - 1)
                return
            self.kept(event)
            if not written.cancelled():
                written.set_result(None)

        turn(_DISK_TURNS)
        return written

    def emit_folded(self, key: FoldKey, trace_id: str | None, make: Callable[[Stamp], AuditEvent]) -> None:
        """Keep each."""
        event_id = self.event_id()
        self.emit(make(Stamp(event_id, self.producer(event_id))))

    def emit_due(self, *, everything: bool = False) -> None:
        """Nothing is folded here."""

    def of_phase(self, *phases: Phase) -> list[AuditEvent]:
        """The records of these phases, in the order of their requests."""
        return sorted((event for event in self.events if event.phase in phases), key=lambda event: event.event_id)


@functools.cache
def snapshot(routes: str = plane.ROUTES) -> Snapshot:
    """The real policies and roles with these routes; built once, because that takes longer than a thousand requests."""
    return build_snapshot(plane.sources(9, routes=routes))


@functools.cache
def credential(role: str = "Cashier") -> str:
    """A token that outlives any run."""
    return plane.token(role, exp=int(time.time()) + 10 * 365 * 86_400)


class House:
    """One data plane, without disk and sockets.

    Attributes:
        loop: Its time.
        server: What a worker has.
        metrics: What it counts.
        sink: Its records.
        services: The service's ends of connections, in the order they were opened.
        faults: Exceptions nobody foresaw.
    """

    def __init__(self, *, limits: Limits | None = None, routes: str = plane.ROUTES) -> None:
        self.loop = HandLoop()
        self.limits = limits or Limits()
        self.sink = MemorySink(self.loop)
        self.services: list[End] = []
        self.faults: list[Exception] = []
        self.unknown_keys: list[UnknownKey] = []
        self.loop.answers = self.services.append
        self.metrics = GatewayMetrics(CollectorRegistry())
        self.server = Server(
            self.sink,
            self.limits,
            Upstreams(self.limits, self._spawn, self.loop, self.metrics),
            self.metrics,
            Clock(),
            self.loop,
            unknown_key=self.unknown_keys.append,
            fault=lambda exc, _: self.faults.append(exc),
        )
        self.snapshot = snapshot(routes)
        self.server.install(self.snapshot)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> object:
        return self.loop.create_task(work)

    def client(self) -> End:
        """A client that has just connected."""
        end = End(self.loop, ClientConnection(self.server))
        end.protocol.connection_made(end.transport)
        return end

    def settle(self) -> None:
        """Let happen what happens by itself."""
        self.loop.settle()

    def pass_time(self, seconds: float) -> None:
        """Let time go by, and the tick look at it."""
        self.loop.now += seconds
        self.server.tick()
        self.settle()

    def rest(self) -> None:
        """Wait until nobody waits any more.

        Raises:
            Hang: Somebody waits for ever.
        """
        longest = max(self.limits.keep_alive_idle_s, self.limits.first_byte_s, self.limits.stall_s) + 1
        for _ in range(16):
            if not self.server.connections and not self.server.inflight:
                return
            self.pass_time(longest)
        raise Hang(f"{len(self.server.connections)} connections, {self.server.inflight} requests do not end")

    def clear(self) -> None:
        """Forget what happened, what was remembered of heads, and every connection to a service."""
        self.server.install(self.snapshot)
        self.server.upstreams.close()
        self.server.upstreams = Upstreams(self.limits, self._spawn, self.loop, self.metrics)
        self.server.upstreams.configure(self.snapshot.services)
        self.settle()
        self.services.clear()
        self.sink.events.clear()
        self.faults.clear()
        self.loop.failed.clear()
        self.unknown_keys.clear()


def serve(end: End, reply: bytes) -> None:
    """Answer each request head that comes on a connection; for requests without bodies."""

    def on_data(data: bytes) -> None:
        for _ in range(data.count(b"\r\n\r\n")):
            end.send(reply)

    end.on_data = on_data
