"""A service is a stranger too: what it may say, in which order, and what happens to whoever waits for it.

Real sockets on both sides; each case as a client sees it, and what became of the connection.
"""

import asyncio
import contextlib
import socket
import struct
from pathlib import Path

import pytest

from audit.event import AuditEvent, Outcome
from gateway.limits import Limits
from tests.builders.patience import PATIENCE_S
from tests.builders.plane import ROUTES, Plane, plane, request, token
from tests.builders.services import service
from tests.servers.upstream import OK, Upstream, Visit, upstream

EMPTY = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
MORE = """
[[route]]
id = "order.replace"
method = "PUT"
path = "/orders/{order_id}"
service = "order"
action = "order:create"
resource = { type = "Order", id = "{order_id}" }

[[route]]
id = "order.remove"
method = "DELETE"
path = "/orders/{order_id}"
service = "order"
action = "order:create"
resource = { type = "Order", id = "{order_id}" }

[[route]]
id = "payment.put-refund"
method = "PUT"
path = "/payments/{payment_id}/refund"
service = "order"
action = "payment:refund"
resource = { type = "Payment", id = "{payment_id}" }
context = { amount = { from = "body", pointer = "/amount" } }
"""


def statuses(data: bytes) -> list[int]:
    """Of every answer in a stream without bodies that look like one."""
    return [int(part[1:4]) for part in data.split(b"HTTP/1.1")[1:]]


async def records(gate: Plane, count: int) -> list[AuditEvent]:
    """So many records."""
    async with asyncio.timeout(PATIENCE_S):
        while len(gate.events) < count:  # noqa: ASYNC110 - the emitter tells nobody
            await asyncio.sleep(0.01)
    return gate.events


def retried(gate: Plane) -> dict[str, float]:
    """Requests that were sent again, by kind."""
    found = {
        kind: gate.registry.get_sample_value("lychgate_upstream_retries_total", {"service": "order", "kind": kind})
        for kind in ("connect", "stale", "closed")
    }
    return {kind: value for kind, value in found.items() if value}


# --- how an answer ends

