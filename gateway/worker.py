"""One worker: the data plane's composition root. Started by the supervisor as `python -m gateway.worker FD`.

It imports the data plane only. Configuration, snapshots and orders come over the control pipe; the end of that pipe is
the end of the worker, so a killed supervisor leaves nobody behind.
"""

import asyncio
import gc
import os
import signal
import socket
import ssl
import sys
import traceback
from collections.abc import Coroutine
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import structlog
import uvloop
from prometheus_client import CollectorRegistry

from audit.emit import Emitter
from audit.metrics import EmitMetrics
from audit.redact import WriteRedactor
from gateway.aside import aside
from gateway.clock import Clock
from gateway.control import (
    AskMetrics,
    Channel,
    Commit,
    Configure,
    Drain,
    Drained,
    FromWorker,
    Hello,
    Install,
    Installed,
    KidUnknown,
    MetricsReply,
    Revoke,
    Revoked,
    Told,
    ToWorker,
    WorkerConfig,
    worker_channel,
)
from gateway.forward.upstreams import Upstreams
from gateway.identify.refusal import UnknownKey
from gateway.metrics import GatewayMetrics, families
from gateway.serve.backlog import pending
from gateway.serve.connection import ClientConnection
from gateway.serve.front import TlsFront
from gateway.serve.server import TICK_S, Server
from gateway.serve.tls import server_context
from gateway.snapshot import Snapshot, build_snapshot
from gateway.sources import Sources

if TYPE_CHECKING:
    from gateway.serve.traced import Tracer

_DRAIN_POLL_S: Final = 0.02
_LAST_ANSWERS_S: Final = 1.0
"""Idle connections are kept for this long of a drain."""
_BACKLOG: Final = 4096
_UNREAD_BYTES: Final = 1024 * 1024
_COLLECT_AFTER: Final = 20_000
"""Objects made and not freed before the garbage collector looks for cycles; exchanges leave none behind."""

log = structlog.get_logger()


class _Prepared(NamedTuple):
    """What was built of sources and does not decide yet."""

    snapshot: Snapshot
    tls: ssl.SSLContext | None


