"""Fields behind a body, over real sockets: dropped on nearly every route, passed on where one says so, never merged."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.builders.answers import CRLF, chunked, header_of, status_of
from tests.builders.plane import ROUTES, Plane, plane, request, token
from tests.servers.upstream import Visit

PASSING = ROUTES.replace('action = "product:import"', 'action = "product:import"\ntrailers = true').replace(
    'id = "order.list"', 'id = "order.list"\ntrailers = true'
)
TAKES = "TE: trailers\r\nConnection: TE"
GOOD = "X-Checksum: abc\r\nServer-Timing: db;dur=5\r\nContent-MD5: Q2hlY2s=\r\n"
NEVER = [
    "Transfer-Encoding: chunked",
    "Content-Length: 5",
    "Content-Encoding: gzip",
    "Content-Type: text/html",
    "Content-Range: bytes 0-1/2",
    "Host: evil.example",
    "Connection: close",
    "Keep-Alive: timeout=5",
    "TE: trailers",
    "Trailer: X-Other",
    "Upgrade: h2c",
    "Expect: 100-continue",
    "Authorization: Bearer x",
    "Proxy-Authorization: Basic x",
    "Cookie: a=b",
    "Set-Cookie: a=b",
    "Set_Cookie: a=b",
    "X-API-Key: k",
    "X-Tenant-Id: globex",
    "X_Tenant_Id: globex",
    "X-User-Roles: Admin",
    "X-User-Id: root",
    "X-Security-Context: x",
    "X-SECURITY-CONTEXT: x",
    "X-Decision-Id: 1",
    "X-Trace-Id: 1",
    "Traceparent: 00-1-1-01",
    "X-Forwarded-For: 203.0.113.9",
    "Forwarded: for=203.0.113.9",
    "X-HTTP-Method-Override: DELETE",
    "Range: bytes=0-1",
    "If-Match: x",
    "Cache-Control: public",
    "Location: https://evil.example",
    "Access-Control-Allow-Origin: *",
    "X-Redacted-Fields: /x",
    "WWW-Authenticate: Basic",
    "Vary: *",
]


@contextlib.asynccontextmanager
async def gate(folder: Path, routes: str = PASSING) -> AsyncIterator[Plane]:
    """A plane, one route of which passes trailers each way."""
    async with plane(folder, routes=routes) as found:
        yield found
        assert found.faults == []


def sent(trailers: str, *pieces: bytes) -> bytes:
    """An import in chunks with trailers."""
    head = request("POST", "/products/import", auth=token("Manager"), headers="Transfer-Encoding: chunked")
    body = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces or (b"hello",))
    return head + body + b"0\r\n" + trailers.encode("latin-1") + CRLF


async def received(found: Plane, data: bytes, pieces: int = 0) -> tuple[bytes, bytes]:
    """The head and the rest that the service gets of a request with a chunked body."""
    got: list[bytes] = []

    async def script(visit: Visit) -> None:
        got.append(await visit.head())
        rest = b""
        while not (rest.endswith(CRLF * 2) and b"0\r\n" in rest):
            rest += await visit.reader.read(1)
        got.append(rest)
        await visit.answer(b"HTTP/1.1 204 No Content\r\n\r\n")

    found.service.script = script
    assert status_of(await found.raw(data, pieces=pieces)) == 204
    return got[0], got[1]


async def test_trailers_of_a_request_pass_where_the_route_says_so(tmp_path: Path) -> None:
    """Behind the last chunk, where they came from, whatever pieces they came in; never in the head."""
    async with gate(tmp_path) as found:
        for pieces in (0, 1, 7):
            head, body = await received(found, sent(GOOD), pieces)
            assert body.endswith(b"0\r\nx-checksum: abc\r\nserver-timing: db;dur=5\r\ncontent-md5: Q2hlY2s=\r\n\r\n")
            assert b"checksum" not in head.lower()


async def test_trailers_of_a_request_are_dropped_elsewhere(tmp_path: Path) -> None:
    """The body passes, and nothing behind it."""
    async with gate(tmp_path, ROUTES) as found:
        head, body = await received(found, sent(GOOD))
        assert body.endswith(b"hello\r\n0\r\n\r\n")
        assert b"checksum" not in head.lower() + body.lower()


@pytest.mark.parametrize("field", NEVER)
async def test_what_must_not_be_a_trailer_never_is_one(tmp_path: Path, field: str) -> None:
    """Framing, credentials, conditions, what speaks in our name: dropped both ways, beside one that passes."""
    async with gate(tmp_path) as found:
        head, body = await received(found, sent(f"{field}\r\nX-Checksum: abc\r\n"))
        assert body.endswith(b"0\r\nx-checksum: abc\r\n\r\n")
        name = field.partition(":")[0].lower().encode()
        assert name not in body
        if name not in {b"host", b"connection", b"transfer-encoding"} and not name.startswith((b"x-", b"trace")):
            assert b"\n" + name + b":" not in head.lower()
        found.service.script = None
        found.service.reply = chunked(b"{}", trailers=f"{field}\r\nX-Checksum: abc\r\n")
        answer = await found.raw(
            request(headers="TE: trailers").replace(b"Connection: close", b"Connection: close, TE")
        )
        assert answer.endswith(b"0\r\nx-checksum: abc\r\n\r\n")


async def test_trailers_of_an_answer_pass_to_a_client_that_takes_them(tmp_path: Path) -> None:
    """The service is told that they are wanted; behind the last chunk, never in the head."""
    async with gate(tmp_path) as found:
        found.service.reply = chunked(b"{}", trailers=GOOD)
        answer = await found.raw(request(headers=TAKES))
        assert answer.endswith(b"0\r\nx-checksum: abc\r\nserver-timing: db;dur=5\r\ncontent-md5: Q2hlY2s=\r\n\r\n")
        assert "x-checksum" not in header_of(answer)
        seen = found.service.fields()
        assert (seen["te"], seen["connection"].lower()) == ("trailers", "te")


@pytest.mark.parametrize(
    ("target", "headers", "version"),
    [
        ("/orders", "", "1.1"),
        ("/orders", "TE: trailers", "1.1"),
        ("/orders", "TE: gzip\r\nConnection: TE", "1.1"),
        ("/orders", "TE: trailersx\r\nConnection: TE", "1.1"),
        ("/orders/o-1", TAKES, "1.1"),
        ("/orders", TAKES, "1.0"),
    ],
)
async def test_trailers_of_an_answer_are_dropped_for_everybody_else(
    tmp_path: Path, target: str, headers: str, version: str
) -> None:
    """Who did not say so, for this hop; on a route that does not pass them; in HTTP/1.0, which has no chunks."""
    async with gate(tmp_path) as found:
        found.service.reply = chunked(b"{}", trailers=GOOD)
        asked = request("GET", target, headers=headers, close="Connection" not in headers)
        if "Connection" in headers:
            asked = asked.replace(b"Connection: TE", b"Connection: TE, close")
        answer = await found.raw(asked.replace(b"HTTP/1.1", f"HTTP/{version}".encode()))
        assert status_of(answer) == 200
        assert b"checksum" not in answer.lower()
        assert "te" not in found.service.fields()


async def test_a_broken_trailer_ends_the_exchange(tmp_path: Path) -> None:
    """One that is no field, is folded, or is too long: 400 from a client; from a service the answer is cut."""
    async with gate(tmp_path) as found:
        for bad in (
            "no colon here\r\n",
            "X-A: 1\r\n folded\r\n",
            "X A: 1\r\n",
            f"X-A: {'a' * 9000}\r\n",
            "X-A: \x00\r\n",
        ):
            found.service.script = None
            assert status_of(await found.raw(sent(bad))) == 400
            found.service.reply = chunked(b"{}", trailers=bad)
            answer = await found.raw(request(headers=TAKES))
            assert not answer.endswith(b"0\r\n\r\n")


async def test_the_connection_is_used_again_after_trailers(tmp_path: Path) -> None:
    """What follows them is the next message, both ways."""
    async with gate(tmp_path) as found:
        found.service.reply = chunked(b"{}", trailers=GOOD)
        one = request(headers=TAKES, close=False)
        answer = await found.raw(one + one + request(headers="TE: trailers"))
        assert [part[:3] for part in answer.split(b"HTTP/1.1 ")[1:]] == [b"200"] * 3
        assert answer.count(b"x-checksum: abc") == 2
        assert found.service.connections == 1