ENDS_AT_THE_BLANK_LINE = [
    ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"),
    ("HEAD", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
    ("HEAD", b"HTTP/1.1 404 Not Found\r\n\r\n"),
    ("GET", b"HTTP/1.1 204 No Content\r\n\r\n"),
    ("GET", b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n"),
    ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"),
    ("GET", b"HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n"),
]


@pytest.mark.parametrize(("method", "head"), ENDS_AT_THE_BLANK_LINE)
@pytest.mark.parametrize("follows", [b"hello", b"5\r\nhello\r\n0\r\n\r\n", OK])
async def test_a_byte_more_than_an_answer_has_is_502(tmp_path: Path, method: str, head: bytes, follows: bytes) -> None:
    """When it comes with the head, whatever the fields say; the connection ends, and the client's lives on."""
    async with plane(tmp_path) as gate:

        async def script(visit: Visit) -> None:
            if len(gate.service.heads) == 0:
                gate.service.heads.append(await visit.head())
                await visit.answer(head + follows)
            else:
                await visit.head()
                await visit.answer(OK)
            await visit.reader.read()

        gate.service.script = script
        first = request(method, "/orders/1", close=False)
        assert statuses(await gate.raw(first + request("GET", "/orders/2"))) == [502, 200]
        assert gate.service.connections == 2
        assert (await records(gate, 2))[0].status == 502


@pytest.mark.parametrize(("method", "head"), ENDS_AT_THE_BLANK_LINE)
async def test_a_byte_that_comes_late_is_nobodys_answer(tmp_path: Path, method: str, head: bytes) -> None:
    """The answer was passed on; what is behind it must not be the answer to the next request, however it is timed."""
    forged = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged"
    async with plane(tmp_path) as gate:

        async def script(visit: Visit) -> None:
            if gate.service.connections == 1:
                await visit.head()
                await visit.answer(head)
                await asyncio.sleep(0.05)  # late, but not much
                await visit.answer(forged)
                await visit.reader.read()
            while await visit.head():
                await visit.answer(OK)

        gate.service.script = script
        async with gate.client() as (reader, writer):
            writer.write(request(method, "/orders/1", close=False))
            first = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE_S)
            if first.startswith(b"HTTP/1.1 502"):  # on a busy machine both come at once after all
                if method == "GET":
                    await asyncio.wait_for(reader.readuntil(b"}"), PATIENCE_S)
            elif head.count(b"\r\n") == 2:
                async with asyncio.timeout(PATIENCE_S):  # an unused connection that speaks is closed
                    while gate.server.upstreams.open:  # noqa: ASYNC110 - nobody tells
                        await asyncio.sleep(0.005)
            writer.write(request("GET", "/orders/2"))
            rest = await asyncio.wait_for(reader.read(), PATIENCE_S)
            assert b"forged" not in rest
            assert rest.endswith(b"{}")
            assert gate.service.connections == 2


@pytest.mark.parametrize(
    "reply",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer_Encoding: chunked\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0x2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: \r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n" + OK,
        b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nX: a\rb\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\nContent-Length: 2\r\n\r\n{}",
        b"\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 099 Odd\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 600 Odd\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 2000 OK\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 20 OK\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/3.0 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        b"ICY 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n{}",
        b"HTTP/1.1 103 Early Hints\r\n\r\n" * 17 + OK,
        b"HTTP/1.1 200 OK\r\n: no name\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nno colon\r\nContent-Length: 2\r\n\r\n{}",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
)
async def test_an_answer_that_could_be_read_in_two_ways_is_not_read(tmp_path: Path, reply: bytes) -> None:
    """502 `upstream_invalid`; nothing of it is passed on, and its connection is not used again."""
    async with plane(tmp_path) as gate:
        gate.service.reply = reply
        answer = await gate.raw(request("GET", "/orders/1", close=False) + request("GET", "/orders/2"))
        assert statuses(answer[answer.rindex(b"HTTP/1.1 502") :]) == [502]
        assert answer.count(b'"upstream_invalid"') == 2
        assert b"{}" not in answer
        assert gate.service.connections == 2
        assert gate.faults == []


# --- early answers, half-closed services


async def test_an_early_answer_arrives_though_the_service_reads_no_more(tmp_path: Path) -> None:
    """It refuses a large upload, says so, and goes; the client gets that answer and not a reset."""
    async with plane(tmp_path) as gate:

        async def script(visit: Visit) -> None:
            await visit.head()
            await visit.answer(b"HTTP/1.1 413 Too Large\r\nContent-Length: 7\r\nConnection: close\r\n\r\ntoo big")
            visit.writer.write_eof()
            await asyncio.sleep(0.05)

        gate.service.script = script
        for _ in range(5):
            async with gate.client() as (reader, writer):
                writer.write(request("POST", "/orders", headers="Content-Length: 4000000000", close=False))

                async def upload(writer: asyncio.StreamWriter = writer) -> None:
                    with contextlib.suppress(ConnectionError):
                        while True:
                            writer.write(bytes(100_000))
                            await writer.drain()

                sending = asyncio.ensure_future(upload())
                answer = await asyncio.wait_for(reader.readuntil(b"too big"), PATIENCE_S)
                assert statuses(answer) == [413]
                assert b"connection: close" in answer
                sending.cancel()
        assert [event.status for event in await records(gate, 10)] == [None, 413] * 5


async def test_an_answer_that_begins_early_and_the_rest_of_the_body_cross_each_other(tmp_path: Path) -> None:
    """Both go on: what the client sends afterwards still reaches the service, which answers with it."""
    async with plane(tmp_path) as gate:

        async def script(visit: Visit) -> None:
            await visit.head()
            await visit.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n")
            for _ in range(3):
                await visit.answer(await visit.reader.readexactly(2))
            await visit.reader.read()

        gate.service.script = script
        async with gate.client() as (reader, writer):
            writer.write(request("POST", "/orders", headers="Content-Length: 6"))
            await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE_S)
            for pair in (b"ab", b"cd", b"ef"):
                writer.write(pair)
                assert await asyncio.wait_for(reader.readexactly(2), PATIENCE_S) == pair


