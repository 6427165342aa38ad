"""RFC 9110 and RFC 9112 through a whole data plane; the table of docs/reference/http.md is made of what runs here.

Each case is fed whole, byte by byte and cut at every offset to the protocols themselves (`tests.builders.house`), and
over real sockets where a socket adds something.
"""

import asyncio
import contextlib
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from audit.event import Outcome, Phase
from gateway.limits import Limits
from tests.builders import second
from tests.builders.heads import in_pieces
from tests.builders.house import End, House, credential
from tests.builders.loops import on_each_loop
from tests.builders.patience import PATIENCE_S
from tests.builders.plane import Plane, plane, request
from tests.servers.upstream import OK, Visit

CASES = Path(__file__).parents[2] / "cases"
MIB = 1 << 20


def _listed(*parts: str) -> Any:
    return yaml.safe_load(CASES.joinpath(*parts).read_text(encoding="utf-8"))


HEADS: dict[str, dict[str, Any]] = {case["name"]: case for case in _listed("heads", "refused.yaml")}
RULES: list[dict[str, Any]] = [row for part in _listed("http", "refused.yaml") for row in part["rows"]]
ROUTES = """
[[route]]
id = "any.{method}"
method = "{method}"
path = "/things/{{thing}}"
service = "order"
action = "order:list"
resource = {{ type = "Order" }}
guarantee = "buffered"
"""
THINGS = "".join(ROUTES.format(method=method) for method in ("GET", "POST"))
KEY = credential()


def _rows(kind: str) -> list[Any]:
    """Each rule with each of its cases of one kind."""
    found = []
    for rule in RULES:
        for number, case in enumerate(rule.get(kind, ())):
            raw = HEADS[case]["raw"] if kind == "heads" else case
            name = case if kind == "heads" else f"{rule['what'][:40]} {number}"
            found.append(pytest.param(rule, raw.encode("latin-1"), id=name))
    return found


def _sends(line: str = "GET /things/a HTTP/1.1", *fields: str, body: bytes = b"", host: str = "shop.example") -> bytes:
    named = [f"Host: {host}"] if host else []
    lines = [line, *named, f"Authorization: Bearer {KEY}", *fields]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body


def _house(reply: bytes = OK, pieces: list[bytes] | None = None, *, closes: bool = False) -> tuple[House, list[bytes]]:
    """A house whose service reads requests with h11's eyes and answers each in these pieces; and what it was sent."""
    house, sent = House(routes=THINGS), []

    def connected(end: End) -> None:
        house.services.append(end)
        seen = 0

        def on_data(_: bytes) -> None:
            nonlocal seen
            whole = [it for it in second.requests(bytes(end.got))[0] if it.whole]
            for it in whole[seen:]:
                sent.append(it.method + b" " + it.target + b" " + it.body)
                for piece in pieces or [reply]:
                    end.send(piece)
                if closes:
                    end.finish()
            seen = len(whole)

        end.on_data = on_data

    house.loop.answers = connected
    return house, sent


def test_every_refused_head_belongs_to_a_rule() -> None:
    """The page leaves none out, and names none that is not there."""
    named = [name for rule in RULES for name in rule.get("heads", ())]
    assert sorted(named) == sorted(set(named))
    assert set(named) == set(HEADS) - {"trailing garbage"}


@pytest.mark.parametrize(("rule", "raw"), _rows("heads"))
def test_a_head_that_is_refused_ends_its_connection_and_leaves_a_record(rule: dict[str, Any], raw: bytes) -> None:
    """Cut anywhere: one answer with the row's code, the record of it, and no look at the request behind."""
    house, sent = _house()
    for pieces in in_pieces(raw):
        _is_refused(house, [*pieces, _sends()], rule["code"])
        assert sent == [], pieces
        house.clear()


@pytest.mark.parametrize(("rule", "after"), _rows("after"))
def test_a_body_that_is_refused_ends_its_connection_and_leaves_a_record(rule: dict[str, Any], after: bytes) -> None:
    """The service never gets a whole request of it, and what is behind it is never one."""
    house, sent = _house()
    head = _sends("POST /things/a HTTP/1.1", "Transfer-Encoding: chunked")
    for pieces in in_pieces(after + b"0\r\n\r\n" if not after.startswith(b"0") else after):
        _is_refused(house, [head, *pieces, _sends("GET /things/behind HTTP/1.1")], rule["code"])
        assert sent == [], pieces
        assert all(end.closed for end in house.services)
        house.clear()


