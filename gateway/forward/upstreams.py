"""Connections to every service: takes one that is kept, or opens one. The shell around `gateway.forward.pool`.

Opening is tried on one address and, where that fails and there is another, on one more: nothing has been sent yet, so
this is safe for any request. What happens to exchanges afterwards comes back here from the connections, and moves the
circuits of their addresses.
"""

import asyncio
import ssl
from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias

import msgspec
import structlog

from gateway.errors import GatewayError, UpstreamError
from gateway.forward.answers import AnswerHeads
from gateway.forward.pool import Place, Pool
from gateway.forward.tls import client_context, tls_error
from gateway.forward.upstream import UpstreamConnection
from gateway.limits import Limits
from gateway.metrics import GatewayMetrics
from gateway.outbox import Outbox
from gateway.ports import Spawn
from gateway.sources import ServiceSource, TlsSource

Ready: TypeAlias = Callable[[UpstreamConnection | None, GatewayError | None], None]

_log = structlog.get_logger(__name__)


class _Service:
    """One service as configured, and its pool."""

    __slots__ = ("context", "limits", "pool", "server_name", "source")

    def __init__(self, source: ServiceSource, limits: Limits, context: ssl.SSLContext | None) -> None:
        own = msgspec.structs.asdict(source.limits)
        self.limits = msgspec.structs.replace(limits, **{k: v for k, v in own.items() if v is not None})
        self.source = source
        self.context = context
        self.server_name = source.tls.server_name if source.tls else ""
        self.pool: Pool[UpstreamConnection] = Pool(
            source.addresses, self.limits.upstream_idle_connections, self.limits.upstream_idle_s, source.breaker
        )