@pytest.mark.parametrize(
    ("sent", "ends", "code"),
    [
        (b"", b'"upstream_unavailable"', 502),
        (b"HTTP/1.1 200 OK\r\nConte", b'"upstream_invalid"', 502),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", b"half", 200),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", b"4\r\nhalf\r\n", 200),
        (b"HTTP/1.1 200 OK\r\n\r\nwhole", b"5\r\nwhole\r\n0\r\n\r\n", 200),
    ],
)
async def test_a_service_that_half_closes_has_said_all_it_will(
    tmp_path: Path, sent: bytes, ends: bytes, code: int
) -> None:
    """Before its answer, in the middle of it, or as its end; it is not waited for, though it still reads."""
    async with plane(tmp_path) as gate:
        closed = asyncio.Event()

        async def script(visit: Visit) -> None:
            await visit.head()
            await visit.answer(sent)
            visit.writer.write_eof()
            with contextlib.suppress(ConnectionError):
                await visit.reader.read()
            closed.set()

        gate.service.script = script
        async with gate.client() as (reader, writer):
            writer.write(request())
            got = b""
            with contextlib.suppress(ConnectionError):
                while piece := await asyncio.wait_for(reader.read(4096), PATIENCE_S):
                    got += piece
            assert statuses(got)[-1:] == [code]
            assert ends in got
            await asyncio.wait_for(closed.wait(), PATIENCE_S)
            [event] = await records(gate, 1)
            whole = b"whole" in sent
            assert event.outcome is (Outcome.SUCCESS if whole else Outcome.FAILURE)


# --- gone


