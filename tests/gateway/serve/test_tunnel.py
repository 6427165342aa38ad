"""Tunnels over real sockets: who opens one, what passes, how each end of it reaches the other, what is recorded."""

import asyncio
import contextlib
import datetime as dt
import os
import socket
import ssl
import struct
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.typing import Subprotocol

from audit.event import Outcome, Phase
from gateway.limits import Limits
from gateway.serve.connection import ClientConnection
from gateway.serve.server import TUNNEL_PIECE
from gateway.wire.websocket import Frames, accept
from roles.security_context.claims import target_hash
from roles.security_context.verifier import ContextVerifier
from tests.builders.heads import in_pieces
from tests.builders.patience import PATIENCE_S
from tests.builders.plane import ROUTES, Plane, request, sources
from tests.builders.tunnels import (
    ASKING,
    KEY,
    LIVE,
    ORIGIN,
    SWITCHED,
    asking,
    client,
    closing,
    install,
    live,
    opened,
    said,
    sent,
    switching,
    tunnels,
    until,
)
from tests.gateway.serve.test_exchange import body_of, status_of
from tests.servers.upstream import Visit

DAY = dt.timedelta(days=1)
GOODBYE = (1000).to_bytes(2, "big")


def gauge(gate: Plane, name: str, **labels: str) -> float:
    """What the next tick says."""
    gate.server.tick()
    [value] = [
        sample.value
        for family in gate.registry.collect()
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    ]
    return value


async def echo(visit: Visit) -> None:
    """Give every byte back as it came, once it is a frame of a service: only for empty ones."""
    while data := await visit.reader.read(65536):
        await visit.answer(said(b"%d" % len(data)))


async def silent(visit: Visit) -> None:
    """Read until the end, say nothing."""
    while await visit.reader.read(65536):
        pass


async def test_messages_pass_both_ways_between_ends_that_are_not_ours(tmp_path: Path) -> None:
    """Text, megabytes, compressed, fragmented, with a subprotocol and pings; and the close code is the client's."""

    async def echoing(ws: ServerConnection) -> None:
        async for message in ws:
            await ws.send(message)

    async with (
        serve(echoing, "127.0.0.1", 0, subprotocols=[Subprotocol("till")], max_size=None) as service,
        tunnels(tmp_path) as gate,
    ):
        port = next(iter(service.sockets)).getsockname()[1]
        install(gate, sources(port, routes=ROUTES + LIVE, websocket_origins=(ORIGIN,)))
        big = os.urandom(3_000_000)
        async with live(gate.port, compression="deflate", subprotocols=["till"], max_size=None) as ws:
            assert ws.subprotocol == "till"
            assert ws.response is not None
            assert ws.response.headers["x-decision-id"]
            await ws.send("Grüße")
            assert await ws.recv() == "Grüße"
            await ws.send(big)
            assert await ws.recv() == big
            await ws.send([b"a", b"b", b"c"])
            assert await ws.recv() == b"abc"
            await (await ws.ping())
        assert ws.close_code == 1000
        event = await closing(gate)
        assert event.details is not None
        assert (event.details["why"], event.details["close_code"]) == ("closed", 1000)
        assert gate.faults == []


async def test_opening_and_closing_are_an_event_each(tmp_path: Path) -> None:
    """The second names the first, and says how much passed and why it ended; both are whole records."""
    async with tunnels(tmp_path) as gate:
        gate.service.script = switching(echo)
        async with opened(gate) as (reader, writer):
            writer.write(sent(b"", first=0x82))
            assert await reader.readexactly(3) == said(b"6")
            writer.write(sent(GOODBYE, first=0x88))
            await until(lambda: len(gate.events) == 2)
            writer.close()
            event = await closing(gate)
            decided, completed, closed = gate.events
            assert (decided.phase, completed.phase, closed.phase) == (Phase.DECIDED, Phase.COMPLETED, Phase.SINGLE)
            assert (completed.status, completed.outcome) == (101, Outcome.SUCCESS)
            assert decided.event_id == completed.event_id != closed.event_id
            assert (closed.event_type, closed.trace_id, closed.tenant_id) == (
                "authz.tunnel.closed",
                decided.trace_id,
                "acme",
            )
            assert closed.actor == decided.actor
            assert event.details == {
                "opened_by": decided.event_id,
                "kind": "websocket",
                "why": "closed",
                "bytes_received": 14,
                "bytes_sent": 6,
                "close_code": 1000,
            }


