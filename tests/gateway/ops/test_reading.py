"""An event as its asker is shown it, over a real connection."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.errors import BadRequest, Code, Forbidden, UpstreamError
from gateway.ops.reading import AuditReading
from gateway.sources import FrontTls
from tests.builders.certificates import Authority

ID = "01a21583-3b5c-705e-b94a-13f3ddd34290"


@asynccontextmanager
async def port(answer: bytes, tls: ssl.SSLContext | None = None) -> AsyncIterator[tuple[str, list[bytes]]]:
    """A public port that answers this to everything, and what it was asked."""
    asked: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    async with server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}", asked


def http(status: int, body: bytes) -> bytes:
    """An answer."""
    return b"HTTP/1.1 %d Said\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (status, len(body), body)


async def test_the_askers_own_credential_is_shown() -> None:
    """Nothing is read in any other name."""
    async with port(http(200, b'{"event_id": "e"}')) as (authority, asked):
        assert await AuditReading(authority, lambda: None).event(ID, "Bearer mine") == {"event_id": "e"}
        (head,) = asked
        assert head.startswith(f"GET /audit/events/{ID} HTTP/1.1\r\n".encode())
        assert b"authorization: bearer mine\r\n" in head.lower()


async def test_an_id_cannot_lead_elsewhere() -> None:
    """Whatever it is, it is one segment of the path."""
    async with port(http(200, b"{}")) as (authority, asked):
        await AuditReading(authority, lambda: None).event("../x?y#z", "Bearer mine")
        assert asked[0].startswith(b"GET /audit/events/..%2Fx%3Fy%23z HTTP/1.1\r\n")


@pytest.mark.parametrize(
    ("answer", "error", "code"),
    [
        (http(404, b"{}"), BadRequest, Code.BAD_REQUEST),
        (http(403, b"{}"), Forbidden, Code.FORBIDDEN),
        (http(401, b"{}"), UpstreamError, Code.UPSTREAM_UNAVAILABLE),
        (http(500, b"{}"), UpstreamError, Code.UPSTREAM_UNAVAILABLE),
        (http(302, b""), UpstreamError, Code.UPSTREAM_UNAVAILABLE),
        (http(200, b"nonsense"), UpstreamError, Code.UPSTREAM_INVALID),
        (http(200, b'{"a": 1, "a": 2}'), UpstreamError, Code.UPSTREAM_INVALID),
        (b"nonsense", UpstreamError, Code.UPSTREAM_UNAVAILABLE),
    ],
)
async def test_whatever_else_is_answered_is_a_refusal(answer: bytes, error: type[Exception], code: Code) -> None:
    """Not shown, not allowed, not there."""
    async with port(answer) as (authority, _):
        with pytest.raises(error) as refused:
            await AuditReading(authority, lambda: None).event(ID, "Bearer mine")
        assert refused.value.code is code  # type: ignore[attr-defined]


async def test_only_our_own_certificate_is_believed(tmp_path: Path) -> None:
    """The port's own, whatever name it is made for; not another of the same authority."""
    root = Authority()
    ours, other = root.server(), root.server()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(*ours.write(tmp_path))
    async with port(http(200, b"{}"), context) as (authority, asked):
        good = FrontTls(certificate=ours.pem, private_key="")
        assert await AuditReading(authority, lambda: good).event(ID, "Bearer mine") == {}
        bad = FrontTls(certificate=other.pem, private_key="")
        with pytest.raises(UpstreamError, match="explain: the audit cannot be asked"):
            await AuditReading(authority, lambda: bad).event(ID, "Bearer mine")
        assert len(asked) == 1
