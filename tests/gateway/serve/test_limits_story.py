"""Every limit on a client's side, against a peer that is slow, greedy or hostile, over real sockets."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from gateway.control import HopsConfig
from gateway.limits import Limits
from tests.builders.patience import PATIENCE_S
from tests.builders.plane import Plane, plane, request, token
from tests.servers.upstream import OK, Visit


@contextlib.asynccontextmanager
async def dialled(
    gate: Plane, source: str = "127.0.0.1"
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection from that address."""
    reader, writer = await asyncio.open_connection("127.0.0.1", gate.port, local_addr=(source, 0))
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def read_all(reader: asyncio.StreamReader) -> bytes:
    """What comes until the end; a reset is an end."""
    async with asyncio.timeout(PATIENCE_S):
        with contextlib.suppress(ConnectionError):
            return await reader.read()
    return b""


async def until(condition: Callable[[], bool], within_s: float = PATIENCE_S) -> None:
    """Poll until it holds."""
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.005)


def code(answer: bytes) -> tuple[int, str]:
    """Status and code of a refusal."""
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head[9:12]), json.loads(body)["code"]


def counted(gate: Plane, name: str, **labels: str) -> float:
    """A counter's value."""
    return gate.registry.get_sample_value(name, labels) or 0.0


LIMITS = Limits(request_line_bytes=100, header_bytes=400, header_count=8, body_bytes=10, decided_body_bytes=20)


@pytest.mark.parametrize(
    ("data", "status", "word"),
    [
        (b"GET /" + b"a" * 100 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414, "uri_too_long"),
        (b"GET /" + b"a" * 200, 414, "uri_too_long"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 400, 431, "header_too_large"),
        (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 8 + b"\r\n", 431, "header_too_large"),
        (b"G" * 200, 414, "uri_too_long"),
    ],
)
async def test_a_head_has_a_size(tmp_path: Path, data: bytes, status: int, word: str) -> None:
    """Too long a line, too large a head, too many fields: refused as soon as it shows, without the rest."""
    async with plane(tmp_path, limits=LIMITS) as gate, dialled(gate) as (reader, writer):
        writer.write(data)
        answer = await read_all(reader)
        assert code(answer) == (status, word)
        assert b"\r\nconnection: close\r\n" in answer
        assert (await gate.record()).status == status
        assert gate.service.heads == []


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_has_a_size(tmp_path: Path, chunked: bool) -> None:
    """Declared, it is refused before anything is forwarded; in chunks, as soon as it is too much."""
    async with plane(tmp_path, limits=Limits(body_bytes=10)) as gate, dialled(gate) as (reader, writer):

        async def script(visit: Visit) -> None:
            await visit.head()
            await visit.reader.read()

        gate.service.script = script
        framing = "Transfer-Encoding: chunked" if chunked else "Content-Length: 11"
        writer.write(request("POST", headers=framing, close=False) + (b"b\r\nhello world\r\n" if chunked else b""))
        assert code(await read_all(reader)) == (413, "payload_too_large")
        assert gate.service.connections == int(chunked)


@pytest.mark.parametrize("drip", [b"", b"a", b"\r\nX: "])
async def test_a_head_that_drips_is_408(tmp_path: Path, drip: bytes) -> None:
    """Bytes now and then do not buy time: the whole head has one deadline."""
    limits = Limits(header_read_s=0.3, keep_alive_idle_s=60)
    async with plane(tmp_path, limits=limits) as gate, dialled(gate) as (reader, writer):
        writer.write(b"GET /orders HTTP/1.1\r\nHost: a\r\nX-Slow: ")
        answer = asyncio.ensure_future(read_all(reader))
        with contextlib.suppress(ConnectionError):
            while drip and not answer.done():
                writer.write(drip)
                await asyncio.sleep(0.02)
        assert code(await answer) == (408, "request_timeout")


@pytest.mark.parametrize("lines", [1, 2])
async def test_blank_lines_do_not_keep_a_connection(tmp_path: Path, lines: int) -> None:
    """One before a request is ignored, and its time runs on; a second is no beginning of a request."""
    limits = Limits(keep_alive_idle_s=0.5, header_read_s=60)
    async with plane(tmp_path, limits=limits) as gate, dialled(gate) as (reader, writer):
        for _ in range(lines):
            writer.write(b"\r\n")
            await asyncio.sleep(0.05)
        answer = await read_all(reader)
        if lines == 1:
            assert (answer, gate.events) == (b"", [])
        else:
            assert code(answer) == (400, "bad_request")


