"""The operations port's server: uvicorn inside the supervisor's loop, without hands on its signals."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import uvicorn
from starlette.types import ASGIApp

_KEEP_ALIVE_S: Final = 120
"""Longer than proxies keep an idle connection to a door (nginx 60 s, Go 90 s). Where we close first, one that sends
just then gets no answer, and denies somebody a request."""
_DRAIN_S: Final = 2
"""Requests here are short; a scraper that hangs must not hold a stop up."""


class OpsServer(uvicorn.Server):
    """Serves until `stop`.

    The supervisor owns SIGTERM and SIGINT: uvicorn would take them for itself and end before the workers have drained.
    """

    def __init__(self, app: ASGIApp) -> None:
        config = uvicorn.Config(
            app,
            log_config=None,  # structlog is set up already
            access_log=False,
            lifespan="off",
            server_header=False,
            proxy_headers=False,  # what X-Forwarded-For claims is not the peer
            ws="none",  # whatever is installed besides
            timeout_keep_alive=_KEEP_ALIVE_S,
            timeout_graceful_shutdown=_DRAIN_S,
            h11_max_incomplete_event_size=16 * 1024,
        )
        super().__init__(config)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone."""
        yield

    async def serve_on(self, sock: socket.socket) -> None:
        """Serve on a socket that listens already."""
        await self.serve([sock])

    def stop(self) -> None:
        """End `serve_on` when the requests in hand are answered."""
        self.should_exit = True
