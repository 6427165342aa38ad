"""TLS on the public port: accept, let in or not, shake hands, hand over to `ClientConnection`.

Connections are accepted by hand and not by the loop's server, because whom to let in is known from the address, before
anything is read and before a handshake costs a millisecond; and because the context of the next handshake can then be
another than that of the last: new certificates cost nobody a connection. Plain HTTP does not come here.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Final

import structlog

from gateway.model import Peer
from gateway.serve.backlog import pending
from gateway.serve.connection import ClientConnection
from gateway.serve.server import Server
from gateway.serve.tls import shown_certificate

_SHUTDOWN_S: Final = 2.0
"""For a client's goodbye; who does not say it is not waited for."""
_FULL_S: Final = 0.1
"""Out of descriptors or memory, accepting is tried again after this; meanwhile connections wait in the backlog."""
_AT_ONCE: Final = 64
"""Connections accepted in one turn of the loop."""

log = structlog.get_logger()


class TlsConnection(ClientConnection):
    """A client's connection within TLS.

    Args:
        server: What is shared.
        handed_over: Called when the handshake is over and the connection counts for itself.
    """

    __slots__ = ("_handed_over",)

    def __init__(self, server: Server, handed_over: Callable[[], None]) -> None:
        super().__init__(server)
        self._handed_over = handed_over

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The handshake is over."""
        self._handed_over()
        super().connection_made(transport)
        peer = self.peer
        shown = shown_certificate(transport.get_extra_info("ssl_object"))
        self.peer = Peer(peer.ip, peer.port, b"https", shown, peer.hop)

    def eof_received(self) -> bool:
        """The client has closed: within TLS it closes both ways, and nothing can be answered any more."""
        return False


class TlsFront:
    """The public port of one worker.

    Args:
        sock: Listening, not blocking; the front closes it.
        server: What is shared.
        context: What handshakes begin with; `context` can be set anew at any time.
        spawn: Starts a task that is waited for at the worker's end.
    """

    def __init__(
        self,
        sock: socket.socket,
        server: Server,
        context: ssl.SSLContext,
        spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]],
    ) -> None:
        self.context = context
        self._sock = sock
        self._server = server
        self._loop = server.loop
        self._spawn = spawn
        self._handshakes: set[asyncio.Task[None]] = set()
        self._accepting = True
        self._loop.add_reader(sock.fileno(), self._accept)

    def close(self) -> None:
        """Take who waits, then accept no more; handshakes go on, connections stay."""
        if not self._accepting:
            return
        self._accepting = False
        self._loop.remove_reader(self._sock.fileno())
        with suppress(OSError):
            self._sock.listen(0)  # as in `gateway.worker`
            for sock, name in pending(self._sock):
                self._greet(sock, self._server.hops.peer(name))
        self._sock.close()

    def give_up(self) -> None:
        """Accept no more, and end the handshakes; connections stay."""
        self.close()
        for task in self._handshakes:
            task.cancel()

    def _accept(self) -> None:
        """Somebody waits."""
        try:
            for sock, name in pending(self._sock, _AT_ONCE):
                self._greet(sock, self._server.hops.peer(name))
        except OSError as exc:
            log.warning("cannot_accept", reason=exc.strerror)
            self._loop.remove_reader(self._sock.fileno())
            self._loop.call_later(_FULL_S, self._accept_again)

    def _accept_again(self) -> None:
        if self._accepting:
            self._loop.add_reader(self._sock.fileno(), self._accept)

    def _greet(self, sock: socket.socket, peer: Peer) -> None:
        """Let it in, or close it unread."""
        if not self._server.admit(peer):
            sock.close()
            return
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        task = self._spawn(self._shake_hands(sock, peer))
        self._handshakes.add(task)
        task.add_done_callback(self._handshakes.discard)

    async def _shake_hands(self, sock: socket.socket, peer: Peer) -> None:
        server = self._server
        counted = True

        def over() -> None:
            nonlocal counted
            if counted:
                counted = False
                server.clients.leave(peer)

        try:
            await self._loop.connect_accepted_socket(
                lambda: TlsConnection(server, over),
                sock,
                ssl=self.context,
                ssl_handshake_timeout=server.limits.tls_handshake_s,
                ssl_shutdown_timeout=_SHUTDOWN_S,
            )
        except (OSError, asyncio.CancelledError) as exc:
            sock.close()
            if isinstance(exc, asyncio.CancelledError):
                raise
            server.metrics.handshake_failed(_why(exc))
        finally:
            over()


def _why(exc: OSError) -> str:
    """One of `gateway.metrics.HANDSHAKE_FAILURES`."""
    if isinstance(exc, ssl.SSLError):
        reason = exc.reason or ""
        return "certificate" if "CERTIFICATE" in reason or "UNKNOWN_CA" in reason else "protocol"
    # uvloop and asyncio tell of a handshake that was too slow by this error, and by no other.
    return "timeout" if isinstance(exc, ConnectionAbortedError) else "gone"