async def test_the_decision_is_on_disk_and_the_context_bound_before_the_service_is_asked(tmp_path: Path) -> None:
    """Opening a tunnel counts as a change: read from the spool at the moment the service sees the handshake."""
    async with tunnels(tmp_path) as gate:
        seen: list[tuple[bool, str]] = []

        async def script(visit: Visit) -> None:
            head = await visit.head()
            gate.service.heads.append(head)
            spool = b"".join(path.read_bytes() for path in (tmp_path / "spool").iterdir() if path.is_file())
            fields = gate.service.fields()
            seen.append((fields["x-decision-id"].encode() in spool, fields["x-security-context"]))
            await visit.answer(SWITCHED)
            await silent(visit)

        gate.service.script = script
        async with opened(gate) as (_, writer):
            writer.close()
            [(on_disk, context)] = seen
            assert on_disk
            keys = gate.server.ready_snapshot().signer.trusted_keys("order")
            found = ContextVerifier(issuer="lychgate", audience="order").verify(context, keys, gate.server.clock.now())
            assert (found.htm, found.htp) == ("GET", target_hash(b"/live"))


async def test_what_the_service_is_sent_is_a_handshake_and_no_credential(tmp_path: Path) -> None:
    """The client's own fields, framed by ours."""
    async with tunnels(tmp_path) as gate:
        gate.service.reply = b"HTTP/1.1 204 No Content\r\n\r\n"
        await gate.raw(asking(more="X-Till: 7\r\nConnection: close"))
        fields = gate.service.fields()
        assert (fields["upgrade"], fields["connection"]) == ("websocket", "Upgrade")
        assert (fields["sec-websocket-key"], fields["sec-websocket-version"]) == (KEY, "13")
        assert (fields["origin"], fields["x-till"]) == (ORIGIN, "7")
        assert "authorization" not in fields
        assert b"content-length" not in gate.service.heads[0].lower()


async def test_a_service_that_answers_otherwise_is_answered_otherwise(tmp_path: Path) -> None:
    """A refusal of the service's own passes like any answer, and what follows it is judged as requests."""
    async with tunnels(tmp_path) as gate:
        gate.service.reply = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 4\r\n\r\nfull"
        answer = await gate.raw(asking() + request("GET", "/orders/../admin"))
        first, _, second = answer.partition(b"full")
        assert status_of(first) == 403
        assert status_of(second) == 400
        async with asyncio.timeout(PATIENCE_S):
            with pytest.raises(InvalidStatus):
                await live(gate.port)


@pytest.mark.parametrize(
    "reply",
    [
        SWITCHED.replace(accept(KEY.encode()), b"AAAAAAAAAAAAAAAAAAAAAAAAAAA="),
        SWITCHED.replace(b"Upgrade: websocket", b"Upgrade: h2c"),
        SWITCHED.replace(b"Upgrade: websocket\r\n", b""),
        SWITCHED.replace(b"Connection: Upgrade", b"Connection: close"),
        SWITCHED.replace(b"HTTP/1.1", b"HTTP/1.0"),
        SWITCHED.replace(b"\r\n\r\n", b"\r\nContent-Length: 3\r\n\r\nabc"),
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    ],
)
async def test_a_101_that_does_not_fit_opens_nothing(tmp_path: Path, reply: bytes) -> None:
    """It is 502 `upstream_invalid`, and nothing that the client says reaches that service."""
    async with tunnels(tmp_path) as gate:
        got: list[bytes] = []

        async def script(visit: Visit) -> None:
            await visit.head()
            await visit.answer(reply)
            got.append(await visit.reader.read())

        gate.service.script = script
        answer = await gate.raw(asking(more="Connection: close") + sent(b"secret"))
        assert (status_of(answer), body_of(answer)["code"]) == (502, "upstream_invalid")
        await until(lambda: got)
        assert got == [b""]
        assert gauge(gate, "lychgate_lasting", kind="tunnel") == 0