async def test_a_body_that_stops_is_408(tmp_path: Path) -> None:
    """And the service's work is stopped with it. One that goes on, however slowly, is not cut."""
    async with plane(tmp_path, limits=Limits(body_stall_s=0.4)) as gate:
        ended = asyncio.Event()

        async def script(visit: Visit) -> None:
            await visit.head()
            if await visit.reader.read(1) == b"s":
                await visit.reader.read()
                ended.set()
            else:
                await visit.reader.readexactly(9)
                await visit.answer(OK)

        gate.service.script = script
        async with dialled(gate) as (reader, writer):
            for n in range(10):
                writer.write(request("POST", headers="Content-Length: 10") + b"0" if n == 0 else b"%d" % n)
                await asyncio.sleep(0.1)
            assert (await read_all(reader)).startswith(b"HTTP/1.1 200 ")
        async with dialled(gate) as (reader, writer):
            writer.write(request("POST", headers="Content-Length: 10") + b"s")
            assert code(await read_all(reader)) == (408, "request_timeout")
            async with asyncio.timeout(PATIENCE_S):
                await ended.wait()


async def test_an_idle_connection_ends_after_its_answer(tmp_path: Path) -> None:
    """The time begins anew with each answer."""
    limits = Limits(keep_alive_idle_s=0.3)
    async with plane(tmp_path, limits=limits) as gate, dialled(gate) as (reader, writer):
        for _ in range(4):
            writer.write(request(close=False))
            await asyncio.wait_for(reader.readuntil(b"{}"), PATIENCE_S)
            await asyncio.sleep(0.15)
        assert await read_all(reader) == b""
        assert len(gate.events) == 4


async def test_a_client_that_closes_its_half_is_given_a_moment(tmp_path: Path) -> None:
    """It may wait for its answer; one that is sent nothing for longer is taken to be gone, and the service told."""
    async with plane(tmp_path, limits=Limits(half_close_s=0.3)) as gate, dialled(gate) as (reader, writer):
        ended = asyncio.Event()

        async def script(visit: Visit) -> None:
            await visit.head()
            await visit.reader.read()
            ended.set()

        gate.service.script = script
        writer.write(request(close=False))
        writer.write_eof()
        assert await read_all(reader) == b""
        async with asyncio.timeout(PATIENCE_S):
            await ended.wait()
        assert ((await gate.record()).details or {})["cut"] == "client_gone"


async def test_a_client_that_does_not_read_is_not_waited_for(tmp_path: Path) -> None:
    """Its answer is cut when it has taken nothing for too long; the service is not read into memory meanwhile."""
    async with plane(tmp_path, limits=Limits(stall_s=0.4, write_buffer_bytes=4096)) as gate:
        ended = asyncio.Event()

        async def script(visit: Visit) -> None:
            await visit.head()
            with contextlib.suppress(ConnectionError):
                await visit.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n" + b"x" * 100_000_000)
            ended.set()

        gate.service.script = script
        async with dialled(gate) as (_, writer):
            writer.transport.pause_reading()  # type: ignore[attr-defined] # a stream's transport reads
            writer.write(request(close=False))
            async with asyncio.timeout(PATIENCE_S):
                await ended.wait()
        await until(lambda: any(event.outcome for event in gate.events))
        # On a busy machine it lasts so long that it has been recorded once before.
        assert (gate.events[-1].details or {})["cut"] == "client_stall"


async def test_a_client_has_so_many_connections(tmp_path: Path) -> None:
    """One more is closed unread, counted, and recorded once a second with the exact count; others are not touched."""
    async with plane(tmp_path, limits=Limits(connections_per_client=3)) as gate, contextlib.AsyncExitStack() as stack:
        greedy = [await stack.enter_async_context(dialled(gate, "127.0.0.5")) for _ in range(3)]
        await until(lambda: len(gate.server.connections) == 3)
        for _ in range(5):
            assert await gate.raw(request(), source="127.0.0.5") == b""
        assert b" 200 " in await gate.raw(request(), source="127.0.0.6")
        assert counted(gate, "lychgate_connections_refused_total", why="per_client") == 5
        gate.server.recorder.close()
        [refused] = [event for event in gate.events if event.status is None]
        assert refused.aggregate is not None
        assert refused.aggregate.count == 5
        assert refused.decision is not None
        assert (refused.decision.code, refused.decision.effect) == ("overloaded", "deny")
        assert refused.client is not None
        assert refused.client.ip == "127.0.0.5"
        assert (refused.details or {})["reason"] == "connections: too many (per_client)"
        greedy[0][1].close()
        await until(lambda: gate.server.clients.total == 2)
        assert b" 200 " in await gate.raw(request(), source="127.0.0.5")
        assert gate.faults == []


async def test_a_load_balancers_connections_are_everybodys(tmp_path: Path) -> None:
    """They count in the total alone."""
    hops = HopsConfig(networks=("127.0.0.2/32",))
    limits = Limits(connections_per_client=1, connections=4)
    async with plane(tmp_path, limits=limits, hops=hops) as gate, contextlib.AsyncExitStack() as stack:
        for _ in range(4):
            await stack.enter_async_context(dialled(gate, "127.0.0.2"))
        await until(lambda: len(gate.server.connections) == 4)
        assert await gate.raw(request(), source="127.0.0.2") == b""
        assert counted(gate, "lychgate_connections_refused_total", why="total") == 1


