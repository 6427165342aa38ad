"""Server-sent events: each is with the client before the next is made, whatever the service and the client speak."""

import asyncio
import contextlib
from pathlib import Path

import pytest

from audit.event import Outcome, Phase
from gateway.limits import Limits
from tests.builders.patience import PATIENCE_S
from tests.builders.plane import Plane, plane, request
from tests.builders.tunnels import client, closing, until
from tests.gateway.serve.test_tunnel import gauge
from tests.servers.upstream import Visit

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"
COUNT = 5


def event(number: int) -> bytes:
    """One event; the last is large."""
    return b"id: %d\ndata: %b\n\n" % (number, b"x" * (200_000 if number == COUNT - 1 else 10))


class Feed:
    """A service that makes an event only when the client has the one before.

    Args:
        chunked: Whether it frames in chunks, else by closing.
        version: Of HTTP, that it answers in.
    """

    def __init__(self, *, chunked: bool, version: bytes = b"1.1") -> None:
        self.chunked = chunked
        self.version = version
        self.made = 0
        self.next = asyncio.Event()

    async def __call__(self, visit: Visit) -> None:
        """The script."""
        await visit.head()
        head = HEAD.replace(b"1.1", self.version) + (b"Transfer-Encoding: chunked\r\n" if self.chunked else b"")
        await visit.answer(head + b"\r\n")
        for number in range(COUNT):
            await self.next.wait()
            self.next.clear()
            self.made += 1
            data = event(number)
            await visit.answer(b"%x\r\n%b\r\n" % (len(data), data) if self.chunked else data)
        await visit.answer(b"0\r\n\r\n" if self.chunked else b"")
        visit.writer.close()


async def content(reader: asyncio.StreamReader, *, chunked: bool) -> bytes:
    """The next piece of a body, as it comes."""
    if not chunked:
        return await reader.read(65536)
    size = int(await reader.readuntil(b"\r\n"), 16)
    piece = await reader.readexactly(size + 2)
    return piece[:-2]


@pytest.mark.parametrize("version", ["HTTP/1.1", "HTTP/1.0"])
@pytest.mark.parametrize(("chunked", "answers"), [(True, b"1.1"), (False, b"1.1"), (False, b"1.0")])
async def test_each_event_arrives_before_the_next_is_made(
    tmp_path: Path, version: str, chunked: bool, answers: bytes
) -> None:
    """Chunked or until close at the service, chunked or until close at the client: nothing waits for more."""
    async with plane(tmp_path) as gate:
        feed = Feed(chunked=chunked, version=answers)
        gate.service.script = feed
        async with client(gate) as (reader, writer), asyncio.timeout(PATIENCE_S):
            writer.write(request(close=False).replace(b"HTTP/1.1", version.encode()))
            head = await reader.readuntil(b"\r\n\r\n")  # before there is any event at all
            assert feed.made == 0
            assert b"content-type: text/event-stream" in head
            framed = b"transfer-encoding: chunked" in head
            assert framed is (version == "HTTP/1.1")
            assert b"content-length" not in head
            for number in range(COUNT):
                feed.next.set()
                got = b""
                while len(got) < len(event(number)):
                    got += await content(reader, chunked=framed)
                assert got == event(number)
                assert feed.made == number + 1
            assert await content(reader, chunked=framed) == b""
        opened, closed = gate.events
        assert (opened.phase, opened.event_type, opened.status) == (Phase.SINGLE, "authz.decision.evaluated", 200)
        assert closed.event_type == "authz.stream.closed"
        assert closed.details is not None
        assert closed.details["opened_by"] == opened.event_id
        assert (closed.details["why"], closed.outcome) == ("closed", Outcome.SUCCESS)
        assert closed.details["bytes_sent"] == sum(len(event(number)) for number in range(COUNT))


async def endless(visit: Visit) -> None:
    """A stream that says nothing after its head, and does not end."""
    await visit.head()
    await visit.answer(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
    with contextlib.suppress(ConnectionError):
        await visit.reader.read()


async def test_a_quiet_stream_lives_longer_than_another_answer(tmp_path: Path) -> None:
    """And is cut when its own limit is over."""
    limits = Limits(stall_s=0.1, lasting_idle_s=0.6)
    async with plane(tmp_path, limits=limits) as gate:
        gate.service.script = endless
        async with client(gate) as (reader, writer), asyncio.timeout(PATIENCE_S):
            began = asyncio.get_running_loop().time()
            writer.write(request())
            with contextlib.suppress(ConnectionError):
                await reader.read()
            assert asyncio.get_running_loop().time() - began >= 0.6
        found = await closing(gate, "authz.stream.closed")
        assert found.details is not None
        assert (found.details["why"], found.outcome) == ("upstream_stall", Outcome.FAILURE)


async def opened_stream(gate: Plane, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Ask, and wait for the head."""
    writer.write(request())
    await reader.readuntil(b"\r\n\r\n")
    await until(lambda: gate.events)


async def test_a_listener_that_goes_ends_its_stream(tmp_path: Path) -> None:
    """That is how such a stream ends; the service's connection is closed."""
    async with plane(tmp_path) as gate:
        gate.service.script = endless
        async with client(gate) as (reader, writer):
            await opened_stream(gate, reader, writer)
            assert gauge(gate, "lychgate_lasting", kind="event_stream") == 1
        found = await closing(gate, "authz.stream.closed")
        assert found.details is not None
        assert (found.details["why"], found.outcome) == ("client_gone", Outcome.SUCCESS)
        assert gauge(gate, "lychgate_lasting", kind="event_stream") == 0
        assert gauge(gate, "lychgate_upstream_connections") == 0
        assert gate.server.inflight == 0


async def test_a_stop_ends_streams_at_once(tmp_path: Path) -> None:
    """They would not end by themselves, and listeners come back."""
    async with plane(tmp_path) as gate:
        gate.service.script = endless
        async with client(gate) as (reader, writer):
            await opened_stream(gate, reader, writer)
            gate.server.drain()
            await until(lambda: not gate.server.connections)
            with contextlib.suppress(ConnectionError):
                assert await reader.read() == b""
        found = await closing(gate, "authz.stream.closed")
        assert found.details is not None
        assert found.details["why"] == "drain"


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-streams\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    ],
)
async def test_any_other_answer_is_one_record(tmp_path: Path, head: bytes) -> None:
    """What has a length ends; what is no stream of events is not recorded as one."""
    async with plane(tmp_path) as gate:
        gate.service.reply = head
        await gate.raw(request())
        [found] = gate.events
        assert (found.event_type, found.phase) == ("authz.decision.evaluated", Phase.SINGLE)