@pytest.mark.parametrize("data", [request("GET", "/live"), request("GET", "/orders", headers=ASKING)])
async def test_a_101_that_nobody_asked_for_is_502(tmp_path: Path, data: bytes) -> None:
    """On a route that could open a tunnel, and on one that could not."""
    async with tunnels(tmp_path) as gate:
        gate.service.reply = SWITCHED
        answer = await gate.raw(data)
        assert (status_of(answer), body_of(answer)["code"]) == (502, "upstream_invalid")


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        (asking().replace(ORIGIN.encode(), b"https://evil.example"), 403, "forbidden"),
        (asking().replace(f"\r\nOrigin: {ORIGIN}".encode(), b""), 403, "forbidden"),
        (asking(more=f"Origin: {ORIGIN}"), 400, "bad_request"),
        (asking().replace(b"Version: 13", b"Version: 12"), 400, "bad_request"),
        (asking().replace(KEY.encode(), b"short"), 400, "bad_request"),
        (asking(more="Content-Length: 3") + b"abc", 400, "bad_request"),
        (asking(more="Transfer-Encoding: chunked") + b"0\r\n\r\n", 400, "bad_request"),
        (asking(auth=None), 401, "unauthenticated"),
        (asking(auth="x.y.z"), 401, "token_invalid"),
    ],
)
async def test_who_may_not_open_a_tunnel_is_refused_and_recorded(
    tmp_path: Path, data: bytes, status: int, code: str
) -> None:
    """Before a service hears of it."""
    async with tunnels(tmp_path) as gate, client(gate) as (reader, writer):
        writer.write(data)
        head = await reader.readuntil(b"\r\n\r\n")
        assert status_of(head) == status
        if b"12" in data:
            assert (b"\r\nsec-websocket-version: 13\r\n" in head) is (b"Version: 12" in data)
        event = await gate.record()
        assert event.decision is not None
        assert event.decision.code == code
        assert gate.service.connections == 0


async def test_a_program_without_an_origin_opens_where_the_service_says_so(tmp_path: Path) -> None:
    """A till is no browser."""
    async with tunnels(tmp_path, websocket_without_origin=True) as gate:
        gate.service.script = switching(silent)
        async with live(gate.port, origin=None):
            pass


async def test_a_route_that_opens_none_takes_the_upgrade_out(tmp_path: Path) -> None:
    """The request passes as what is left of it."""
    async with tunnels(tmp_path) as gate:
        assert status_of(await gate.raw(request("GET", "/orders", headers=ASKING))) == 200
        assert "upgrade" not in gate.service.fields()
        assert "connection" not in gate.service.fields()


async def test_frames_pass_in_whatever_pieces_they_come(tmp_path: Path) -> None:
    """Handshake and frames whole, byte by byte, and split at every offset: the service gets the same bytes."""
    frames = sent(b"hello") + sent(b"x" * 200) + sent(GOODBYE, first=0x88)
    data = asking() + frames
    ways = list(in_pieces(data))
    async with tunnels(tmp_path) as gate:
        for pieces in [*ways[:2], *ways[2::7], *ways[-len(frames) :: 3]]:
            got: list[bytes] = []

            async def script(visit: Visit, got: list[bytes] = got) -> None:
                await visit.head()
                await visit.answer(SWITCHED + said(b"first"))
                got.append(await visit.reader.readexactly(len(frames)))
                await visit.answer(said(GOODBYE, first=0x88))

            gate.service.script = script
            async with client(gate) as (reader, writer):
                for piece in pieces:
                    writer.write(piece)
                    await asyncio.sleep(0)
                assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
                async with asyncio.timeout(PATIENCE_S):
                    assert await reader.read() == said(b"first") + said(GOODBYE, first=0x88)
                assert got == [frames]


