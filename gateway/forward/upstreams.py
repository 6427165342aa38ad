"""Connections to every service: takes one that is kept, or opens one. The shell around `gateway.forward.pool`."""

import asyncio
from collections.abc import Callable, Mapping
from typing import TypeAlias

from gateway.errors import GatewayError, UpstreamError
from gateway.forward.answers import AnswerHeads
from gateway.forward.pool import Pool
from gateway.forward.upstream import UpstreamConnection
from gateway.limits import Limits
from gateway.ports import Spawn

Ready: TypeAlias = Callable[[UpstreamConnection | None, GatewayError | None], None]


class Upstreams:
    """The pools of one worker.

    Attributes:
        open: Connections that are open, in use or not.
    """

    def __init__(self, limits: Limits, spawn: Spawn, loop: asyncio.AbstractEventLoop) -> None:
        self._limits = limits
        self._spawn = spawn
        self._loop = loop
        self._pools: dict[str, Pool[UpstreamConnection]] = {}
        self._heads = AnswerHeads()
        self.open = 0

    def __repr__(self) -> str:
        return f"<Upstreams {self._pools}>"

    def configure(self, services: Mapping[str, tuple[str, ...]]) -> None:
        """Take the services of a new snapshot; pools whose addresses have not changed keep their connections."""
        for name, pool in list(self._pools.items()):
            if services.get(name) != pool.addresses:
                self._close(pool.drain())
                del self._pools[name]
        for name, addresses in services.items():
            if name not in self._pools:
                limits = self._limits
                self._pools[name] = Pool(addresses, limits.upstream_idle_connections, limits.upstream_idle_s)

    def acquire(self, service: str, ready: Ready, *, fresh: bool = False) -> None:
        """Get a connection; `ready` is called once with it, or with why there is none; at once if one is kept.

        Args:
            service: A configured service.
            ready: Takes the connection, which must come back by `release`.
            fresh: Open a new one even if one is kept.
        """
        pool = self._pools.get(service)
        if pool is None or not pool.addresses:
            ready(None, UpstreamError("no address for the service"))
            return
        address, conn, old = pool.choose(self._loop.time())
        self._close(old)
        while conn is not None and (conn.closed or fresh):
            self._close([conn])
            pool.release(address)
            address, conn, old = pool.choose(self._loop.time())
            self._close(old)
        if conn is not None:
            ready(conn, None)
            return
        self._spawn(self._connect(pool, address, ready))

    async def _connect(self, pool: Pool[UpstreamConnection], address: str, ready: Ready) -> None:
        host, _, port = address.rpartition(":")
        try:
            async with asyncio.timeout(self._limits.connect_s):
                _, conn = await self._loop.create_connection(
                    lambda: UpstreamConnection(address, self._limits, self._heads), host.strip("[]"), int(port)
                )
        except TimeoutError:
            pool.release(address)
            ready(None, UpstreamError("connecting took too long"))
            return
        except (OSError, ValueError, OverflowError) as exc:
            # A name that cannot be encoded and a port past 65535 are no OSErrors; nothing may escape, or nobody would
            # ever be told.
            pool.release(address)
            reason = exc.strerror if isinstance(exc, OSError) else None
            ready(None, UpstreamError(f"cannot connect: {reason or type(exc).__name__}"))
            return
        conn.pool = pool
        self.open += 1
        ready(conn, None)

    def release(self, service: str, conn: UpstreamConnection) -> None:
        """Give a connection back; it is kept if it can be used again, else closed."""
        pool = self._pools.get(service)
        reusable = conn.finish()
        if pool is None or pool is not conn.pool:
            self._close([conn])  # its pool went with a snapshot; the new one has never lent it
            return
        pool.release(conn.address)
        if not reusable:
            self.open -= 1
            return
        surplus = pool.keep(conn.address, conn, self._loop.time())
        if surplus is not None:
            self._close([surplus])

    def sweep(self) -> None:
        """Close what has been unused for too long; called now and then."""
        now = self._loop.time()
        for pool in self._pools.values():
            self._close(pool.expired(now))

    def close(self) -> None:
        """Close everything unused."""
        for pool in self._pools.values():
            self._close(pool.drain())

    def _close(self, connections: list[UpstreamConnection]) -> None:
        for conn in connections:
            conn.abort()
            self.open -= 1