async def _reset(writer: asyncio.StreamWriter) -> None:
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@pytest.mark.parametrize("when", ["in the body", "while it waits", "in the answer"])
async def test_when_the_client_goes_the_service_is_told_at_once(tmp_path: Path, when: str) -> None:
    """Whatever is under way, its connection ends, and the record says how far it came."""
    async with plane(tmp_path) as gate:
        begun, ended = asyncio.Event(), asyncio.Event()

        async def script(visit: Visit) -> None:
            await visit.head()
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                if when == "in the answer":
                    await visit.answer(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n")
                begun.set()
                await visit.reader.read()
            ended.set()

        gate.service.script = script
        async with gate.client() as (reader, writer):
            body = when == "in the body"
            writer.write(request("POST", "/orders", headers="Content-Length: 10") + b"abc" if body else request())
            await asyncio.wait_for(begun.wait(), PATIENCE_S)
            if when == "in the answer":
                await asyncio.wait_for(reader.readuntil(b"x\r\n"), PATIENCE_S)
            await _reset(writer)
            await asyncio.wait_for(ended.wait(), PATIENCE_S)
            event = (await records(gate, 2 if body else 1))[-1]
            assert event.details == {"cut": "client_gone"}
            assert gate.server.inflight == 0
            async with asyncio.timeout(PATIENCE_S):
                while gate.server.upstreams.open:  # noqa: ASYNC110 - nobody tells
                    await asyncio.sleep(0.005)


async def test_when_the_service_goes_the_client_is_told_and_not_read_to_the_end(tmp_path: Path) -> None:
    """In the middle of an upload: 502 at once, not when the rest has come; what was sent is not sent again."""
    async with plane(tmp_path) as gate:

        async def script(visit: Visit) -> None:
            gate.service.heads.append(await visit.head())
            await visit.reader.readexactly(3)
            await _reset(visit.writer)

        gate.service.script = script
        async with gate.client() as (reader, writer):
            writer.write(request("POST", "/orders", headers="Content-Length: 1000000", close=False) + b"abc")
            answer = await asyncio.wait_for(reader.read(), PATIENCE_S)
            assert statuses(answer) == [502]
            assert b"connection: close" in answer
            assert len(gate.service.heads) == 1


# --- sent again, or not


async def _keep_then_close(visit: Visit, service: Upstream) -> None:
    """Answer one request well, close at the second of the same connection."""
    service.heads.append(await visit.head())
    await visit.answer(EMPTY)
    service.heads.append(await visit.head())


@pytest.mark.parametrize(
    ("data", "again"),
    [
        (request("GET", "/orders/1"), True),
        (request("HEAD", "/orders/1"), True),
        (request("DELETE", "/orders/1"), True),
        (request("PUT", "/orders/1"), True),
        (
            request(
                "PUT", "/payments/p/refund", headers="Content-Type: application/json", body=b'{"amount": 5}',
                auth=token("Manager"),
            ),
            True,
        ),
        (request("PUT", "/orders/1", body=b"{}"), False),
        (request("POST", "/orders"), False),
        (
            request(
                "POST", "/payments/p/refund", headers="Content-Type: application/json", body=b'{"amount": 5}',
                auth=token("Manager"),
            ),
            False,
        ),
    ],
    ids=["GET", "HEAD", "DELETE", "PUT without body", "PUT, body in hand", "PUT, body gone", "POST", "POST, in hand"],
)  # fmt: skip
async def test_only_what_can_be_repeated_is_sent_again(tmp_path: Path, data: bytes, again: bool) -> None:
    """The service closes a kept connection as the request comes in, having perhaps done what it asks."""
    async with plane(tmp_path, routes=ROUTES + MORE) as gate:
        seen = gate.service.heads

        async def script(visit: Visit) -> None:
            await _keep_then_close(visit, gate.service)

        gate.service.script = script
        assert statuses(await gate.raw(request())) == [200]
        assert statuses(await gate.raw(data)) == [200 if again else 502]
        lines = [head.split(b"\r\n")[0] for head in seen if head]
        assert lines.count(data.split(b"\r\n")[0]) == (2 if again else 1)
        assert retried(gate) == ({"stale": 1} if again else {})


async def test_a_request_goes_to_another_address_the_second_time_and_no_third(tmp_path: Path) -> None:
    """Where the first closed without a word; where both do, the client is told."""
    async with plane(tmp_path) as gate, upstream() as other:

        async def close(visit: Visit) -> None:
            await visit.head()

        gate.service.script = close
        gate.server.upstreams.configure(
            service(f"127.0.0.1:{gate.service.port}", f"127.0.0.1:{other.port}", failures=0)
        )
        for _ in range(6):
            assert statuses(await gate.raw(request())) == [200]
        assert len(other.heads) == 6
        assert gate.service.connections == retried(gate)["closed"] > 0
        other.script = close
        before = gate.service.connections + other.connections
        assert statuses(await gate.raw(request())) == [502]
        assert gate.service.connections + other.connections - before <= 3  # the kept one, and one more


@pytest.mark.parametrize("sent", [b"H", b"HTTP/1.1 103 Early Hints\r\n\r\n", b"HTTP/1.1 200 OK\r\n"])
async def test_what_was_answered_by_a_byte_is_not_sent_again(tmp_path: Path, sent: bytes) -> None:
    """The service has begun to act on it."""
    async with plane(tmp_path) as gate:

        async def script(visit: Visit) -> None:
            await visit.head()
            await visit.answer(sent)

        gate.service.script = script
        assert statuses(await gate.raw(request()))[-1] == 502
        assert gate.service.connections == 1
        assert retried(gate) == {}


async def test_a_change_sees_a_kept_connection_that_has_ended_before_it_is_sent(tmp_path: Path) -> None:
    """Services close what is unused; hundreds of changes, each as its connection is closed, and none is lost."""
    async with plane(tmp_path, limits=Limits(upstream_idle_s=60)) as gate:

        async def script(visit: Visit) -> None:
            await visit.head()
            await visit.reader.readexactly(2)
            await visit.answer(OK)  # and closes a moment later

        gate.service.script = script
        for _ in range(60):
            assert statuses(await gate.raw(request("POST", "/orders", body=b"{}"))) == [200]
