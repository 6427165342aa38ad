"""Every wait for a service has an end: slow and hostile ones, on real sockets, and who is blamed for what."""

import asyncio
import contextlib
import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from audit.event import AuditEvent
from gateway.limits import Limits
from gateway.sources import ServiceLimits
from tests.builders.patience import PATIENCE_S
from tests.builders.plane import Plane, plane, request
from tests.builders.services import service
from tests.servers.upstream import Visit

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def told(answer: bytes) -> tuple[int, str]:
    """Status and code of a refusal."""
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split(b" ", 2)[1]), str(json.loads(body)["code"])


def failures(gate: Plane) -> dict[str, float]:
    """What the service was blamed for, by kind."""
    kinds = ("connect", "timeout", "stall", "closed", "stale", "invalid", "other")
    found = {
        kind: gate.registry.get_sample_value("lychgate_upstream_errors_total", {"service": "order", "kind": kind})
        for kind in kinds
    }
    return {kind: value for kind, value in found.items() if value}


async def last(gate: Plane, count: int = 1) -> AuditEvent:
    """The last of so many records."""
    async with asyncio.timeout(PATIENCE_S):
        while len(gate.events) < count:  # noqa: ASYNC110 - the emitter tells nobody
            await asyncio.sleep(0.01)
    return gate.events[-1]


async def silent(visit: Visit) -> None:
    """Read the head, and say nothing."""
    await visit.head()
    await visit.reader.read()


