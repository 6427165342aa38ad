"""A search engine's bulk API on a real socket: it checks what it is sent, keeps documents, and misbehaves when told.

What it checks it answers as the real ones do: 400 for a body without its last newline or with a line that is no action
where one must stand, 401 without the right login, 415 for another content type. Every such answer stands in `faults`.
"""

import asyncio
import base64
import contextlib
import gzip
import json
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

TYPES = {"application/x-ndjson", "application/json"}
Verdict = Callable[[str, dict[str, Any]], int]
"""From a document's id and the document to the status it is answered."""


@dataclass
class Asked:
    """One request."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Engine:
    """The engine, and what a test tells it.

    Attributes:
        documents: By id, with the index each is in.
        templates: By name.
        asked: Every request.
        faults: What a client did that the API does not allow.
        login: The `Authorization` it wants; None: none.
        verdict: Tells the status of each document that is not there yet.
        status: Answer every bulk request so, if set.
        kind: The error's type in a document's answer.
        misbehave: `hang`, `cut`, `fewer`, `others`, `garbage`, `endless`, `redirect`, or nothing.
        max_bytes: A larger body, unpacked, is answered 413.
        version: What it says it is.
    """

    port: int = 0
    documents: dict[str, tuple[str, dict[str, Any]]] = field(default_factory=dict)
    templates: dict[str, dict[str, Any]] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    login: str | None = None
    verdict: Verdict = lambda _id, _document: 201
    status: int = 0
    kind: str = "mapper_parsing_exception"
    template_status: int = 200
    misbehave: str = ""
    elsewhere: str = ""
    max_bytes: int = 100 << 20
    version: dict[str, str] = field(default_factory=lambda: {"distribution": "opensearch", "number": "2.11.0"})
    writers: list[asyncio.StreamWriter] = field(default_factory=list)
    scheme: str = "http"

    @property
    def url(self) -> str:
        """Where it is."""
        return f"{self.scheme}://127.0.0.1:{self.port}"

    @property
    def bulks(self) -> list[Asked]:
        """The bulk requests."""
        return [each for each in self.asked if each.path.startswith("/_bulk")]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection's requests."""
        self.writers.append(writer)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            while True:
                asked = await self._read(reader)
                self.asked.append(asked)
                if asked.path.startswith("/_bulk") and self.misbehave in _ON_THE_WIRE:
                    await _ON_THE_WIRE[self.misbehave](writer)
                status, answer = self._answer(asked)
                data = b"<html>" if self.misbehave == "garbage" and asked in self.bulks else json.dumps(answer).encode()
                more = f"Location: {self.elsewhere}\r\n" if self.misbehave == "redirect" else ""
                head = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\n{more}Content-Length: {len(data)}"
                writer.write(f"{head}\r\n\r\n".encode() + data)
                await writer.drain()
        writer.close()

    async def _read(self, reader: asyncio.StreamReader) -> Asked:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, path, _ = head[0].split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:-2])}
        return Asked(method, path, headers, await reader.readexactly(int(headers.get("content-length", "0"))))

    def _answer(self, asked: Asked) -> tuple[int, Any]:
        if self.login is not None and asked.headers.get("authorization") != self.login:
            self.faults.append("login")
            return 401, {"error": {"type": "security_exception"}, "status": 401}
        if (asked.method, asked.path) == ("GET", "/"):
            return 200, {"version": self.version}
        if asked.method == "PUT" and asked.path.startswith("/_index_template/"):
            if self.template_status == 200:
                self.templates[asked.path.rpartition("/")[2]] = json.loads(asked.body)
            return self.template_status, {"acknowledged": True}
        if asked.method == "POST" and asked.path.partition("?")[0] == "/_bulk":
            return self._bulk_asked(asked)
        self.faults.append(f"{asked.method} {asked.path}")
        return 404, {"status": 404}

    def _bulk_asked(self, asked: Asked) -> tuple[int, Any]:
        if self.misbehave == "redirect":
            return 307, {}
        if asked.headers.get("content-type") not in TYPES:
            self.faults.append("content type")
            return 415, {"status": 415}
        packed = asked.headers.get("content-encoding") == "gzip"
        body = gzip.decompress(asked.body) if packed else asked.body
        if len(body) > self.max_bytes:
            return 413, {"status": 413}
        return (self.status, {"status": self.status}) if self.status else self._bulk(body)

    def _bulk(self, body: bytes) -> tuple[int, Any]:
        if not body.endswith(b"\n"):
            self.faults.append("newline")
            return 400, {"error": {"type": "illegal_argument_exception"}, "status": 400}
        lines = body[:-1].split(b"\n")
        items = []
        for action_line, line in zip(lines[::2], lines[1::2], strict=len(lines) % 2 == 0):
            action, document = json.loads(action_line), json.loads(line)
            if set(action) != {"create"} or set(action["create"]) != {"_index", "_id"}:
                self.faults.append("action")
                return 400, {"error": {"type": "illegal_argument_exception"}, "status": 400}
            key, index = action["create"]["_id"], action["create"]["_index"]
            status = 409 if key in self.documents else self.verdict(key, document)
            item: dict[str, Any] = {"_id": key, "status": status}
            if status == 201:
                self.documents[key] = (index, document)
            else:
                item["error"] = {"type": "version_conflict_engine_exception" if status == 409 else self.kind}
            items.append({"create": item})
        if self.misbehave == "fewer":
            items = items[:-1]
        if self.misbehave == "others":
            items.reverse()
        return 200, {"errors": any("error" in item["create"] for item in items), "items": items}

    async def leave(self) -> None:
        """End every connection."""
        for writer in self.writers:
            writer.transport.abort()
        await asyncio.gather(*(writer.wait_closed() for writer in self.writers), return_exceptions=True)


async def _hang(_writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


async def _cut(writer: asyncio.StreamWriter) -> None:
    writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{"items":[')
    await writer.drain()
    writer.transport.abort()
    raise ConnectionResetError


async def _endless(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
    while True:
        writer.write(b" " * (1 << 20))
        await writer.drain()


_ON_THE_WIRE = {"hang": _hang, "cut": _cut, "endless": _endless}


def basic(user: str, password: str) -> str:
    """The `Authorization` of a user."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@contextlib.asynccontextmanager
async def search_engine(port: int = 0, tls: ssl.SSLContext | None = None) -> AsyncIterator[Engine]:
    """Run one."""
    engine = Engine(scheme="https" if tls is not None else "http")
    server = await asyncio.start_server(engine.serve, "127.0.0.1", port, ssl=tls, limit=1 << 20)
    engine.port = server.sockets[0].getsockname()[1]
    try:
        yield engine
    finally:
        server.close()
        await engine.leave()