class Worker:
    """A running data plane.

    Args:
        channel: To the supervisor.
        config: What it was told.
        tasks: Where its work runs.
    """

    def __init__(self, channel: Channel[FromWorker, ToWorker], config: WorkerConfig, tasks: asyncio.TaskGroup) -> None:
        self._channel = channel
        self._config = config
        self._tasks = tasks
        self._loop = asyncio.get_running_loop()
        self._registry = CollectorRegistry()
        self._emitter = _emitter(config, self._registry)
        metrics = GatewayMetrics(self._registry)
        self._server = Server(
            self._emitter,
            config.limits,
            Upstreams(config.limits, self._spawn, self._loop, metrics),
            metrics,
            Clock(),
            self._loop,
            unknown_key=self._unknown_key,
            fault=_fault,
            hops=config.hops,
        )
        self._tracer = _tracer(config, self._server)
        self._public = socket.socket(fileno=config.listen_fd)
        self._public.setblocking(False)
        self._listener: asyncio.Server | TlsFront | None = None
        self._ticker: asyncio.TimerHandle | None = None
        self._held: tuple[int, _Prepared] | None = None
        self._installing = asyncio.Lock()
        self._leaving = False
        self._asked: dict[str, float] = {}  # issuer to when its keys were last asked for; issuers are configured

    def _spawn(self, work: Coroutine[Any, Any, None]) -> object:
        return self._tasks.create_task(work)

    async def install(self, message: Install) -> None:
        """Build a snapshot off the loop, and swap it in unless it is to be held.

        One after the other, beside the control pipe: a revocation does not wait for it.
        """
        async with self._installing:
            await self._install(message)

    async def _install(self, message: Install) -> None:
        try:
            prepared = await aside(self._build, message.sources)
        except Exception as exc:  # noqa: BLE001 - whatever is wrong with the sources, the old snapshot stays
            self._answer(message.seq, str(exc) or type(exc).__name__)
            return
        if self._leaving:
            return  # nobody waits for the answer
        if message.hold:
            self._let_go()
            self._held = message.seq, prepared
        else:
            await self._swap(prepared)
        self._answer(message.seq)

    async def commit(self, message: Commit) -> None:
        """Swap in what is held."""
        async with self._installing:
            await self._commit(message)

    async def _commit(self, message: Commit) -> None:
        if self._leaving:
            return
        held = self._held
        if held is None or held[0] != message.prepared:
            self._let_go()
            self._answer(message.seq, "nothing is held under this number")
            return
        self._held = None
        await self._swap(held[1])
        self._answer(message.seq)

    def _let_go(self) -> None:
        """Of what another worker could not build, so that nobody took it."""
        if self._held is not None:
            self._server.leavings.add(self._held[1].snapshot)
        self._held = None

    def _build(self, sources: Sources) -> _Prepared:
        snapshot = build_snapshot(sources)
        self._server.upstreams.prepare(sources.services)
        return _Prepared(snapshot, server_context(sources.tls) if sources.tls is not None else None)

    def _answer(self, seq: int, problem: str | None = None) -> None:
        current = self._server.snapshot
        self._channel.send(Installed(seq, current.version if current else "", problem))

    async def _swap(self, prepared: _Prepared) -> None:
        """Decide by it; begin to accept with the first one."""
        self._server.install(prepared.snapshot)
        if self._listener is None:
            # What was made for good is not looked through again and again (7 % of a request's time). Only before the
            # first request: it holds the loop.
            gc.collect()
            gc.freeze()
            await self._listen(prepared.tls)
        elif isinstance(self._listener, TlsFront) and prepared.tls is not None:
            self._listener.context = prepared.tls  # for the next handshake; connections stay

    async def _listen(self, tls: ssl.SSLContext | None) -> None:
        sock = self._public.dup()
        sock.setblocking(False)
        if tls is not None:
            self._listener = TlsFront(sock, self._server, tls, self._tasks.create_task)
        else:
            self._listener = await self._loop.create_server(
                lambda: ClientConnection(self._server), sock=sock, backlog=_BACKLOG
            )
        self._tick()

    def _tick(self) -> None:
        self._server.tick()
        self._tell()
        self._ticker = self._loop.call_later(TICK_S, self._tick)

    def _tell(self) -> None:
        """Send on what requests told of themselves, unless the supervisor does not read: then it is counted."""
        if self._tracer is None or self._channel.unread_bytes > _UNREAD_BYTES:
            return  # what waits is bounded
        requests, dropped = self._tracer.take()
        if requests or dropped:
            self._channel.send(Told(requests, dropped))

    def _unknown_key(self, key: UnknownKey) -> None:
        """Ask for an issuer's keys, not more often than it makes sense: anybody can make up a key's name."""
        now = self._loop.time()
        if now < self._asked.get(key.issuer, 0.0) + self._config.kid_interval_s:
            return
        self._asked[key.issuer] = now
        self._channel.send(KidUnknown(key.issuer, key.kid or ""))

    def revoke(self, message: Revoke) -> None:
        """Hold every credential against what is revoked, and say that it is in force."""
        self._server.revoke(message.entries, stale=message.stale)
        self._channel.send(Revoked(message.seq))

    def metrics(self, message: AskMetrics) -> None:
        """Answer with everything counted so far."""
        self._channel.send(MetricsReply(message.seq, families(self._registry)))

    async def drain(self, within_s: float) -> None:
        """Accept no more, let answers in hand end, write everything down, and say so."""
        self._leaving = True
        await self._stop_accepting()
        until = self._loop.time() + within_s
        self._server.draining = True
        # A client may be sending on a connection that looks idle: for a moment it gets an answer that says it is the
        # last, instead of a reset.
        await self._until_empty(min(until, self._loop.time() + _LAST_ANSWERS_S))
        self._give_up_handshakes()
        self._server.drain()
        await self._until_empty(until)
        await self.close()
        self._channel.send(Drained())

    async def _stop_accepting(self) -> None:
        """Let in who is connected already, and nobody after."""
        # INVARIANT: whoever closes the last descriptor of the port has emptied its backlog a moment before.
        if isinstance(self._listener, TlsFront):
            self._public.close()
            self._listener.close()
            return
        if self._listener is not None:
            self._listener.close()
        await asyncio.sleep(_DRAIN_POLL_S)  # what the loop has accepted gets its connection, and its descriptor closes
        waiting: list[tuple[socket.socket, Any]] = []
        with self._public, suppress(OSError):
            self._public.listen(
                0
            )  # whoever comes now is refused by the system, but for one between the look and the close
            waiting.extend(pending(self._public))
        for sock, _ in waiting:
            with suppress(OSError):
                await self._loop.connect_accepted_socket(lambda: ClientConnection(self._server), sock)

    async def _until_empty(self, until: float) -> None:
        """Wait for connections and handshakes to end."""
        while self._server.clients.total and self._loop.time() < until:  # noqa: ASYNC110 - an event costs each request
            await asyncio.sleep(_DRAIN_POLL_S)

    def _give_up_handshakes(self) -> None:
        if isinstance(self._listener, TlsFront):
            self._listener.give_up()

    async def close(self) -> None:
        """Stop, whatever is under way; records are written and the spool gets its end mark."""
        self._leaving = True
        if self._ticker is not None:
            self._ticker.cancel()
        if self._listener is not None:
            self._listener.close()
        self._public.close()
        self._give_up_handshakes()
        self._server.close()
        self._tell()
        await self._emitter.aclose()


