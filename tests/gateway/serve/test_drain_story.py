"""The last answers of a worker: who was told that the connection stays may use it once more."""

import asyncio
from pathlib import Path

from tests.builders.patience import PATIENCE_S
from tests.builders.plane import plane, request
from tests.servers.upstream import Visit


async def test_a_connection_is_closed_only_after_its_client_was_told(tmp_path: Path) -> None:
    """An answer that began before the end was asked for does not say so; the next one does, and is the last."""
    async with plane(tmp_path) as gate:
        begun, go = asyncio.Event(), asyncio.Event()

        async def script(visit: Visit) -> None:
            while await visit.head():
                await visit.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{")
                begun.set()
                await go.wait()
                await visit.answer(b"}")

        gate.service.script = script
        reader, writer = await asyncio.open_connection("127.0.0.1", gate.port)
        async with asyncio.timeout(PATIENCE_S):
            writer.write(request(close=False))
            await begun.wait()
            assert b"connection: close" not in await reader.readuntil(b"\r\n\r\n")
            gate.server.draining = True
            go.set()
            assert await reader.readexactly(2) == b"{}"
            writer.write(request(close=False))
            answer = await reader.read()
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert b"\r\nconnection: close\r\n" in answer
        writer.close()


async def test_a_connection_that_comes_late_is_served_once(tmp_path: Path) -> None:
    """It was in the backlog when the end was asked for; a refusal, too, says that it is the last answer."""
    async with plane(tmp_path) as gate:
        gate.server.draining = True
        for auth, status in (("", b"200"), (None, b"401")):
            answer = await gate.raw(request(auth=auth, close=False))
            assert answer.startswith(b"HTTP/1.1 " + status)
            assert b"\r\nconnection: close\r\n" in answer