class Upstreams:
    """The pools of one worker, and what is told of their addresses (`gateway.forward.upstream.Owner`).

    Attributes:
        open: Connections that are open, in use or not.
        outbox: What connections send from; the clients' too.
    """

    def __init__(self, limits: Limits, spawn: Spawn, loop: asyncio.AbstractEventLoop, metrics: GatewayMetrics) -> None:
        self._limits = limits
        self._spawn = spawn
        self._loop = loop
        self._time = loop.time
        self._metrics = metrics
        self._services: dict[str, _Service] = {}
        self._contexts: dict[TlsSource, ssl.SSLContext] = {}
        self._heads = AnswerHeads()
        self.outbox = Outbox(loop)
        self.open = 0

    def __repr__(self) -> str:
        pools = {name: service.pool for name, service in self._services.items()}
        return f"<Upstreams {pools}>"

    def prepare(self, services: Iterable[ServiceSource]) -> None:
        """Read certificates and keys ahead of `configure`; in a thread, because a large CA file takes a while.

        Raises:
            ValueError: Some cannot be used.
        """
        for service in services:
            if service.tls is not None and service.tls not in self._contexts:
                try:
                    self._contexts[service.tls] = client_context(service.tls)
                except ValueError as exc:
                    raise ValueError(f"services.{service.name}.tls: {exc}") from None

    def configure(self, services: Mapping[str, ServiceSource]) -> None:
        """Take the services of a new snapshot.

        What has not changed keeps its connections; where only the addresses have, those that stay keep theirs and what
        is known of them.

        Raises:
            ValueError: As `prepare`; nothing has changed then.
        """
        self.prepare(services.values())
        old, self._services = self._services, {}
        for name, source in services.items():
            before = old.get(name)
            if before is not None and before.source == source:
                self._services[name] = old.pop(name)
                continue
            service = _Service(source, self._limits, self._contexts[source.tls] if source.tls else None)
            if before is not None and msgspec.structs.replace(before.source, addresses=source.addresses) == source:
                self._close(service.pool.adopt(old.pop(name).pool))
            self._services[name] = service
        for gone in old.values():
            self._close(gone.pool.drop())
        used = {source.tls for source in services.values()}
        self._contexts = {tls: context for tls, context in self._contexts.items() if tls in used}

    def acquire(
        self, service: str, ready: Ready, *, guard: bool = False, instead_of: UpstreamConnection | None = None
    ) -> None:
        """Get a connection; `ready` is called once with it, or with why there is none; at once if one is kept.

        Args:
            service: A configured service.
            ready: Takes the connection, which must come back by `release`.
            guard: Whether a kept connection is looked at once more: for a request that cannot be sent a second time.
            instead_of: The connection that failed, and came back; a new one is opened, to another address where one is.
        """
        found = self._services.get(service)
        if found is None or not found.pool.places:
            ready(None, UpstreamError("no address for the service", kind="connect"))
            return
        now = self._time()
        if instead_of is not None:
            self._again(found, instead_of, now, ready)
            return
        pool = found.pool
        place = pool.choose(now)
        if place is None:
            ready(None, _all_open(pool))
            return
        while (conn := pool.lend(place, now)) is not None:
            if conn.closed or (guard and not conn.quiet()):
                self._close([conn])
                continue
            conn.seen = place.circuit.marks
            ready(conn, None)
            return
        self._spawn(self._connect(found, place, ready))

    def _again(self, service: _Service, failed: UpstreamConnection, now: float, ready: Ready) -> None:
        pool = service.pool
        # The one that failed was the one used last. Those that were kept longer are no better.
        kept = failed.place.kept
        self._close(kept[:])
        kept.clear()
        place = pool.choose(now, failed.place) or pool.choose(now)
        if place is None:
            ready(None, _all_open(pool))
            return
        self._metrics.upstream_retried(service.source.name, failed.failure)
        self._spawn(self._connect(service, place, ready))

    async def _connect(self, service: _Service, place: Place[UpstreamConnection], ready: Ready) -> None:
        """Open a connection there, or to one other address."""
        found = await self._open(service, place)
        if isinstance(found, UpstreamError):
            other = service.pool.choose(self._time(), place)
            if other is not None:
                self._metrics.upstream_retried(service.source.name, "connect")
                found = await self._open(service, other)
        if isinstance(found, UpstreamError):
            ready(None, found)
        else:
            ready(found, None)

    async def _open(self, service: _Service, place: Place[UpstreamConnection]) -> UpstreamConnection | UpstreamError:
        seen = place.circuit.marks
        host, _, port = place.address.rpartition(":")
        host = host.strip("[]")
        limits = service.limits
        name = (service.server_name or host) if service.context is not None else None
        within = min(limits.connect_s, limits.total_s) if limits.total_s else limits.connect_s
        try:
            async with asyncio.timeout(within):
                _, conn = await self._loop.create_connection(
                    lambda: UpstreamConnection(place, limits, self, self._heads, service.source.name, self.outbox),
                    host,
                    int(port),
                    ssl=service.context,
                    server_hostname=name,
                )
        except TimeoutError:
            error = UpstreamError("connecting took too long", kind="connect")
        except ssl.SSLError as exc:
            error = tls_error(exc)
        except (OSError, ValueError, OverflowError) as exc:
            # A name that cannot be encoded and a port past 65535 are no OSErrors; nothing may escape, or nobody would
            # ever be told.
            reason = exc.strerror if isinstance(exc, OSError) else None
            error = UpstreamError(f"cannot connect: {reason or type(exc).__name__}", kind="connect")
        else:
            if not conn.closed:
                conn.seen = seen
                conn.pool = service.pool
                self.open += 1
                return conn
            error = UpstreamError("upstream spoke or closed before it was asked", kind="connect")
        place.busy -= 1
        self._failed(service.source.name, place, seen, error.kind)
        return error

    def release(self, _service: str, conn: UpstreamConnection) -> None:
        """Give a connection back; it is kept if it can be used again, else closed."""
        place = conn.place
        place.busy -= 1
        reusable = conn.finish()
        if not place.circuit.well:
            place.circuit.withdrawn(conn.seen)
        if not reusable:
            self.open -= 1
        elif place.dropped or conn.pool is None:
            self._close([conn])  # its address went with a snapshot
        else:
            surplus = conn.pool.keep(place, conn, self._time())
            if surplus is not None:
                self._close([surplus])

    # --- what connections tell

    def on_gone(self, conn: UpstreamConnection) -> None:
        """An unused connection has ended, or spoke though nobody asked."""
        if conn in conn.place.kept:
            conn.place.kept.remove(conn)
            self.open -= 1

    def on_failed(self, conn: UpstreamConnection, kind: str) -> None:
        """An exchange on a connection failed."""
        self._failed(conn.service, conn.place, conn.seen, kind)

    def on_recovered(self, conn: UpstreamConnection) -> None:
        """The first good answer of an address after trouble."""
        if conn.place.circuit.good():
            _log.info("upstream_circuit_closed", service=conn.service, address=conn.place.address)

    def _failed(self, service: str, place: Place[UpstreamConnection], seen: int, kind: str) -> None:
        circuit = place.circuit
        now = self._time()
        if circuit.failed(seen, now, kind):
            self._metrics.circuit_opened(service, kind)
            left_s = round(circuit.until - now, 3)
            _log.warning("upstream_circuit_opened", service=service, address=place.address, kind=kind, for_s=left_s)
            self._close(place.kept[:])  # whatever tries the address next shall not wait on what was left of before
            place.kept.clear()

    # --- now and then

    def sweep(self) -> None:
        """Close what has been unused for too long, and show the circuits; called on each tick."""
        now = self._time()
        for name, service in self._services.items():
            self._close(service.pool.expired(now))
            self._metrics.circuits(name, [place.circuit.state.value for place in service.pool.places])

    def close(self) -> None:
        """Close everything unused."""
        for service in self._services.values():
            self._close(service.pool.drain())

    def _close(self, connections: list[UpstreamConnection]) -> None:
        for conn in connections:
            conn.abort()
            self.open -= 1


def _all_open(pool: Pool[UpstreamConnection]) -> UpstreamError:
    """Every circuit is open: a request is refused at once instead of after a deadline."""
    kinds = sorted({place.circuit.kind for place in pool.places if place.circuit.kind})
    return UpstreamError(f"no address is tried for now: {', '.join(kinds)}", kind="open")