@contextlib.contextmanager
def deaf() -> Iterator[str]:
    """An address whose queue of connections is full: connecting to it never ends."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield f"127.0.0.1:{listener.getsockname()[1]}"


async def test_connecting_ends(tmp_path: Path) -> None:
    """At the gateway's limit or at the service's own; 502, for a change as for a read."""
    with deaf() as address:
        for limits, own in ((Limits(connect_s=0.1), None), (Limits(connect_s=60), ServiceLimits(connect_s=0.1))):
            async with plane(tmp_path / str(limits.connect_s), limits=limits) as gate:
                gate.server.upstreams.configure(service(address, limits=own))
                for data in (request(), request("POST", "/orders", body=b"{}")):
                    assert told(await gate.raw(data)) == (502, "upstream_unavailable")
                assert failures(gate) == {"connect": 2}


async def test_connecting_goes_on_elsewhere(tmp_path: Path) -> None:
    """Nothing was sent yet, so a change goes to the address that answers, too; each exactly once."""
    with deaf() as address:
        async with plane(tmp_path, limits=Limits(connect_s=0.1)) as gate:
            gate.server.upstreams.configure(service(address, f"127.0.0.1:{gate.service.port}", failures=2, open_s=60))
            for _ in range(6):
                assert (await gate.raw(request("POST", "/orders", body=b"{}"))).startswith(b"HTTP/1.1 200 ")
            assert len(gate.service.heads) == 6
            assert failures(gate) == {}


@pytest.mark.parametrize("own", [None, ServiceLimits(first_byte_s=0.2)])
@pytest.mark.parametrize("how", ["silent", "drips", "promises"])
async def test_the_answer_begins_in_time(tmp_path: Path, how: str, own: ServiceLimits | None) -> None:
    """Nothing, a head that comes byte by byte, or one 1xx after the other: 504 all the same."""
    async with plane(tmp_path, limits=Limits(first_byte_s=60 if own else 0.2)) as gate:

        async def script(visit: Visit) -> None:
            await visit.head()
            drops = {"silent": b"", "drips": b"HTTP/1.1 200 OK\r\nX: " + b"x" * 4000, "promises": b"1" * 16}[how]
            with contextlib.suppress(ConnectionError):
                for drop in drops:
                    promise = b"HTTP/1.1 103 Early Hints\r\n\r\n"
                    await visit.answer(promise if how == "promises" else bytes((drop,)))
                    await asyncio.sleep(0.05 if how == "promises" else 0.01)
            await visit.reader.read()

        gate.service.script = script
        gate.server.upstreams.configure(service(f"127.0.0.1:{gate.service.port}", limits=own))
        async with gate.client() as (reader, writer):
            writer.write(request())
            answer = await asyncio.wait_for(reader.read(), PATIENCE_S)
            final = b"HTTP/1.1 " + answer.rpartition(b"HTTP/1.1 ")[2]
            assert told(final) == (504, "upstream_timeout")
            assert failures(gate) == {"timeout": 1}


async def test_answers_that_do_not_come_open_the_circuit(tmp_path: Path) -> None:
    """The next request is refused at once instead of after a deadline."""
    limits = ServiceLimits(first_byte_s=0.1)
    async with plane(tmp_path) as gate:
        gate.service.script = silent
        gate.server.upstreams.configure(service(f"127.0.0.1:{gate.service.port}", limits=limits, failures=2, open_s=60))
        for _ in range(2):
            assert told(await gate.raw(request())) == (504, "upstream_timeout")
        assert told(await gate.raw(request())) == (502, "upstream_unavailable")
        event = await last(gate, 3)
        assert event.details == {"reason": "no address is tried for now: timeout"}
        assert gate.service.connections == 2


async def test_slow_requests_of_one_do_not_close_the_service_to_others(tmp_path: Path) -> None:
    """They time out together, long after others were answered: that is no row of failures."""
    async with plane(tmp_path, limits=Limits(first_byte_s=0.3)) as gate:

        async def script(visit: Visit) -> None:
            while head := await visit.head():
                if b"/orders/slow" in head:
                    await visit.reader.read()
                await visit.answer(gate.service.reply)

        gate.service.script = script
        gate.server.upstreams.configure(service(f"127.0.0.1:{gate.service.port}", failures=2, open_s=60))
        slow = [asyncio.ensure_future(gate.raw(request("GET", "/orders/slow"))) for _ in range(6)]
        async with asyncio.timeout(PATIENCE_S):
            while gate.server.inflight < 6:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.005)
        await asyncio.sleep(0.05)
        assert (await gate.raw(request())).startswith(b"HTTP/1.1 200 ")
        assert {told(await each)[0] for each in slow} == {504}
        assert (await gate.raw(request())).startswith(b"HTTP/1.1 200 ")


async def test_an_answer_that_stalls_is_cut_at_the_services_own_limit(tmp_path: Path) -> None:
    """Between one byte and the next, not in all: what keeps coming may take longer than that."""
    async with plane(tmp_path) as gate:

        async def script(visit: Visit) -> None:
            await visit.head()
            await visit.answer(CHUNKED)
            for _ in range(10):
                await visit.answer(b"1\r\nx\r\n")
                await asyncio.sleep(0.1)
            await visit.reader.read()

        gate.service.script = script
        own = ServiceLimits(stall_s=0.6)
        gate.server.upstreams.configure(service(f"127.0.0.1:{gate.service.port}", limits=own))
        async with gate.client() as (reader, writer):
            writer.write(request())
            got = b""
            with contextlib.suppress(ConnectionError):
                while piece := await asyncio.wait_for(reader.read(4096), PATIENCE_S):
                    got += piece
            assert got.count(b"1\r\nx\r\n") == 10
            assert not got.endswith(b"0\r\n\r\n")
            assert (await last(gate)).details == {"cut": "upstream_stall"}
            assert failures(gate) == {"stall": 1}


@pytest.mark.parametrize("begun", [True, False])
async def test_a_whole_exchange_has_an_end(tmp_path: Path, begun: bool) -> None:
    """However diligently it goes on: cut where it has begun, 504 where it has not."""
    async with plane(tmp_path) as gate:

        async def script(visit: Visit) -> None:
            await visit.head()
            with contextlib.suppress(ConnectionError):
                await visit.answer(CHUNKED if begun else b"HTTP/1.1 103 Early Hints\r\n\r\n")
                while begun:
                    await visit.answer(b"1\r\nx\r\n")
                    await asyncio.sleep(0.02)
                await visit.reader.read()

        gate.service.script = script
        own = ServiceLimits(total_s=0.4)
        gate.server.upstreams.configure(service(f"127.0.0.1:{gate.service.port}", limits=own))
        async with gate.client() as (reader, writer):
            writer.write(request())
            got = b""
            with contextlib.suppress(ConnectionError):
                while piece := await asyncio.wait_for(reader.read(4096), PATIENCE_S):
                    got += piece
            event = await last(gate)
            if begun:
                assert event.details == {"cut": "total"}
            else:
                assert event.status == 504
                assert b"upstream_timeout" in got


async def test_a_service_that_does_not_read_the_body_is_to_blame_and_not_the_client(tmp_path: Path) -> None:
    """504 and a failure of the address; a client that does not send it is 408 and none."""
    limits = Limits(body_stall_s=0.3, first_byte_s=0.3, write_buffer_bytes=64 * 1024)
    async with plane(tmp_path, limits=limits) as gate:

        async def script(visit: Visit) -> None:
            visit.writer.transport.pause_reading()  # type: ignore[attr-defined] # a stream transport
            await asyncio.sleep(5)

        gate.service.script = script
        gate.server.upstreams.configure(service(f"127.0.0.1:{gate.service.port}", failures=1, open_s=60))
        size = 32 * 1024 * 1024
        async with gate.client() as (reader, writer):
            writer.write(request("POST", "/orders", headers=f"Content-Length: {size}"))
            writer.write(bytes(size))
            assert told(await asyncio.wait_for(reader.read(), PATIENCE_S)) == (504, "upstream_timeout")
            assert failures(gate) == {"timeout": 1}
            assert told(await gate.raw(request())) == (502, "upstream_unavailable")
    async with plane(tmp_path / "2", limits=limits) as gate:
        gate.service.script = silent
        gate.server.upstreams.configure(service(f"127.0.0.1:{gate.service.port}", failures=1, open_s=60))
        answer = await gate.raw(request("POST", "/orders", headers="Content-Length: 10") + b"abc")
        assert told(answer) == (408, "request_timeout")
        assert failures(gate) == {}
        assert "shut" not in repr(gate.server.upstreams)


async def test_a_client_that_does_not_read_the_answer_is_to_blame_and_not_the_service(tmp_path: Path) -> None:
    """The record says whose stall it was, and the service is not blamed."""
    async with plane(tmp_path, limits=Limits(stall_s=0.3, write_buffer_bytes=64 * 1024)) as gate:

        async def script(visit: Visit) -> None:
            await visit.head()
            with contextlib.suppress(ConnectionError):
                await visit.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
                while True:
                    await visit.answer(bytes(65536))

        gate.service.script = script
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.setblocking(False)
        await asyncio.get_running_loop().sock_connect(client, ("127.0.0.1", gate.port))
        await asyncio.get_running_loop().sock_sendall(client, request())
        assert (await last(gate)).details == {"cut": "client_stall"}
        assert failures(gate) == {}
        client.close()
