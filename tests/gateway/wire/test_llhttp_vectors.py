"""llhttp's own 166 requests, through the readers alone and through a whole data plane.

An upstream is reached by exactly those requests that the readers accept, and each of them was decided on its own: the
service counts heads, the spool counts decisions.
"""

import asyncio
import base64
import contextlib
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from audit.event import AuditEvent, Phase
from gateway.errors import GatewayError
from gateway.limits import Limits
from gateway.wire.framing import BodyReader
from gateway.wire.head import END, Head, HeadReader
from gateway.wire.target import normal_path
from tests.builders.heads import in_pieces
from tests.builders.patience import PATIENCE_S
from tests.builders.plane import Plane, plane, token
from tests.builders.vectors import vectors
from tests.servers.upstream import OK, Visit

_CASES = Path(__file__).parents[2] / "cases" / "heads"
DEVIATIONS: dict[str, str] = {
    name: group["why"]
    for group in yaml.safe_load((_CASES / "llhttp_deviations.yaml").read_text(encoding="utf-8"))
    for name in group["ids"]
}


def _vectors() -> list[dict[str, Any]]:
    path = vectors("http", "llhttp-requests.json")
    found: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    for case in found:
        case["raw"] = base64.b64decode(case["raw_b64"])
        case["name"] = case["id"].removeprefix("llhttp-request-")
    return found


def _with_hosts(raw: bytes) -> bytes:
    """The same bytes, with a `Host` behind each 1.1 request line that is written as one and has none."""

    def add(line: re.Match[bytes]) -> bytes:
        block = raw[line.end() :].partition(END)[0]
        absolute = re.match(rb"\S+ http://([^/?\s]*)", line[0])
        return (
            line[0]
            if b"\nhost:" in b"\n" + block.lower()
            else line[0] + b"Host: " + (absolute[1] if absolute else b"a") + b"\r\n"
        )

    return re.sub(rb"(?m)^[A-Z-]+ \S+ HTTP/1\.1\r\n", add, raw)


def _read(pieces: list[bytes]) -> tuple[list[tuple[Head, bytes]], bool]:
    """Every message that is whole, and whether what follows them was refused: a connection without its socket."""
    reader = HeadReader(Limits())
    found: list[tuple[Head, bytes]] = []
    buffer = b""
    head: Head | None = None
    body, content = BodyReader.__new__(BodyReader), b""
    for piece in pieces:
        buffer += piece
        while True:
            if head is None:
                if found and not found[-1][0].keep_alive:
                    return found, False  # nothing after it is looked at
                if not found or buffer:
                    buffer = buffer.removeprefix(END[:2]) if buffer.startswith(END[:2]) else buffer
                end = buffer.find(END)
                if end < 0:
                    break
                try:
                    head = reader.read(buffer[: end + 4])
                except GatewayError:
                    return found, True
                buffer, body, content = buffer[end + 4 :], BodyReader(head.framing), b""
            try:
                taken, buffer = body.take(buffer)
            except ValueError:
                return found, True
            content += taken
            if not body.done:
                break
            found.append((head, content))
            head = None
    return found, False


def _verdict(case: dict[str, Any]) -> str:
    """What the readers make of a case: its messages and whether what follows was refused."""
    found, refused = _read([case["raw"]])
    return f"{len(found)} read" + (", then refused" if refused else "")


def test_the_readers_take_what_llhttp_takes_and_say_where_they_do_not(capsys: pytest.CaptureFixture[str]) -> None:
    """Each of the 166, as it is; what llhttp accepts and we do not stands in the test data, with the reason."""
    ran: Counter[str] = Counter()
    wrong: list[str] = []
    for case in _vectors():
        found, refused = _read([case["raw"]])
        expect = case["expect"]
        ran[expect] += 1
        accepted = bool(found) and not refused
        if case["name"] in DEVIATIONS:
            ran["stricter"] += 1
            good = expect == "accept" and not accepted
        elif expect in {"reject", "reject-missing-host"}:
            # Where llhttp counts a message before its error, the error is about what follows a `Connection: close`,
            # which is not looked at here; else nothing is accepted, or what is not whole is not taken for whole.
            good = not accepted or (expect == "reject" and case["messages"] == 1 and not found[0][0].keep_alive)
        elif expect == "accept":
            good = len(found) >= case["messages"] > 0
        else:
            good = True
        if not good:
            wrong.append(f"{case['name']}: {expect}, {_verdict(case)}")
    with capsys.disabled():
        total = ran.total() - ran["stricter"]
        print(f"\nllhttp requests, readers: {total} ran; {dict(ran)}")  # noqa: T201 - asked for
    assert wrong == []
    assert total == 166
    assert ran["stricter"] == sum(not name.endswith("+host") for name in DEVIATIONS)