def _is_refused(house: House, pieces: list[bytes], code: str) -> None:
    client = house.client()
    for piece in pieces:
        client.send(piece)
        house.settle()
    assert client.ended, "the connection goes on"
    [event] = house.sink.of_phase(Phase.SINGLE)
    assert event.decision is not None
    reads = second.Answers(bytes(client.got), ended=True)
    said = reads.next(event.request.method.encode() if event.request else b"GET")
    assert said is not None
    assert said.get(b"connection") == [b"close"]
    assert not reads.more
    assert f'"code":"{code}"'.encode() in said.body
    assert event.status == said.status
    assert event.details is not None
    assert event.details["reason"]
    assert said.get(b"x-decision-id") == [event.event_id.encode()]
    house.rest()
    assert (client.closed, house.faults, house.loop.failed) == (True, [], [])


@pytest.mark.parametrize(("rule", "raw"), _rows("answers"))
def test_an_answer_that_is_refused_is_502_and_its_connection_is_not_used_again(
    rule: dict[str, Any], raw: bytes
) -> None:
    """The client's own connection goes on; it did nothing wrong."""
    for pieces in in_pieces(raw):
        house, sent = _house(pieces=pieces)
        client = house.client()
        client.send(_sends())
        house.settle()
        reads = second.Answers(_finals(bytes(client.got)), ended=False)
        said = reads.next(b"GET")
        assert said is not None
        assert (said.status, said.whole) == (502, True)
        assert f'"code":"{rule["code"]}"'.encode() in said.body
        assert len(sent) == 1
        assert [end.closed for end in house.services] == [True]
        assert not client.ended
        [event] = house.sink.events
        assert (event.status, event.outcome) == (502, Outcome.FAILURE)
        house.rest()


def _finals(data: bytes) -> bytes:
    """Without interim answers, which h11 would read as well."""
    return re.sub(rb"HTTP/1\.1 1\d\d [^\r]*\r\n(?:[^\r]+\r\n)*\r\n", b"", data)


class Story(NamedTuple):
    """One connection's bytes, what the service says to each of its requests, and what becomes of it.

    Attributes:
        name: What it is about.
        client: Bytes of the client.
        reply: Of the service, to each request.
        sent: What the service reads: method, target and body.
        answers: What the client reads: status and body.
        contains: Further bytes in what the client gets.
        closes: Whether the service closes behind its answer.
        ends: Whether the client's connection ends with it.
    """

    name: str
    client: bytes
    reply: bytes
    sent: list[bytes]
    answers: list[tuple[int, bytes]]
    contains: bytes = b""
    closes: bool = False
    ends: bool = False