async def test_an_open_tunnel_is_no_request_under_way(tmp_path: Path) -> None:
    """It has its own gauge; and when it is over, nothing is held: no connection, no place in the pool."""
    async with tunnels(tmp_path) as gate:
        gate.service.script = switching(silent)
        async with opened(gate) as (_, writer):
            assert gate.server.inflight == 0
            assert gauge(gate, "lychgate_lasting", kind="tunnel") == 1
            assert gauge(gate, "lychgate_upstream_connections") == 1
            assert gauge(gate, "lychgate_requests_total", service="order", method="GET", status="1xx") == 1
            writer.close()
            await closing(gate)
            await until(lambda: gauge(gate, "lychgate_upstream_connections") == 0)
            assert gauge(gate, "lychgate_lasting", kind="tunnel") == 0
            assert gauge(gate, "lychgate_lasting_ended_total", kind="tunnel", why="closed") == 1
            assert "0 busy" in repr(gate.server.upstreams)


async def test_a_worker_keeps_so_many_tunnels(tmp_path: Path) -> None:
    """The next is 503 with `Retry-After`, and recorded; requests are still served."""
    async with tunnels(tmp_path, limits=Limits(tunnels=1)) as gate:
        gate.service.script = switching(silent)
        async with opened(gate) as (_, writer):
            answer = await gate.raw(asking(more="Connection: close"))
            assert (status_of(answer), body_of(answer)["code"]) == (503, "overloaded")
            assert b"\r\nretry-after: " in answer
            writer.close()
            await closing(gate)
            async with opened(gate):
                pass


async def test_a_service_that_does_not_read_stops_the_client(tmp_path: Path) -> None:
    """The gateway holds about its buffers, whatever is sent; nothing is lost when the service reads on."""
    limits = Limits(write_buffer_bytes=64 * 1024)
    go = asyncio.Event()
    frame = sent(b"u" * 60_000)
    count = 400
    async with tunnels(tmp_path, limits=limits) as gate:
        got = 0

        async def script(visit: Visit) -> None:
            nonlocal got
            visit.writer.transport.pause_reading()
            await go.wait()
            visit.writer.transport.resume_reading()
            while got < count * len(frame):
                got += len(await visit.reader.read(1 << 20))

        gate.service.script = switching(script)
        async with opened(gate) as (_, writer):
            small = writer.get_extra_info("socket")
            small.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 64 * 1024)
            for _ in range(count):
                writer.write(frame)
            [connection] = gate.server.connections
            tunnel = connection._exchange  # type: ignore[attr-defined] # only the inside shows what is held
            await until(lambda: tunnel._stalled)
            before = -1
            while before != tunnel.case.request_bytes:
                before = tunnel.case.request_bytes
                await asyncio.sleep(0.1)
            held = tunnel._service.get_write_buffer_size() + len(connection._buffer)  # type: ignore[attr-defined] # as above
            assert held < 1 << 20
            assert before < count * len(frame) / 2  # the rest waits in the kernel and with the client
            go.set()
            await until(lambda: got == count * len(frame), 20)


async def test_a_client_that_does_not_read_stops_the_service(tmp_path: Path) -> None:
    """The other way round."""
    limits = Limits(write_buffer_bytes=64 * 1024)
    frame = said(b"d" * 60_000)
    count = 400
    async with tunnels(tmp_path, limits=limits) as gate:

        async def script(visit: Visit) -> None:
            for _ in range(count):
                visit.writer.write(frame)
            await visit.writer.drain()
            await visit.reader.read()

        gate.service.script = switching(script)
        loop = asyncio.get_running_loop()
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
            client.setblocking(False)
            await loop.sock_connect(client, ("127.0.0.1", gate.port))
            await loop.sock_sendall(client, asking())
            await until(lambda: gate.server.lasting.tunnels)
            [connection] = gate.server.connections
            tunnel = connection._exchange  # type: ignore[attr-defined] # as above
            await until(lambda: tunnel._paused)
            before = -1
            while before != tunnel.case.response_bytes:
                before = tunnel.case.response_bytes
                await asyncio.sleep(0.1)
            assert connection._transport.get_write_buffer_size() < 1 << 20  # type: ignore[attr-defined] # as above
            assert before < count * len(frame) / 2  # the rest waits in the kernel and with the service
            got = bytearray()
            async with asyncio.timeout(PATIENCE_S):
                while len(got.partition(b"\r\n\r\n")[2]) < count * len(frame):
                    got += await loop.sock_recv(client, 1 << 20)
            assert got.partition(b"\r\n\r\n")[2] == frame * count
            assert not tunnel._paused