async def test_requests_beyond_what_is_in_hand_are_shed(tmp_path: Path) -> None:
    """503 `overloaded` with `Retry-After`, before token or policy are looked at; recorded in one fold."""
    async with plane(tmp_path, limits=Limits(inflight=2)) as gate, contextlib.AsyncExitStack() as stack:
        go = asyncio.Event()

        async def script(visit: Visit) -> None:
            while await visit.head():
                await go.wait()
                await visit.answer(OK)

        gate.service.script = script
        held = [await stack.enter_async_context(dialled(gate)) for _ in range(2)]
        key = token()
        for _, writer in held:
            writer.write(request(auth=key, close=False))
        await until(lambda: gate.service.connections == 2)
        async with dialled(gate) as (reader, writer):
            for _ in range(20):
                writer.write(request(auth="nonsense", close=False))
                head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE_S)
                assert head.startswith(b"HTTP/1.1 503 ")
                assert b"\r\nretry-after: 1\r\n" in head
                assert b"connection: close" not in head
                assert b'"overloaded"' in await asyncio.wait_for(reader.readuntil(b"}"), PATIENCE_S)
        assert counted(gate, "lychgate_refusals_total", code="overloaded") == 20
        assert counted(gate, "lychgate_token_memo_misses_total") <= 1
        gate.server.recorder.close()
        shed = [event for event in gate.events if event.status == 503]
        assert sum(event.aggregate.count if event.aggregate else 1 for event in shed) == 20
        assert len(shed) <= 3
        assert all((event.details or {})["reason"] == "inflight: too many" for event in shed)
        go.set()
        for reader, _ in held:
            await asyncio.wait_for(reader.readuntil(b"{}"), PATIENCE_S)
        assert b" 200 " in await gate.raw(request())
        assert gate.service.connections <= 3


async def test_what_was_judged_before_is_shed_like_anything_else(tmp_path: Path) -> None:
    """To be recalled is no way past the limit."""
    async with plane(tmp_path, limits=Limits(inflight=1)) as gate, dialled(gate) as (_, busy):
        known = request(auth=token())
        for _ in range(2):
            assert b" 200 " in await gate.raw(known)
        assert len(gate.server.recall._callers) == 1

        async def script(visit: Visit) -> None:
            await visit.head()
            await visit.reader.read()

        gate.service.script = script
        gate.server.upstreams.close()
        busy.write(request(close=False))
        await until(lambda: gate.server.inflight == 1)
        assert code(await gate.raw(known)) == (503, "overloaded")


async def test_a_shed_request_with_a_body_ends_its_connection(tmp_path: Path) -> None:
    """Nobody reads the body of what is not taken."""
    async with plane(tmp_path, limits=Limits(inflight=1)) as gate, dialled(gate) as (_, busy):

        async def script(visit: Visit) -> None:
            await visit.head()
            await visit.reader.read()

        gate.service.script = script
        busy.write(request(close=False))
        await until(lambda: gate.service.connections == 1)
        answer = await gate.raw(request("POST", headers="Content-Length: 1000000", close=False) + b"x")
        assert code(answer) == (503, "overloaded")
        assert b"\r\nconnection: close\r\n" in answer


async def test_so_many_requests_wait_in_a_pipeline(tmp_path: Path) -> None:
    """Behind the one in hand a handful may wait; then the connection is not read, and all of them are answered."""
    async with plane(tmp_path, limits=Limits(pipelined_requests=4)) as gate, dialled(gate) as (reader, writer):
        go = asyncio.Event()

        async def script(visit: Visit) -> None:
            while await visit.head():
                await go.wait()
                await visit.answer(OK)

        gate.service.script = script
        key, count = token(), 40
        for n in range(count):
            writer.write(request(auth=key, close=n == count - 1))
            await writer.drain()
            await asyncio.sleep(0.002)
        await until(lambda: gate.service.connections == 1)
        [connection] = gate.server.connections
        await until(lambda: not connection._transport.is_reading())  # type: ignore[attr-defined] # ours
        waiting = connection._buffer.count(b"\r\n\r\n")  # type: ignore[attr-defined] # ours
        assert 4 <= waiting < count
        go.set()
        assert (await read_all(reader)).count(b"HTTP/1.1 200 ") == count


async def test_a_body_full_of_blank_lines_is_no_pipeline(tmp_path: Path) -> None:
    """It flows, whatever is in it, also while the service's connection is waited for."""
    async with plane(tmp_path, limits=Limits(pipelined_requests=2)) as gate:
        body = b"\r\n\r\n" * 50_000
        assert b" 200 " in await gate.raw(request("POST", body=body))
        assert gate.service.bodies == [body]
