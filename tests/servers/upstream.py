"""A service that a test scripts: a real socket, the bytes it was sent, and whatever bytes it is told to answer."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

Script = Callable[["Visit"], Awaitable[None]]

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


class Visit:
    """One connection, as the script sees it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def head(self) -> bytes:
        """Read one request head, empty at the end of the connection."""
        try:
            return await self.reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            return b""

    async def answer(self, data: bytes) -> None:
        """Send bytes."""
        self.writer.write(data)
        await self.writer.drain()


class Upstream:
    """A scripted server.

    Attributes:
        port: Where it listens.
        heads: Every request head it has read, in order.
        bodies: What followed each of them, as far as `Content-Length` goes.
        connections: How many were opened.
        writers: Of each connection, in order.
    """

    def __init__(self) -> None:
        self.port = 0
        self.heads: list[bytes] = []
        self.bodies: list[bytes] = []
        self.connections = 0
        self.reply = OK
        self.script: Script | None = None
        self.writers: list[asyncio.StreamWriter] = []

    def fields(self, which: int = -1) -> dict[str, str]:
        """The fields of a request it has read, names in lower case; the last one wins."""
        lines = self.heads[which].decode("latin-1").split("\r\n")[1:-2]
        return {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer each request with `reply`, unless there is a script."""
        self.connections += 1
        self.writers.append(writer)
        visit = Visit(reader, writer)
        with contextlib.suppress(ConnectionError):
            if self.script is not None:
                await self.script(visit)
            else:
                while head := await visit.head():
                    self.heads.append(head)
                    length = int(self.fields().get("content-length", "0"))
                    self.bodies.append(await reader.readexactly(length))
                    await visit.answer(self.reply)
        writer.close()

    async def leave(self) -> None:
        """End every connection, so that none outlives the test's loop."""
        for writer in self.writers:
            writer.transport.abort()
        await asyncio.gather(*(writer.wait_closed() for writer in self.writers), return_exceptions=True)


@contextlib.asynccontextmanager
async def upstream() -> AsyncIterator[Upstream]:
    """A scripted server on a free port of loopback."""
    found = Upstream()
    server = await asyncio.start_server(found.serve, "127.0.0.1", 0)
    found.port = server.sockets[0].getsockname()[1]
    try:
        yield found
    finally:
        server.close()
        await found.leave()