async def test_a_client_that_has_said_all_may_still_be_answered(tmp_path: Path) -> None:
    """Its end reaches the service, whose last words reach it."""
    async with tunnels(tmp_path) as gate:

        async def script(visit: Visit) -> None:
            got = await visit.reader.read()
            await visit.answer(said(b"%d bytes" % len(got)))

        gate.service.script = switching(script)
        async with opened(gate) as (reader, writer):
            writer.write(sent(b"last"))
            writer.write_eof()
            async with asyncio.timeout(PATIENCE_S):
                assert await reader.read() == said(b"10 bytes")
            event = await closing(gate)
            assert event.details is not None
            assert event.details["why"] == "closed"


async def test_a_service_that_has_said_all_may_still_be_told(tmp_path: Path) -> None:
    """Its end reaches the client, whose last words reach it."""
    async with tunnels(tmp_path, limits=Limits(half_close_s=5.0)) as gate:
        got: list[bytes] = []

        async def script(visit: Visit) -> None:
            await visit.answer(said(b"last"))
            visit.writer.write_eof()
            got.append(await visit.reader.read())

        gate.service.script = switching(script)
        async with opened(gate) as (reader, writer):
            async with asyncio.timeout(PATIENCE_S):
                assert await reader.read() == said(b"last")
            writer.write(sent(b"answer"))
            writer.write_eof()
            await until(lambda: got)
            assert got == [sent(b"answer")]
            assert (await closing(gate)).outcome is Outcome.SUCCESS


async def test_one_that_stays_when_the_other_has_gone_is_not_waited_for(tmp_path: Path) -> None:
    """Half of a tunnel is closed when nothing comes any more."""
    async with tunnels(tmp_path, limits=Limits(half_close_s=0.1)) as gate:

        async def script(visit: Visit) -> None:
            visit.writer.write_eof()
            await visit.reader.read()

        gate.service.script = switching(script)
        async with opened(gate) as (reader, _):
            event = await closing(gate)
            assert event.details is not None
            assert (event.details["why"], event.outcome) == ("upstream_closed", Outcome.FAILURE)
            assert await reader.read() == b""


def reset(writer: asyncio.StreamWriter) -> None:
    """Close without a word: RST."""
    raw = writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def test_an_abort_of_the_client_reaches_the_service(tmp_path: Path) -> None:
    """At once, and as an abort."""
    async with tunnels(tmp_path) as gate:
        seen: list[str] = []

        async def script(visit: Visit) -> None:
            try:
                await visit.reader.read()
                seen.append("end")
            except ConnectionError:
                seen.append("reset")

        gate.service.script = switching(script)
        async with opened(gate) as (_, writer):
            reset(writer)
            await until(lambda: seen)
            event = await closing(gate)
            assert event.details is not None
            assert event.details["why"] == "client_gone"


async def test_an_abort_of_the_service_reaches_the_client(tmp_path: Path) -> None:
    """At once; no close frame is made up, so that the client knows the service did not say goodbye."""
    async with tunnels(tmp_path) as gate:

        async def script(visit: Visit) -> None:
            await visit.answer(said(b"hello"))
            await visit.reader.readexactly(1)
            reset(visit.writer)

        gate.service.script = switching(script)
        async with opened(gate) as (reader, writer):
            assert await reader.readexactly(7) == said(b"hello")
            writer.write(sent(b"now"))
            with contextlib.suppress(ConnectionError):
                assert await reader.read() == b""
            event = await closing(gate)
            assert event.details is not None
            assert (event.details["why"], event.outcome) == ("upstream_closed", Outcome.FAILURE)
            assert gauge(gate, "lychgate_upstream_errors_total", service="order", kind="closed") == 1


