"""A smuggled h2c: the client asks for an upgrade that the service would grant, and goes on in HTTP/2.

A proxy that forwards the offer and then copies bytes lets every later request past its own decisions. Here the offer is
gone before framing is judged, and what follows it is judged as the next request, whatever pieces it comes in.
"""

import asyncio
import contextlib
from pathlib import Path

import pytest

from gateway.limits import Limits
from tests.builders.heads import in_pieces
from tests.builders.patience import PATIENCE_S
from tests.builders.plane import Plane, plane, request, token
from tests.gateway.serve.test_exchange import status_of
from tests.servers.upstream import OK, Visit

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
SMUGGLED = b"\x00\x00\x0d\x01\x05\x00\x00\x00\x03\x82\x86\x41\x01a\x04\x06/admin"
"""HEADERS of a second stream, `GET /admin`: RFC 9113 s3.4 lets a client send it right behind its preface."""
OFFERS = [
    "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\nConnection: Upgrade, HTTP2-Settings",
    "Connection: upgrade,http2-settings\r\nupgrade:H2C\r\nHttp2-Settings: AAMAAABkAARAAAAAAAIAAAAA",
    "Upgrade: websocket, h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\nConnection: Upgrade, HTTP2-Settings",
    "Upgrade: h2c\r\nUpgrade: websocket\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\nConnection: Upgrade",
    "Upgrade: TLS/1.2\r\nConnection: Upgrade",
]


async def answered(gate: Plane, pieces: list[bytes]) -> bytes:
    """Everything that comes back for these pieces, each of them sent by itself."""
    reader, writer = await asyncio.open_connection("127.0.0.1", gate.port)
    with contextlib.suppress(ConnectionError):
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
    try:
        async with asyncio.timeout(PATIENCE_S):
            return await reader.read()
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


def check(gate: Plane, answer: bytes) -> None:
    """One request was forwarded, without an offer; what came behind it is refused and ends the connection."""
    first, _, second = answer.partition(b"{}")
    assert status_of(first) == 200
    assert b"101" not in answer.split(b"\r\n", 1)[0]
    assert status_of(second) == 400
    assert second.startswith(b"HTTP/1.1 400")
    assert b"\r\nconnection: close\r\n" in second
    assert len(gate.service.heads) == 1
    fields = gate.service.fields()
    assert not fields.keys() & {"upgrade", "http2-settings", "connection"}
    del fields["x-security-context"]  # whose signature may spell anything
    told = " ".join(fields.values()).lower()
    assert not [word for word in ("h2c", "tls/1.2", "pri *", "aamaaabk") if word in told]
    assert gate.service.bodies == [b""]
    gate.service.heads.clear()
    gate.service.bodies.clear()


@pytest.mark.parametrize("offer", range(len(OFFERS)))
async def test_an_offer_of_h2c_is_gone_and_its_preface_is_no_request(tmp_path: Path, offer: int) -> None:
    """Whole and byte by byte; the service never sees an offer, nor a byte of HTTP/2."""
    async with plane(tmp_path) as gate:
        data = request(headers=OFFERS[offer], close=False) + PREFACE + SETTINGS + SMUGGLED
        check(gate, await answered(gate, [data]))
        check(gate, await answered(gate, [data[at : at + 1] for at in range(len(data))]))


@pytest.mark.timeout(300)
async def test_an_offer_of_h2c_split_at_every_offset(tmp_path: Path) -> None:
    """There is no place to cut it at which it is read otherwise."""
    async with plane(tmp_path) as gate:
        key = token()
        data = request(auth=key, headers=OFFERS[0], close=False) + PREFACE + SETTINGS + SMUGGLED
        border = data.index(PREFACE)
        inside_the_token = range(data.index(key.encode()) + 2, data.index(key.encode()) + len(key) - 2)
        for pieces in list(in_pieces(data))[2:]:
            if len(pieces[0]) in inside_the_token:
                continue  # the border of a piece is nothing special there, and there are hundreds
            check(gate, await answered(gate, pieces))
        assert border not in inside_the_token


@pytest.mark.parametrize("offer", range(len(OFFERS)))
async def test_an_offer_with_a_body_hides_nothing_in_it(tmp_path: Path, offer: int) -> None:
    """Llhttp would not read the body of a request that upgrades; here it is the body, and no request."""
    async with plane(tmp_path) as gate:
        inner = request("GET", "/orders/o-1")
        headers = f"{OFFERS[offer]}\r\nContent-Length: {len(inner)}"
        answer = await gate.raw(request("POST", "/orders", headers=headers, close=False) + inner + request())
        assert answer.count(b"HTTP/1.1 200 ") == 2
        assert gate.service.bodies == [inner, b""]
        assert [head.split(b" ")[1] for head in gate.service.heads] == [b"/orders", b"/orders"]


async def test_a_service_that_grants_what_nobody_asked_for_is_502(tmp_path: Path) -> None:
    """The offer did not reach it, so its 101 is a lie; nothing the client sends gets there."""
    async with plane(tmp_path, limits=Limits()) as gate:
        got: list[bytes] = []

        async def script(visit: Visit) -> None:
            await visit.head()
            await visit.answer(
                b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n" + SETTINGS + OK
            )
            got.append(await visit.reader.read())

        gate.service.script = script
        data = request(headers=OFFERS[0], close=False) + PREFACE + SETTINGS + SMUGGLED
        answer = await answered(gate, [data])
        assert status_of(answer) == 502
        assert b"upstream_invalid" in answer
        assert got == [b""]


async def test_a_preface_by_itself_is_no_request(tmp_path: Path) -> None:
    """HTTP/2 with prior knowledge is refused like any other version."""
    async with plane(tmp_path) as gate:
        answer = await gate.raw(PREFACE + SETTINGS + SMUGGLED)
        assert status_of(answer) == 400
        assert gate.service.heads == []