_CHUNKS = b"3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nX-User-Id: forged\r\n\r\n"
A = b"GET /things/a "
_CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
STORIES = [
    Story("keep-alive", _sends() + _sends(), OK, [A] * 2, [(200, b"{}")] * 2),
    Story(
        "pipelined with bodies and refusals, in order",
        _sends("POST /things/a HTTP/1.1", "Content-Length: 5", body=b"hello")
        + _sends("GET /nowhere HTTP/1.1")
        + _sends("POST /things/b HTTP/1.1", "Transfer-Encoding: chunked", body=_CHUNKS)
        + _sends("GET /things/c?d HTTP/1.1"),
        OK,
        [b"POST /things/a hello", b"POST /things/b abcde", b"GET /things/c?d "],
        [(200, b"{}"), (404, b""), (200, b"{}"), (200, b"{}")],
    ),
    Story("an empty line first", b"\r\n" + _sends(), OK, [A], [(200, b"{}")]),
    Story("absolute form", _sends("GET http://shop.example/things/a HTTP/1.1"), OK, [A], [(200, b"{}")]),
    Story("close", _sends("GET /things/a HTTP/1.1", "Connection: close"), OK, [A], [(200, b"{}")], ends=True),
    Story("1.0", _sends("GET /things/a HTTP/1.0", host=""), OK, [A], [(200, b"{}")], ends=True),
    Story(
        "1.0 and keep-alive",
        _sends("GET /things/a HTTP/1.0", "Connection: keep-alive"),
        OK,
        [A],
        [(200, b"{}")],
        b"connection: close",
        ends=True,
    ),
    Story("1.0 and chunks", _sends("GET /things/a HTTP/1.0"), _CHUNKED + _CHUNKS, [A], [(200, b"abcde")], ends=True),
    Story(
        "1.0 and an interim answer",
        _sends("GET /things/a HTTP/1.0"),
        b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK,
        [A],
        [(200, b"{}")],
        ends=True,
    ),
    Story(
        "HEAD", _sends("HEAD /things/a HTTP/1.1"), OK[:-2], [b"HEAD /things/a "], [(200, b"")], b"content-length: 2\r\n"
    ),
    Story(
        "interim answers",
        _sends(),
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\nConnection: y\r\nY: z\r\n\r\n" + OK,
        [A],
        [(200, b"{}")],
        b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n",
    ),
    Story("chunks, without their trailers", _sends(), _CHUNKED + _CHUNKS, [A], [(200, b"abcde")]),
    Story(
        "until close, as chunks",
        _sends(),
        b"HTTP/1.1 200 OK\r\n\r\nuntil",
        [A],
        [(200, b"until")],
        b"transfer-encoding: chunked",
        closes=True,
    ),
    Story("a 1.0 answer", _sends(), b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", [A], [(200, b"x")]),
]


@pytest.mark.parametrize("story", STORIES, ids=[story.name for story in STORIES])
def test_a_message_means_the_same_however_it_comes(story: Story) -> None:
    """The client's bytes and the service's, each whole, byte by byte and cut at every offset."""
    for of_client, cuts in ((True, in_pieces(story.client)), (False, in_pieces(story.reply))):
        for pieces in cuts:
            house, sent = _house(story.reply, None if of_client else pieces, closes=story.closes)
            client = house.client()
            for piece in pieces if of_client else [story.client]:
                client.send(piece)
                house.settle()
            assert sent[: len(story.sent)] == story.sent, pieces
            got = bytes(client.got)
            reads = second.Answers(got, ended=client.ended)
            methods = [b"HEAD" if story.name == "HEAD" else b"GET"] * len(story.answers)
            said = [reads.next(method) for method in methods]
            assert [(it.status, it.body if it.status == 200 else b"") for it in said if it] == story.answers, got
            assert all(it is not None and it.whole for it in said)
            assert story.contains in got
            assert b"forged" not in got + b"".join(bytes(end.got) for end in house.services)
            assert client.ended is story.ends
            house.rest()
            assert len(house.sink.of_phase(Phase.SINGLE)) >= len(story.answers)
            assert (house.faults, house.loop.failed) == ([], [])


BODILESS = [("HEAD", "200 OK"), *((method, status) for method in ("GET", "HEAD") for status in ("204 No", "304 Not"))]


@pytest.mark.parametrize(("method", "status"), BODILESS)
@pytest.mark.parametrize("field", ["Content-Length: 5", "Transfer-Encoding: chunked", "X: y"])
def test_an_answer_without_a_body_has_none(method: str, status: str, field: str) -> None:
    """Ended at the blank line, so the next answer is the next request's; what comes behind it with it is 502."""
    reply = f"HTTP/1.1 {status}\r\n{field}\r\n\r\n".encode()
    for pieces in in_pieces(reply):
        house, sent = _house(reply, pieces)
        client = house.client()
        client.send(_sends(f"{method} /things/a HTTP/1.1") * 2)
        house.settle()
        reads = second.Answers(bytes(client.got), ended=False)
        said = [reads.next(method.encode()) for _ in range(2)]
        assert [(it.status, it.body, it.whole) for it in said if it] == [(int(status[:3]), b"", True)] * 2
        assert len(sent) == 2
        house.rest()
    house, _ = _house(reply + b"hello")
    client = house.client()
    client.send(_sends(f"{method} /things/a HTTP/1.1"))
    house.settle()
    assert client.got.startswith(b"HTTP/1.1 502 ")
    assert house.services[0].closed


def test_sixteen_requests_wait_and_no_more_is_read() -> None:
    """Reading pauses behind the sixteenth, and goes on as they are answered; all are, in order."""
    house = House(routes=THINGS)
    house.loop.answers = house.services.append
    client = house.client()
    for number in range(40):
        client.send(_sends(f"GET /things/{number} HTTP/1.1"))
        house.settle()
    waiting = client.protocol._buffer.count(b"\r\n\r\n")
    assert waiting == Limits().pipelined_requests == 16
    assert not client.transport.is_reading()
    [service] = house.services
    for number in range(40):
        assert service.got.count(b"\r\n\r\n") == number + 1
        service.send(OK)
        house.settle()
    assert [it.target for it in second.requests(bytes(service.got))[0]] == [b"/things/%d" % n for n in range(40)]
    assert client.got.count(b"HTTP/1.1 200 ") == 40
    assert client.transport.is_reading()


def test_a_smuggled_h2c_is_a_body() -> None:
    """The upgrade is gone, the framing holds, and the HTTP/2 preface behind it never becomes a request."""
    offer = ("Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA", "Connection: Upgrade, HTTP2-Settings")
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9)
    for pieces in in_pieces(preface):
        house, sent = _house()
        client = house.client()
        client.send(_sends("POST /things/a HTTP/1.1", *offer, f"Content-Length: {len(preface)}"))
        for piece in pieces:
            client.send(piece)
            house.settle()
        assert sent == [b"POST /things/a " + preface]
        [got] = second.requests(bytes(house.services[0].got))[0]
        assert [got.get(name) for name in (b"upgrade", b"http2-settings", b"connection")] == [[], [], []]
        assert client.got.startswith(b"HTTP/1.1 200 ")
        house.clear()
    house, sent = _house()
    client = house.client()
    client.send(_sends("GET /things/a HTTP/1.1", *offer) + preface)
    house.settle()
    assert sent == [b"GET /things/a "]
    assert client.got.count(b"HTTP/1.1 ") == 2  # the answer, and the refusal of what is no request
    assert b"HTTP/1.1 400 " in client.got