@pytest.mark.parametrize("breach", [b"GET / HTTP/1.1\r\n\r\n", said(b"unmasked"), sent(b"x", first=0x8B)])
async def test_a_client_that_does_not_speak_websocket_is_cut(tmp_path: Path, breach: bytes) -> None:
    """With 1002; the service never sees a byte of it."""
    async with tunnels(tmp_path) as gate:
        got = bytearray()

        async def script(visit: Visit) -> None:
            with contextlib.suppress(ConnectionError):
                while data := await visit.reader.read(100):
                    got.extend(data)

        gate.service.script = switching(script)
        async with opened(gate) as (reader, writer):
            writer.write(sent(b"good"))
            await until(lambda: got)
            writer.write(breach)
            assert await reader.read() == said((1002).to_bytes(2, "big"), first=0x88)
            event = await closing(gate)
            assert event.details is not None
            assert event.details["why"] == "client_invalid"
            assert got == sent(b"good")


@pytest.mark.parametrize(
    "breach", [sent(b"masked"), b"HTTP/1.1 200 OK\r\n\r\n", said(GOODBYE, first=0x88) + said(b"x")]
)
async def test_a_service_that_does_not_speak_websocket_is_cut(tmp_path: Path, breach: bytes) -> None:
    """With 1002; the client never sees a byte of it."""
    async with tunnels(tmp_path) as gate:

        async def script(visit: Visit) -> None:
            await visit.reader.readexactly(1)
            await visit.answer(breach)
            await visit.reader.read()

        gate.service.script = switching(script, with_head=said(b"good"))
        async with opened(gate) as (reader, writer):
            assert await reader.readexactly(6) == said(b"good")
            writer.write(sent(b"now"))
            assert await reader.read() == said((1002).to_bytes(2, "big"), first=0x88)
            event = await closing(gate)
            assert event.details is not None
            assert event.details["why"] == "upstream_invalid"
            assert gauge(gate, "lychgate_upstream_errors_total", service="order", kind="invalid") == 1


async def test_a_silent_tunnel_is_closed(tmp_path: Path) -> None:
    """After its limit, with 1001 to both; one in which pings pass is not silent."""
    async with tunnels(tmp_path, limits=Limits(lasting_idle_s=0.4)) as gate:
        got: list[bytes] = []

        async def script(visit: Visit) -> None:
            got.append(await visit.reader.read())

        gate.service.script = switching(script)
        async with opened(gate) as (reader, writer):
            for _ in range(8):
                writer.write(sent(b"", first=0x89))
                await asyncio.sleep(0.1)
            assert gate.server.lasting.tunnels == 1
            assert await reader.read() == said((1001).to_bytes(2, "big"), first=0x88)
            event = await closing(gate)
            assert event.details is not None
            assert event.details["why"] == "idle"
            await until(lambda: got)
            assert len(got[0]) == 8 * 6 + 8


async def test_a_stop_closes_tunnels_with_1001(tmp_path: Path) -> None:
    """Both ends are told, and nobody waits for one to end by itself."""
    codes: list[int | None] = []

    async def waiting(ws: ServerConnection) -> None:
        with contextlib.suppress(ConnectionClosedError):
            async for _ in ws:
                pass
        codes.append(ws.close_code)

    async with serve(waiting, "127.0.0.1", 0) as service, tunnels(tmp_path) as gate:
        port = next(iter(service.sockets)).getsockname()[1]
        install(gate, sources(port, routes=ROUTES + LIVE, websocket_origins=(ORIGIN,)))
        ws = await live(gate.port)
        await ws.send("hello")
        await until(lambda: gate.server.lasting.tunnels)
        gate.server.drain()
        async with asyncio.timeout(PATIENCE_S):
            await ws.wait_closed()
        assert ws.close_code == 1001
        await until(lambda: codes and not gate.server.connections)
        assert codes == [1001]
        event = await closing(gate)
        assert event.details is not None
        assert (event.details["why"], event.outcome) == ("drain", Outcome.SUCCESS)


async def test_a_stop_lets_the_frame_that_is_passing_end(tmp_path: Path) -> None:
    """The close frame stands between two frames, never in one."""
    async with tunnels(tmp_path) as gate:
        one, two = said(b"one" * 50), said(b"two" * 50)
        go = asyncio.Event()

        async def script(visit: Visit) -> None:
            await visit.answer(one[:60])
            await go.wait()
            await visit.answer(one[60:] + two[:10])
            await visit.reader.read()

        gate.service.script = switching(script)
        async with opened(gate) as (reader, _):
            assert await reader.readexactly(60) == one[:60]
            gate.server.drain()
            await asyncio.sleep(0.1)
            assert gate.server.lasting.tunnels == 1
            go.set()
            async with asyncio.timeout(PATIENCE_S):
                assert await reader.read() == one[60:] + said((1001).to_bytes(2, "big"), first=0x88)


