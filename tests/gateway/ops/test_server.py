"""The operations port's server inside another's loop."""

import asyncio
import signal
import socket

import httpx
from fastapi import FastAPI

from gateway.ops.server import OpsServer
from tests.builders.patience import PATIENCE_S


def _app() -> FastAPI:
    app = FastAPI(openapi_url=None)

    @app.get("/")
    async def here() -> dict[str, str]:
        return {"who": "here"}

    return app


async def test_serves_on_a_socket_it_is_given_and_stops() -> None:
    """It answers on an inherited socket, says nothing about its maker, and ends when told."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        server = OpsServer(_app())
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(server.serve_on(sock))
            async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE_S) as client:
                answer = await client.get(f"http://127.0.0.1:{sock.getsockname()[1]}/")
            assert answer.json() == {"who": "here"}
            assert "server" not in answer.headers
            server.stop()


async def test_leaves_signals_alone() -> None:
    """SIGTERM and SIGINT keep the handlers they had: the supervisor's."""
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    with OpsServer(_app()).capture_signals():
        assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before