# --- over sockets, on both loops


@pytest.mark.parametrize("pieces", [0, 1])
@on_each_loop
async def test_each_rule_holds_over_a_socket(tmp_path: Path, pieces: int) -> None:
    """One case a rule, whole and byte by byte: answered, closed, recorded; nothing reaches the service."""
    heads: list[bytes] = []

    async def script(visit: Visit) -> None:
        heads.append(await visit.head())
        await visit.reader.read()  # a whole body never comes

    async with plane(tmp_path, routes=THINGS) as gate:
        gate.service.script = script
        for rule in RULES:
            if "heads" in rule:
                data = HEADS[rule["heads"][0]]["raw"].encode("latin-1") + request("GET", "/things/a")
            elif "after" in rule:
                chunked = request("POST", "/things/a", headers="Transfer-Encoding: chunked", close=False)
                data = chunked + rule["after"][0].encode("latin-1") + b"0\r\n\r\n"
            else:
                continue
            answer = await gate.raw(data, pieces=pieces)
            assert f'"code":"{rule["code"]}"'.encode() in answer, (rule["what"], answer)
            assert answer.count(b"HTTP/1.1 ") == 1
            decision = answer.partition(b"x-decision-id: ")[2][:36].decode()
            reasons = await _reasons(gate, decision)
            assert reasons, rule["what"]
        assert not [head for head in heads if head.startswith(b"GET")]
        assert gate.faults == []


