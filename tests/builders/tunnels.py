"""Tunnels for tests: a data plane with a WebSocket route, frames by hand, and a client that knows none of ours."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
from websockets.asyncio.client import connect

from audit.event import AuditEvent
from gateway.snapshot import build_snapshot
from gateway.sources import SourceFile, Sources
from gateway.wire.websocket import accept
from tests.builders.patience import PATIENCE_S
from tests.builders.plane import ROUTES, Plane, plane, request, sources, token
from tests.servers.upstream import Script, Visit

ORIGIN = "https://shop.example"
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
ASKING = (
    f"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n"
    f"Origin: {ORIGIN}"
)


def switched(key: bytes = KEY.encode()) -> bytes:
    """A service's 101."""
    head = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
    return head + accept(key) + b"\r\n\r\n"


SWITCHED = switched()
LIVE = """
[[route]]
id = "order.live"
method = "GET"
path = "/live"
service = "order"
action = "order:list"
resource = { type = "Order" }
websocket = true
"""
MASK = b"\x01\x02\x03\x04"


def sent(payload: bytes, *, first: int = 0x81) -> bytes:
    """A client's frame, of up to 64 KiB."""
    size = len(payload)
    length = bytes((0x80 | size,)) if size < 126 else b"\xfe" + size.to_bytes(2, "big")
    return bytes((first,)) + length + MASK + bytes(byte ^ MASK[at % 4] for at, byte in enumerate(payload))


def said(payload: bytes, *, first: int = 0x81) -> bytes:
    """A service's frame, of up to 64 KiB."""
    size = len(payload)
    return bytes((first,)) + (bytes((size,)) if size < 126 else b"\x7e" + size.to_bytes(2, "big")) + payload


def asking(*, auth: str | None = "", more: str = "", target: str = "/live") -> bytes:
    """A handshake by hand."""
    return request("GET", target, headers=ASKING + (f"\r\n{more}" if more else ""), auth=auth, close=False)


def with_forbid(given: Sources, action: str = "order:list") -> Sources:
    """The same sources, where a policy that was not there forbids an action."""
    text = f'@id("halt")\n@reason("For tests.")\nforbid(principal, action == Action::"{action}", resource);\n'
    return replaced(given, policies=(*given.policies, SourceFile("halt.cedar", text)))


def replaced(given: Sources, **changes: Any) -> Sources:
    """The same sources with changes."""
    return msgspec.structs.replace(given, **changes)


@contextlib.asynccontextmanager
async def tunnels(folder: Path, **more: Any) -> AsyncIterator[Plane]:
    """A data plane whose `/live` opens tunnels for pages of `ORIGIN`."""
    more = {"routes": ROUTES + LIVE, "websocket_origins": (ORIGIN,), **more}
    async with plane(folder, **more) as gate:
        yield gate


def current(gate: Plane, **changes: Any) -> Sources:
    """The sources of `tunnels`, with the keys and the service that it has; `changes` replace any."""
    given = sources(gate.service.port, routes=ROUTES + LIVE, websocket_origins=(ORIGIN,))
    return replaced(given, **changes)


def install(gate: Plane, given: Sources) -> None:
    """Put other sources in force."""
    gate.server.install(build_snapshot(given))


def live(port: int, *, auth: str = "", **more: Any) -> connect:
    """A WebSocket through the gateway, by a client that is not ours."""
    more = {"origin": ORIGIN, "compression": None, "proxy": None, **more}
    fields = {"Authorization": f"Bearer {auth or token()}", **more.pop("additional_headers", {})}
    scheme = more.pop("scheme", "ws")
    return connect(f"{scheme}://127.0.0.1:{port}/live", additional_headers=fields, **more)


@contextlib.asynccontextmanager
async def client(gate: Plane) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A client's connection, which ends with the block."""
    reader, writer = await asyncio.open_connection("127.0.0.1", gate.port)
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


@contextlib.asynccontextmanager
async def opened(gate: Plane, **more: Any) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A tunnel by hand: the service's script has to be `switching`."""
    async with client(gate) as (reader, writer):
        writer.write(asking(**more))
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 "), head
        yield reader, writer


def switching(then: Script, *, with_head: bytes = b"") -> Script:
    """A script that answers a handshake and goes on."""

    async def script(visit: Visit) -> None:
        head = await visit.head()
        key = head.lower().index(b"sec-websocket-key: ") + len(b"sec-websocket-key: ")
        await visit.answer(switched(head[key : head.index(b"\r", key)]) + with_head)
        await then(visit)

    return script


async def until(condition: Callable[[], object], timeout_s: float = PATIENCE_S) -> None:
    """Wait for something that tells nobody."""
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110 - see above
            await asyncio.sleep(0.005)


async def closing(gate: Plane, kind: str = "authz.tunnel.closed") -> AuditEvent:
    """The event of the only end there is."""
    await until(lambda: any(event.event_type == kind for event in gate.events))
    [event] = [event for event in gate.events if event.event_type == kind]
    return event
