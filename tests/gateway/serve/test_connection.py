"""A client connection: heads in pieces, pipelines, bodies both ways, slow and hostile peers."""

import asyncio
import contextlib
import json
from pathlib import Path
from typing import Any

import pytest

from gateway.limits import Limits
from tests.builders.patience import PATIENCE_S
from tests.builders.plane import Plane, plane, request, token
from tests.servers.upstream import OK, Visit

MIB = 1 << 20


def answers(data: bytes) -> list[int]:
    """The statuses in a stream of answers."""
    return [int(part[:3]) for part in data.split(b"HTTP/1.1 ")[1:]]


async def test_pipelined_requests_are_answered_in_order_on_one_connection(tmp_path: Path) -> None:
    """Allowed and refused, with bodies and without, each with the answer to its own question."""
    async with plane(tmp_path) as gate:
        key = token()
        stream = b"".join(
            [
                request("GET", "/orders/1", auth=key, close=False),
                request("GET", "/nowhere", auth=key, close=False),
                request("POST", "/orders", auth=key, body=b'{"a": 1}', close=False),
                request("GET", "/orders/2", auth=key, close=True),
            ]
        )
        assert answers(await gate.raw(stream)) == [200, 404, 200, 200]
        assert [head.split(b" ")[1] for head in gate.service.heads] == [b"/orders/1", b"/orders", b"/orders/2"]
        assert gate.service.connections == 1


@pytest.mark.parametrize("pieces", [1, 2, 7, 64])
async def test_bytes_may_come_as_they_like(tmp_path: Path, pieces: int) -> None:
    """The same requests, cut anywhere, mean the same."""
    async with plane(tmp_path) as gate:
        key = token()
        chunked = request("POST", "/orders", auth=key, headers="Transfer-Encoding: chunked", close=False)
        stream = (
            request("GET", "/orders/1", auth=key, close=False)
            + chunked
            + b"3\r\nabc\r\n1;x=y\r\nd\r\n0\r\n\r\n"
            + request("GET", "/orders/2", auth=key)
        )
        got = bytearray()

        async def script(visit: Visit) -> None:
            while head := await visit.head():
                if head.startswith(b"POST"):
                    while not got.endswith(b"0\r\n\r\n"):
                        got.extend(await visit.reader.read(65536))
                await visit.answer(OK)

        gate.service.script = script
        assert answers(await gate.raw(stream, pieces=pieces)) == [200, 200, 200]
        assert b"".join(part for part in bytes(got).split(b"\r\n") if part.isalpha()) == b"abcd"