def test_with_a_host_they_are_read_for_what_else_is_in_them(capsys: pytest.CaptureFixture[str]) -> None:
    """Given a `Host`, the 55 that want only that are accepted and the 52 others still refused, but for those named."""
    ran: Counter[str] = Counter()
    wrong: list[str] = []
    for case in _vectors():
        if case["expect"] not in {"reject-missing-host", "reject"}:
            continue
        found, refused = _read([_with_hosts(case["raw"])])
        accepted = bool(found) and not refused
        ran["accepted" if accepted else "refused or not whole"] += 1
        # llhttp goes on behind a `Connection: close`, to refuse it; here nobody looks.
        closed = accepted and case["expect"] == "reject" and case["messages"] == 1 and not found[0][0].keep_alive
        expected = case["expect"] == "reject-missing-host" and case["messages"] > 0
        if (accepted is not expected and not closed) is not (f"{case['name']}+host" in DEVIATIONS):
            wrong.append(f"{case['name']}: {'accepted' if accepted else 'not accepted'}, {case['raw'][:80]!r}")
    with capsys.disabled():
        print(f"\nllhttp requests with a host: {ran.total()} ran; {dict(ran)}")  # noqa: T201 - asked for
    assert wrong == []
    assert ran.total() == 107


def test_the_verdict_does_not_depend_on_how_the_bytes_come() -> None:
    """Whole, byte by byte and cut at every offset, with and without a host."""
    for case in _vectors():
        for raw in {case["raw"], _with_hosts(case["raw"])}:
            expected = _read([raw])
            for pieces in in_pieces(raw):
                assert _read(pieces) == expected, (case["name"], len(pieces))


ANY = """
[[route]]
id = "any.{method}.{depth}"
method = "{method}"
path = "{path}"
service = "order"
action = "order:list"
resource = {{ type = "Order" }}
guarantee = "buffered"
"""
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
ROUTES = "".join(
    ANY.format(method=method, depth=depth, path="/" + "/".join(f"{{p{at}}}" for at in range(depth)))
    for method in METHODS
    for depth in range(4)
)


def _authorised(raw: bytes, credential: bytes) -> bytes:
    """The same, with a credential behind each request line that is written as one."""
    return re.sub(rb"(?m)^([A-Z-]+ \S+ HTTP/1\.[01]\r\n)", rb"\1Authorization: Bearer " + credential + rb"\r\n", raw)


async def _service(visit: Visit, heads: list[bytes]) -> None:
    """A service that reads bodies by rules of its own, so that nothing of one is taken for a head."""
    with contextlib.suppress(asyncio.IncompleteReadError):
        while head := await visit.head():
            heads.append(head)
            fields = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:-2])
            if b"transfer-encoding" in fields:
                while size := int(await visit.reader.readline(), 16):
                    await visit.reader.readexactly(size + 2)
                await visit.reader.readexactly(2)
            else:
                await visit.reader.readexactly(int(fields.get(b"content-length", b"0")))
            await visit.answer(OK[:-2] if head.startswith(b"HEAD ") else OK)


async def _visit(gate: Plane, raw: bytes, answers: int) -> None:
    """Send bytes, read that many answers, say that no more come, and wait until nothing is under way."""
    reader, writer = await asyncio.open_connection("127.0.0.1", gate.port)
    with contextlib.suppress(ConnectionError):
        writer.write(raw)
        async with asyncio.timeout(PATIENCE_S):
            got = b""
            while len(re.findall(rb"HTTP/1\.1 [2-5]\d\d ", got)) < answers and (more := await reader.read(65536)):
                got += more
            writer.write_eof()
            await reader.read()
    writer.close()
    async with asyncio.timeout(PATIENCE_S):
        while gate.server.inflight:  # noqa: ASYNC110 - the server tells nobody
            await asyncio.sleep(0.005)


async def test_each_request_that_reaches_the_service_was_decided_and_no_other_does(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The 166 with a host and a credential, to routes for any path: what the service got is what was allowed."""
    credential = token().encode()
    ran: Counter[str] = Counter()
    wrong: list[str] = []
    heads: list[bytes] = []
    limits = Limits(header_read_s=0.2, body_stall_s=0.2, keep_alive_idle_s=0.2)
    async with plane(tmp_path, routes=ROUTES, limits=limits) as gate:
        gate.service.script = lambda visit: _service(visit, heads)
        for case in _vectors():
            raw = _authorised(_with_hosts(case["raw"]), credential)
            heads.clear()
            gate.events.clear()
            whole, _ = _read([raw])
            await _visit(gate, raw, len(whole))
            allowed = {event.event_id for event in gate.events if _is_allow(event)}
            routed = [head for head, _ in whole if head.method.decode() in {*METHODS, "HEAD"} and _is_path(head.target)]
            ran["ran"] += 1
            ran["reached the service"] += len(heads)
            ran["with one at least"] += bool(heads)
            # An allowed one whose body breaks off may have been cut before its head went out.
            if len(heads) > len(allowed) or len(allowed) > len(heads) + (len(whole) < len(allowed)):
                wrong.append(f"{case['name']}: {len(heads)} reached, {len(allowed)} allowed")
            if not len(routed) <= len(heads) <= len(routed) + 1:  # one whose body never came whole has begun
                wrong.append(f"{case['name']}: {len(heads)} reached, {len(routed)} whole: {heads}")
        assert gate.faults == []
    with capsys.disabled():
        print(f"\nllhttp requests, data plane: {dict(ran)}")  # noqa: T201 - asked for
    assert not wrong, "\n".join(wrong)
    assert ran["ran"] == 166
    assert ran["with one at least"] > 40


def _is_path(target: bytes) -> bool:
    with contextlib.suppress(GatewayError):
        return bool(normal_path(target))
    return False


def _is_allow(event: AuditEvent) -> bool:
    decided = event.decision is not None and event.decision.effect == "allow"
    return decided and event.phase in {Phase.SINGLE, Phase.DECIDED}