async def _reasons(gate: Plane, decision: str) -> list[Any]:
    """What is recorded of a decision; a stranger's refusal is folded, and stands in the first record alike."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            alike = [event for event in gate.events if event.event_id == decision or event.aggregate]
            found = [event.details["reason"] for event in alike or gate.events if event.details]
            if found:
                return found
            await asyncio.sleep(0.02)


@on_each_loop
async def test_a_client_that_half_closes_is_served_what_it_sent(tmp_path: Path) -> None:
    """Three requests and an end: three answers, then the end of the other side."""
    async with plane(tmp_path, routes=THINGS) as gate:
        reader, writer = await asyncio.open_connection("127.0.0.1", gate.port)
        writer.write(request("GET", "/things/a", close=False) * 3)
        writer.write_eof()
        answer = await asyncio.wait_for(reader.read(), PATIENCE_S)
        assert answer.count(b"HTTP/1.1 200 ") == 3
        assert len(gate.service.heads) == 3
        writer.close()


BROKEN: list[tuple[str, bytes, str]] = [
    ("a length", b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhalf", "1.1"),
    ("chunks", _CHUNKED + b"4\r\nhalf\r\n", "1.1"),
    ("a chunk", _CHUNKED + b"9\r\nhalf", "1.1"),
    ("until close to 1.0", _CHUNKED + b"4\r\nhalf\r\n", "1.0"),
]


@pytest.mark.parametrize("resets", [False, True], ids=["end", "reset"])
@pytest.mark.parametrize(("name", "reply", "version"), BROKEN, ids=[case[0] for case in BROKEN])
@on_each_loop
async def test_a_service_that_breaks_off_is_not_taken_for_whole(
    tmp_path: Path, name: str, reply: bytes, version: str, resets: bool
) -> None:
    """The client sees a body that is not whole, or a reset where only that would tell; and the record says why."""
    async with plane(tmp_path, routes=THINGS) as gate:
        gone = asyncio.Event()

        async def script(visit: Visit) -> None:
            await visit.head()
            await visit.answer(reply)
            await gone.wait()
            if resets:
                visit.writer.transport.abort()

        gate.service.script = script
        reader, writer = await asyncio.open_connection("127.0.0.1", gate.port)
        writer.write(request("GET", "/things/a", close=False).replace(b"HTTP/1.1", f"HTTP/{version}".encode()))
        got = await asyncio.wait_for(reader.readuntil(b"half"), PATIENCE_S)
        gone.set()
        reset = False
        try:
            got += await asyncio.wait_for(reader.read(), PATIENCE_S)
        except ConnectionResetError:
            reset = True
        writer.close()
        said = second.Answers(got, ended=not reset).next(b"GET")
        assert said is not None
        assert not said.whole, got
        assert reset is (version == "1.0")
        event = await gate.record()
        assert (event.outcome, event.status) == (Outcome.FAILURE, 200)
        assert event.details is not None
        assert event.details["cut"] == "upstream_invalid"


@pytest.mark.parametrize("when", ["before", "after"])
@on_each_loop
async def test_a_service_that_half_closes_has_said_what_it_said(tmp_path: Path, when: str) -> None:
    """Behind a whole answer that is no fault; instead of one it is 502."""
    async with plane(tmp_path, routes=THINGS) as gate:

        async def script(visit: Visit) -> None:
            await visit.head()
            if when == "after":
                await visit.answer(OK)
            visit.writer.write_eof()
            await visit.reader.read()

        gate.service.script = script
        answer = await gate.raw(request("GET", "/things/a"))
        assert answer.startswith(b"HTTP/1.1 200 " if when == "after" else b"HTTP/1.1 502 ")


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * 4096


@contextlib.contextmanager
def _watching() -> Iterator[Callable[[], int]]:
    """How much this process has grown at most, looked at each time it is asked."""
    before, most = _resident_bytes(), 0

    def growth() -> int:
        nonlocal most
        most = max(most, _resident_bytes() - before)
        return most

    yield growth


SIZE = 64 * MIB
PIECE = bytes(256 * 1024)


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
@on_each_loop
async def test_a_large_body_needs_no_memory(tmp_path: Path, chunked: bool) -> None:
    """64 MiB each way to a reader who takes his time: what is held stays far below what went through.

    Client, gateway and service share this process, so the bound is on all three together.
    """
    loop = asyncio.get_running_loop()
    async with plane(tmp_path, routes=THINGS) as gate:
        got = 0

        async def script(visit: Visit) -> None:
            nonlocal got
            await visit.head()
            began = loop.time()
            while got < SIZE:
                got += len(await visit.reader.read(MIB))
                if got < 8 * MIB and loop.time() < began + 2:
                    await asyncio.sleep(0.01)  # slow at first, so that all that could pile up does
            if chunked:
                await visit.reader.readuntil(b"0\r\n\r\n") if got < SIZE else None
            await visit.answer(_CHUNKED if chunked else b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % SIZE)
            for _ in range(SIZE // len(PIECE)):
                await visit.answer(b"%x\r\n%b\r\n" % (len(PIECE), PIECE) if chunked else PIECE)
            await visit.answer(b"0\r\n\r\n" if chunked else b"")

        gate.service.script = script
        reader, writer = await asyncio.open_connection("127.0.0.1", gate.port, limit=64 * 1024)
        framing = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {SIZE}"
        with _watching() as growth:
            writer.write(request("POST", "/things/a", headers=framing, close=False))
            for _ in range(SIZE // len(PIECE)):
                writer.write(b"%x\r\n%b\r\n" % (len(PIECE), PIECE) if chunked else PIECE)
                await asyncio.wait_for(writer.drain(), PATIENCE_S)
                growth()
            writer.write(b"0\r\n\r\n" if chunked else b"")
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE_S)
            assert head.startswith(b"HTTP/1.1 200 ")
            taken, began = 0, loop.time()
            async with asyncio.timeout(60):
                while taken < SIZE:
                    taken += len(await reader.read(MIB))
                    growth()
                    if taken < 8 * MIB and loop.time() < began + 2:
                        await asyncio.sleep(0.01)
            assert growth() < 24 * MIB
        writer.close()