@pytest.mark.parametrize(
    ("head", "status", "code"),
    [
        (b"GARBAGE\r\n\r\n", 400, "bad_request"),
        (b"GET /orders\r\n\r\n", 400, "bad_request"),
        (b"GET  /orders HTTP/1.1\r\nHost: a\r\n\r\n", 400, "bad_request"),
        (b"GET /orders HTTP/2.0\r\nHost: a\r\n\r\n", 400, "bad_request"),
        (b"GET /orders HTTP/1.1\r\n\r\n", 400, "bad_request"),
        (b"GET /orders HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400, "bad_request"),
        (b"GET /orders HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n", 400, "bad_request"),
        (b"GET /orders HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n", 400, "bad_request"),
        (b"GET /orders HTTP/1.1\r\nHost: a\r\nX: \x00\r\n\r\n", 400, "bad_request"),
        (b"GET /orders HTTP/1.1\nHost: a\n\n", 400, "bad_request"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, "bad_request"),
        (
            b"POST /orders HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            400,
            "bad_request",
        ),
        (b"POST /orders HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 400, "bad_request"),
        (b"POST /orders HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "bad_request"),
        (b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", 405, "method_not_allowed"),
        (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414, "uri_too_long"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 70000 + b"\r\n\r\n", 431, "header_too_large"),
        (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 200 + b"\r\n", 431, "header_too_large"),
    ],
)
async def test_what_cannot_be_read_is_refused_recorded_and_closed(
    tmp_path: Path, head: bytes, status: int, code: str
) -> None:
    """Nothing after it is looked at: the connection ends."""
    async with plane(tmp_path) as gate:
        answer = await gate.raw(head + request("GET", "/orders"))
        assert answers(answer) == [status]
        said = json.loads(answer.partition(b"\r\n\r\n")[2])
        assert said["code"] == code
        assert b"\r\nconnection: close\r\n" in answer
        assert gate.service.heads == []
        assert (await gate.record()).status == status


async def test_a_body_streams_through_without_being_held(tmp_path: Path) -> None:
    """A service that does not read stops the client; what is between them stays small."""
    async with plane(tmp_path, limits=Limits(write_buffer_bytes=64 * 1024)) as gate:
        go = asyncio.Event()
        size = 128 * MIB
        got = 0

        async def script(visit: Visit) -> None:
            nonlocal got
            await visit.head()
            await go.wait()
            while got < size:
                got += len(await visit.reader.read(MIB))
            await visit.answer(OK)

        gate.service.script = script
        reader, writer = await asyncio.open_connection("127.0.0.1", gate.port)
        writer.write(
            request("POST", "/products/import", headers=f"Content-Length: {size}", auth=token("Manager"), close=False)
        )
        sent = 0
        piece = bytes(256 * 1024)
        stalled = False
        while sent < size and not stalled:
            writer.write(piece)
            sent += len(piece)
            try:
                await asyncio.wait_for(writer.drain(), 0.5)
            except TimeoutError:
                stalled = True
        assert stalled, "nothing held the client back"
        assert sent < 64 * MIB
        go.set()
        while sent < size:
            await writer.drain()
            writer.write(piece)
            sent += len(piece)
        assert (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE_S)).startswith(b"HTTP/1.1 200")
        assert got == size
        writer.close()


async def test_an_answer_streams_through_without_being_held(tmp_path: Path) -> None:
    """A client that does not read stops the service."""
    async with plane(tmp_path, limits=Limits(write_buffer_bytes=64 * 1024)) as gate:
        size = 128 * MIB
        sent = 0

        async def script(visit: Visit) -> None:
            nonlocal sent
            await visit.head()
            await visit.answer(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
            while sent < size:
                await visit.answer(bytes(256 * 1024))
                sent += 256 * 1024

        gate.service.script = script
        reader, writer = await asyncio.open_connection("127.0.0.1", gate.port, limit=64 * 1024)
        writer.write(request())
        await reader.readuntil(b"\r\n\r\n")
        before = -1
        async with asyncio.timeout(PATIENCE_S):
            while before != sent or sent == 0:
                before = sent
                await asyncio.sleep(0.1)
        assert sent < 64 * MIB
        got = 0
        async with asyncio.timeout(PATIENCE_S):
            while data := await reader.read(MIB):
                got += len(data)
        assert got == size
        writer.close()


async def test_events_flow_as_they_come(tmp_path: Path) -> None:
    """A server-sent event is with the client before the next one is made."""
    async with plane(tmp_path) as gate:
        more = asyncio.Event()

        async def script(visit: Visit) -> None:
            await visit.head()
            await visit.answer(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
            await visit.answer(b"data: one\n\n")
            await more.wait()
            await visit.answer(b"data: two\n\n")

        gate.service.script = script
        reader, writer = await asyncio.open_connection("127.0.0.1", gate.port)
        writer.write(request(close=False))
        assert b"transfer-encoding: chunked" in await reader.readuntil(b"\r\n\r\n")
        assert b"data: one" in await asyncio.wait_for(reader.readuntil(b"\n\n"), PATIENCE_S)
        more.set()
        assert b"data: two" in await asyncio.wait_for(reader.readuntil(b"0\r\n\r\n"), PATIENCE_S)
        writer.close()


async def test_continue_is_said_only_after_the_decision(tmp_path: Path) -> None:
    """A refused client is not asked for its body; an allowed one is."""
    async with plane(tmp_path) as gate:
        ask = "Expect: 100-continue\r\nContent-Length: 2"
        refused = await gate.raw(request("POST", "/products/import", headers=ask))
        assert answers(refused) == [403]
        reader, writer = await asyncio.open_connection("127.0.0.1", gate.port)
        writer.write(request("POST", "/orders", headers=ask, close=False))
        assert await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE_S) == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert gate.events[-1].decision is not None
        assert gate.events[-1].decision.effect == "allow"
        writer.write(b"{}")
        assert (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE_S)).startswith(b"HTTP/1.1 200")
        writer.close()


async def test_continue_comes_early_where_the_body_decides(tmp_path: Path) -> None:
    """Identity, route and length have passed; without the body there is nothing to decide on."""
    async with plane(tmp_path) as gate:
        ask = "Expect: 100-continue\r\nContent-Type: application/json\r\nContent-Length: 13"
        reader, writer = await asyncio.open_connection("127.0.0.1", gate.port)
        writer.write(request("POST", "/payments/p-1/refund", headers=ask, auth=token("Manager"), close=False))
        assert await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE_S) == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert gate.events == []
        writer.write(b'{"amount": 1}')
        assert (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE_S)).startswith(b"HTTP/1.1 200")
        writer.close()


async def test_a_decided_body_is_bounded(tmp_path: Path) -> None:
    """By its declared length at once, and by what comes where none is declared."""
    async with plane(tmp_path, limits=Limits(decided_body_bytes=64)) as gate:
        kind = "Content-Type: application/json"
        long = request("POST", "/payments/p-1/refund", headers=f"{kind}\r\nContent-Length: 65", auth=token("Manager"))
        assert answers(await gate.raw(long)) == [413]
        chunked = request(
            "POST", "/payments/p-1/refund", headers=f"{kind}\r\nTransfer-Encoding: chunked", auth=token("Manager")
        )
        assert answers(await gate.raw(chunked + b"41\r\n" + b"x" * 65 + b"\r\n")) == [413]


async def test_an_early_answer_ends_the_connection_after_it(tmp_path: Path) -> None:
    """The service did not want the rest of the body; the client gets the answer, not a reset."""
    async with plane(tmp_path) as gate:

        async def script(visit: Visit) -> None:
            await visit.head()
            await visit.answer(b"HTTP/1.1 409 Conflict\r\nContent-Length: 0\r\n\r\n")
            await visit.reader.read()

        gate.service.script = script
        reader, writer = await asyncio.open_connection("127.0.0.1", gate.port)
        writer.write(request("POST", "/orders", headers="Content-Length: 1000", close=False) + b"abc")
        answer = await asyncio.wait_for(reader.read(), PATIENCE_S)
        assert answers(answer) == [409]
        assert b"connection: close" in answer
        writer.close()


async def test_a_client_that_half_closes_still_gets_its_answer(tmp_path: Path) -> None:
    """Having sent all of the request, it may wait."""
    async with plane(tmp_path) as gate:

        async def script(visit: Visit) -> None:
            await visit.head()
            await asyncio.sleep(0.05)
            await visit.answer(OK)

        gate.service.script = script
        reader, writer = await asyncio.open_connection("127.0.0.1", gate.port)
        writer.write(request(close=False))
        writer.write_eof()
        assert answers(await asyncio.wait_for(reader.read(), PATIENCE_S)) == [200]
        writer.close()


async def test_a_slow_head_is_408_and_an_idle_connection_just_ends(tmp_path: Path) -> None:
    """The one is told why, the other asked for nothing."""
    async with plane(tmp_path, limits=Limits(header_read_s=0.1, keep_alive_idle_s=0.2)) as gate:
        reader, writer = await asyncio.open_connection("127.0.0.1", gate.port)
        writer.write(b"GET /orders HTTP/1.1\r\nHost:")
        assert answers(await asyncio.wait_for(reader.read(), PATIENCE_S)) == [408]
        writer.close()
        reader, writer = await asyncio.open_connection("127.0.0.1", gate.port)
        with contextlib.suppress(ConnectionError):  # an idle connection may end either way
            assert await asyncio.wait_for(reader.read(), PATIENCE_S) == b""
        writer.close()


async def test_a_slow_body_is_408(tmp_path: Path) -> None:
    """Collected or passed on."""
    async with plane(tmp_path, limits=Limits(body_stall_s=0.1)) as gate:

        async def script(visit: Visit) -> None:
            await visit.head()
            await visit.reader.read()

        gate.service.script = script
        for target, role in (("/orders", "Cashier"), ("/payments/p-1/refund", "Manager")):
            head = "Content-Type: application/json\r\nContent-Length: 10"
            answer = await gate.raw(request("POST", target, headers=head, auth=token(role)) + b"abc")
            assert answers(answer) == [408]


async def test_a_stale_connection_is_not_the_clients_problem(tmp_path: Path) -> None:
    """The service closed a kept connection as the request went out: a read is sent once more, elsewhere."""
    async with plane(tmp_path) as gate:
        served = 0

        async def script(visit: Visit) -> None:
            nonlocal served
            await visit.head()
            served += 1
            await visit.answer(OK)
            if served == 1:
                await visit.head()  # and closes without a word

        gate.service.script = script
        assert answers(await gate.raw(request("GET", "/orders/1"))) == [200]
        assert answers(await gate.raw(request("GET", "/orders/2"))) == [200]
        assert gate.service.connections == 2


async def test_draining_ends_what_is_idle_and_finishes_what_is_not(tmp_path: Path) -> None:
    """The answer in hand is whole and says that it is the last."""
    async with plane(tmp_path) as gate:
        go = asyncio.Event()
        begun = asyncio.Event()

        async def script(visit: Visit) -> None:
            await visit.head()
            begun.set()
            await go.wait()
            await visit.answer(OK)

        gate.service.script = script
        idle, idle_writer = await asyncio.open_connection("127.0.0.1", gate.port)
        busy, busy_writer = await asyncio.open_connection("127.0.0.1", gate.port)
        busy_writer.write(request(close=False))
        await begun.wait()
        gate.server.drain()
        assert await asyncio.wait_for(idle.read(), PATIENCE_S) == b""
        go.set()
        answer = await asyncio.wait_for(busy.read(), PATIENCE_S)
        assert answers(answer) == [200]
        assert b"connection: close" in answer
        idle_writer.close()
        busy_writer.close()


async def test_there_is_an_end_to_connections(tmp_path: Path) -> None:
    """One too many is closed at once."""
    async with plane(tmp_path, limits=Limits(connections=1)) as gate:
        first, first_writer = await asyncio.open_connection("127.0.0.1", gate.port)
        first_writer.write(request(close=False))
        await first.readuntil(b"\r\n\r\n")
        assert await gate.raw(request()) == b""
        first_writer.close()


async def test_answers_that_are_not_taken_are_not_collected(tmp_path: Path) -> None:
    """A client that pipelines and never reads: no answer is begun while the last ones wait, whatever it sends."""
    async with plane(tmp_path) as gate:
        body = b"x" * 200_000
        gate.service.reply = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body
        _, writer = await asyncio.open_connection("127.0.0.1", gate.port, limit=1024)
        writer.write(request(close=False) * 300)
        [connection] = await _connections(gate)
        waiting = 0
        for _ in range(100):
            await asyncio.sleep(0.01)
            waiting = max(waiting, connection._transport.get_write_buffer_size())
        assert 0 < waiting < Limits().write_buffer_bytes + 2 * len(body)
        assert len(gate.service.heads) < 200
        writer.transport.abort()


async def _connections(gate: Plane) -> list[Any]:
    async with asyncio.timeout(PATIENCE_S):
        while not gate.server.connections:  # noqa: ASYNC110 - the server tells nobody
            await asyncio.sleep(0.005)
    return list(gate.server.connections)


async def test_a_client_that_sends_all_and_half_closes_is_served(tmp_path: Path) -> None:
    """What it sent before the end may still wait for the service's connection."""
    async with plane(tmp_path) as gate:
        reader, writer = await asyncio.open_connection("127.0.0.1", gate.port)
        writer.write(request("POST", "/orders", body=b"hello"))
        writer.write_eof()
        async with asyncio.timeout(PATIENCE_S):
            assert (await reader.read()).startswith(b"HTTP/1.1 200 ")
        assert gate.service.bodies == [b"hello"]
        writer.close()