def _tracer(config: WorkerConfig, server: Server) -> "Tracer | None":
    """Have exchanges tell of themselves, where that is configured."""
    if config.sampling is None:
        return None
    from gateway.serve.traced import TracedExchange, Tracer  # not carried by a worker that tells nothing

    tracer = Tracer(config.sampling)
    server.opens = partial(TracedExchange, tracer=tracer)
    return tracer


def _emitter(config: WorkerConfig, registry: CollectorRegistry) -> Emitter:
    metrics = EmitMetrics(registry)
    return Emitter(
        Path(config.spool_folder),
        config.producer_id,
        limits=config.spool,
        redactor=WriteRedactor.of(config.redaction),
        metrics=metrics,
    )


def _log_as(form: str) -> None:
    """One JSON object a line on standard error, or lines for people; the supervisor's choice."""
    last = structlog.dev.ConsoleRenderer() if form == "console" else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
            last,
        ],
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


def _fault(exc: Exception, trace_id: str) -> None:
    """Tell the operator of an exception nobody foresaw: where, not with which values."""
    places = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(exc.__traceback__)]
    log.error("unforeseen", error=type(exc).__name__, trace_id=trace_id, at=places[-6:])


async def run(fd: int) -> int:
    """Serve until told to drain, or until the supervisor is gone."""
    channel = await worker_channel(fd)
    channel.send(Hello(os.getpid()))
    worker: Worker | None = None
    async with asyncio.TaskGroup() as tasks:
        async for message in channel:
            match message:
                case Configure(config):
                    _log_as(config.log_format)
                    worker = Worker(channel, config, tasks)
                case Install() if worker is not None:
                    tasks.create_task(worker.install(message))
                case Commit() if worker is not None:
                    tasks.create_task(worker.commit(message))
                case Revoke() if worker is not None:
                    worker.revoke(message)
                case AskMetrics() if worker is not None:
                    worker.metrics(message)
                case Drain(within_s) if worker is not None:
                    await worker.drain(within_s)
                    break
                case _:
                    log.error("an order before its time", order=type(message).__name__)
        else:
            if worker is not None:  # the supervisor is gone
                await worker.close()
    await channel.close()
    return 0


def main() -> int:
    """Entry point."""
    gc.set_threshold(_COLLECT_AFTER)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C is the supervisor's to handle
    with suppress(KeyboardInterrupt):
        return uvloop.run(run(int(sys.argv[1])))
    return 1


if __name__ == "__main__":
    sys.exit(main())