async def test_a_client_that_leaves_during_the_handshake_opens_nothing(tmp_path: Path) -> None:
    """The service's connection is closed, and the opening is recorded as what it was."""
    async with tunnels(tmp_path) as gate:
        seen: list[bytes] = []

        async def script(visit: Visit) -> None:
            seen.append(await visit.head())
            with contextlib.suppress(ConnectionError):
                seen.append(await visit.reader.read())
            seen.append(b"gone")

        gate.service.script = script
        async with client(gate) as (_, writer):
            writer.write(asking())
            await until(lambda: seen)
            reset(writer)
            await until(lambda: seen[-1] == b"gone")
            await until(lambda: len(gate.events) == 2)
            assert gate.events[1].details == {"cut": "client_gone"}
            assert gauge(gate, "lychgate_lasting", kind="tunnel") == 0
            await until(lambda: gate.server.upstreams.open == 0)


async def test_a_flood_of_small_frames_lets_the_loop_have_its_turns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both ways, however much comes at once, so much of it is followed in one turn; and all of it passes, in order."""
    pieces: list[int] = []
    take = Frames.take

    def noting(frames: Frames, data: bytes) -> int:
        pieces.append(len(data))
        return take(frames, data)

    monkeypatch.setattr(Frames, "take", noting)
    up, down = sent(b"", first=0x89) * 50_000, said(b"", first=0x8A) * 150_000
    async with tunnels(tmp_path) as gate:
        got = bytearray()

        async def script(visit: Visit) -> None:
            got.extend(await visit.reader.read(1))
            visit.writer.write(down)
            while len(got) < len(up):
                got.extend(await visit.reader.read(1 << 20))
            await visit.writer.drain()
            await visit.reader.read()

        gate.service.script = switching(script)
        async with opened(gate) as (reader, writer), asyncio.timeout(PATIENCE_S):
            writer.write(up)
            assert await reader.readexactly(len(down)) == down
            await until(lambda: len(got) == len(up), 20)
        assert got == up
        assert sum(pieces) == len(up) + len(down)
        assert max(pieces) <= TUNNEL_PIECE


def server_tls(folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Of a server whose name is `localhost`, and of a client that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + DAY)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = folder / "server.pem"
    pem.write_bytes(
        made.public_bytes(Encoding.PEM) + key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(pem)
    return serving, ssl.create_default_context(cafile=pem)


async def test_a_tunnel_over_tls_ends_as_one_without(tmp_path: Path) -> None:
    """TLS knows no half-close: both sides end at once, and nobody waits for a limit."""

    async def echoing(ws: ServerConnection) -> None:
        async for message in ws:
            await ws.send(message)
            if message == "bye":
                break

    serving, trusting = server_tls(tmp_path)
    async with serve(echoing, "127.0.0.1", 0) as service, tunnels(tmp_path, limits=Limits(half_close_s=30)) as gate:
        port = next(iter(service.sockets)).getsockname()[1]
        install(gate, sources(port, routes=ROUTES + LIVE, websocket_origins=(ORIGIN,)))
        front = await gate.server.loop.create_server(lambda: ClientConnection(gate.server), "127.0.0.1", 0, ssl=serving)
        tls = {"ssl": trusting, "server_hostname": "localhost", "scheme": "wss"}
        async with asyncio.timeout(PATIENCE_S):
            async with live(front.sockets[0].getsockname()[1], **tls) as ws:
                await ws.send("hello")
                assert await ws.recv() == "hello"
                await ws.send("bye")
                assert await ws.recv() == "bye"
                await ws.wait_closed()
            assert ws.close_code == 1000
            event = await closing(gate)
        assert event.details is not None
        assert event.details["why"] == "closed"
        front.close()
