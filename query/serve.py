"""uvicorn, held to our habits: no log of its own, no server header, and signals that end the process with code 0."""

import asyncio
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import structlog
import uvicorn
from fastapi import FastAPI

from query.errors import NotFit

_LOG = structlog.get_logger(__name__)
_BACKLOG: Final = 512
_KEEP_ALIVE_S: Final = 75
"""Longer than the gateway keeps an idle connection (30 s), so that no request of its meets the close of ours."""


class _Server(uvicorn.Server):
    """Ends on SIGTERM and SIGINT without raising them again: whoever waits for the process wants an exit code."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        try:
            yield
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)


async def serve(app: FastAPI, *, host: str, port: int, grace_s: float) -> None:
    """Serve until a signal comes, then answer what is under way.

    Args:
        app: What to serve.
        host: Where to listen.
        port: On which port; 0 lets the system choose, and the log says which.
        grace_s: How long what is under way may still take.

    Raises:
        NotFit: The port cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With its protocol said: asyncio sends at once (TCP_NODELAY) only on sockets that say TCP.
    with socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
            listener.listen(_BACKLOG)
        except OSError as exc:
            raise NotFit(f"the query API cannot listen on {host}:{port}: {exc.strerror}") from exc
        await _LOG.ainfo("query_listening", host=host, port=listener.getsockname()[1])
        config = uvicorn.Config(
            app,
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            ws="none",  # whatever is installed besides
            timeout_keep_alive=_KEEP_ALIVE_S,
            timeout_graceful_shutdown=max(1, round(grace_s)),
        )
        await _Server(config).serve(sockets=[listener])
        await _LOG.ainfo("query_stopped")
