"""What lasts is cut when its token expires, and when a new snapshot would refuse it; and only then."""

import asyncio
import contextlib
import itertools
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from audit.event import AuditEvent, Outcome, Phase, Resource, Severity
from gateway.clock import Clock
from gateway.limits import Limits
from gateway.serve import lasting
from gateway.serve.lasting import Cut, Kind
from gateway.sources import IssuerKeys, SourceFile, Sources
from tests.builders import tokens
from tests.builders.patience import PATIENCE_S
from tests.builders.plane import ROUTES, TOKEN_S, Plane, request, token
from tests.builders.tunnels import (
    LIVE,
    SWITCHED,
    client,
    closing,
    current,
    install,
    live,
    opened,
    replaced,
    said,
    switching,
    tunnels,
    until,
    with_forbid,
)
from tests.gateway.serve.test_exchange import status_of
from tests.servers.upstream import Visit

STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
ONE = b"data: 1\n\n"


async def silent(visit: Visit) -> None:
    """Read until the end, say nothing."""
    with contextlib.suppress(ConnectionError):
        while await visit.reader.read(65536):
            pass


async def streaming(visit: Visit) -> None:
    """An event stream of one event that does not end."""
    await visit.head()
    await visit.answer(STREAM + b"%x\r\n%b\r\n" % (len(ONE), ONE))
    await silent(visit)


def later(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Let the worker's clock be that much further on."""
    monkeypatch.setattr(Clock, "now", lambda _: time.time() + seconds)


def without_key(given: Sources) -> Sources:
    """The issuer publishes another key."""
    return replaced(given, keys=(IssuerKeys("dev", tokens.jwks(tokens.signing_key("ES256", "k2", 2).public())),))


def without_upgrade(given: Sources) -> Sources:
    """The route is there and opens no tunnel any more."""
    return replaced(given, routes=SourceFile("routes.toml", ROUTES + LIVE.replace("websocket = true", "")))


def without_route(given: Sources) -> Sources:
    """The route is gone."""
    return replaced(given, routes=SourceFile("routes.toml", ROUTES))


def without_role(given: Sources) -> Sources:
    """The role that could is another's now."""
    [known] = given.issuers
    issuer = msgspec.structs.replace(known, roles=("Auditor",))
    return replaced(given, issuers=(issuer,))


def with_another_service(given: Sources) -> Sources:
    """The route leads elsewhere."""
    [service] = given.services
    other = msgspec.structs.replace(service, name="stock")
    routes = ROUTES + LIVE.replace('service = "order"', 'service = "stock"')
    return replaced(given, services=(service, other), routes=SourceFile("routes.toml", routes))


def with_another_origin(given: Sources) -> Sources:
    """The page may no longer."""
    [service] = given.services
    other = msgspec.structs.replace(service, websocket_origins=("https://new.example",))
    return replaced(given, services=(other,))


CHANGES: list[tuple[Callable[[Sources], Sources], str]] = [
    (with_forbid, "forbidden"),
    (without_role, "token_invalid"),
    (without_key, "token_invalid"),
    (without_route, "route_unknown"),
    (without_upgrade, "route_unknown"),
    (with_another_service, "route_unknown"),
    (with_another_origin, "forbidden"),
]


@pytest.mark.parametrize(("change", "code"), CHANGES, ids=[change.__name__ for change, _ in CHANGES])
async def test_a_tunnel_is_cut_when_a_new_snapshot_would_refuse_it(
    tmp_path: Path, change: Callable[[Sources], Sources], code: str
) -> None:
    """Policy, role, key, route, origin: with 1008 to the client, the end to the service, the refusal in the record."""
    async with tunnels(tmp_path) as gate:
        gone = asyncio.Event()

        async def script(visit: Visit) -> None:
            await silent(visit)
            gone.set()

        gate.service.script = switching(script, with_head=said(b"hello"))
        before = gate.server.ready_snapshot().bundle.version
        async with opened(gate) as (reader, _):
            assert await reader.readexactly(7) == said(b"hello")
            install(gate, change(current(gate)))
            async with asyncio.timeout(PATIENCE_S):
                assert await reader.read() == said((1008).to_bytes(2, "big"), first=0x88)
                await gone.wait()
        event = await closing(gate)
        assert event.details is not None
        assert event.details["why"] == "refused"
        assert event.details["reason"]
        assert event.decision is not None
        assert (event.decision.effect, event.decision.code) == ("deny", code)
        assert (event.outcome, event.severity) == (Outcome.FAILURE, Severity.WARN)
        if change is with_forbid:
            assert event.decision.reasons == ("halt.halt",)
            assert event.decision.policy_version != before


async def test_a_tunnel_goes_on_when_a_new_snapshot_still_allows_it(tmp_path: Path) -> None:
    """It is judged by the new one, and the old one is let go."""
    async with tunnels(tmp_path) as gate:
        gate.service.script = switching(silent)
        async with live(gate.port) as ws:
            await until(lambda: gate.server.lasting.tunnels)
            [item] = gate.server.lasting._items
            install(gate, with_forbid(current(gate), "order:create"))
            await until(lambda: item.judged_by is gate.server.snapshot)
            await ws.send("still here")
            await until(lambda: item.case.request_bytes)
            assert gate.server.lasting.tunnels == 1
            ws.transport.abort()


async def test_a_tunnel_is_cut_when_its_token_expires(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the worker's clock, leeway included; not a moment before."""
    async with tunnels(tmp_path) as gate:
        gate.service.script = switching(silent)
        async with opened(gate) as (reader, _):
            later(monkeypatch, TOKEN_S)
            for _ in range(3):
                gate.server.tick()
                await asyncio.sleep(0.02)
            assert gate.server.lasting.tunnels == 1
            later(monkeypatch, TOKEN_S + 31)
            async with asyncio.timeout(PATIENCE_S):
                assert await reader.read() == said((1008).to_bytes(2, "big"), first=0x88)
        event = await closing(gate)
        assert event.details is not None
        assert event.details["why"] == "token_expired"
        assert event.decision is None


async def test_a_cut_in_the_middle_of_a_frame_says_nothing_and_is_at_once(tmp_path: Path) -> None:
    """A close frame there would be read as the message."""
    async with tunnels(tmp_path) as gate:
        gate.service.script = switching(silent, with_head=said(b"half of it")[:6])
        async with opened(gate) as (reader, _):
            assert await reader.readexactly(6) == said(b"half of it")[:6]
            install(gate, with_forbid(current(gate)))
            async with asyncio.timeout(PATIENCE_S):
                assert await reader.read() == b""
        assert (await closing(gate)).decision is not None


async def test_a_tunnel_that_was_judged_while_a_snapshot_came_is_judged_again(tmp_path: Path) -> None:
    """Between its decision and its 101 the policies changed."""
    async with tunnels(tmp_path) as gate:

        async def script(visit: Visit) -> None:
            await visit.head()
            install(gate, with_forbid(current(gate)))
            gate.server.tick()
            await until(lambda: gate.server.lasting._settled is gate.server.snapshot)
            await visit.answer(SWITCHED)
            await silent(visit)

        gate.service.script = script
        async with opened(gate) as (reader, _):
            async with asyncio.timeout(PATIENCE_S):
                assert await reader.read() == said((1008).to_bytes(2, "big"), first=0x88)


async def test_an_event_stream_is_cut_at_once_and_its_end_is_an_event(tmp_path: Path) -> None:
    """Its opening was recorded when it opened; what cut it stands in the event of its end."""
    async with tunnels(tmp_path) as gate:
        gate.service.script = streaming
        async with client(gate) as (reader, writer):
            writer.write(request())
            assert await reader.readuntil(ONE)
            [opening] = gate.events
            assert (opening.phase, opening.status, opening.outcome) == (Phase.SINGLE, 200, Outcome.SUCCESS)
            install(gate, with_forbid(current(gate)))
            async with asyncio.timeout(PATIENCE_S):
                with contextlib.suppress(ConnectionError):
                    assert b"0\r\n\r\n" not in await reader.read()
        event = await closing(gate, "authz.stream.closed")
        assert event.details == {
            "opened_by": opening.event_id,
            "kind": "event_stream",
            "why": "refused",
            "bytes_received": 0,
            "bytes_sent": len(ONE),
            "reason": "policy",
        }
        assert event.decision is not None
        assert event.decision.code == "forbidden"
        assert len(gate.events) == 2


async def test_a_stream_whose_head_was_known_is_judged_by_its_credential(tmp_path: Path) -> None:
    """A head that is found by its bytes is kept without the token; what lasts is judged again with it all the same."""
    async with tunnels(tmp_path) as gate:
        gate.service.script = streaming
        data = request(auth=token())
        for _ in range(2):
            async with client(gate) as (reader, writer):
                writer.write(data)
                assert await reader.readuntil(ONE)
            await until(lambda: not gate.server.lasting._items)
        async with client(gate) as (reader, writer):
            writer.write(data)
            assert await reader.readuntil(ONE)
            assert gate.server.recall.hits
            [item] = gate.server.lasting._items
            assert item.case.ruling is not None
            install(gate, with_forbid(current(gate), "order:create"))
            await until(lambda: item.judged_by is gate.server.snapshot)
            assert gate.server.lasting._items
            install(gate, with_forbid(current(gate)))
            async with asyncio.timeout(PATIENCE_S):
                with contextlib.suppress(ConnectionError):
                    await reader.read()
        assert item.cut is not None
        assert item.cut.again is not None
        assert item.cut.again.error is not None
        assert item.cut.again.error.code.word == "forbidden"
        last = gate.events[-1]
        assert (last.event_type, last.resource) == ("authz.stream.closed", Resource(type="Order", id="*"))


async def long_answer(gate: Plane, data: bytes) -> tuple[bytes, list[AuditEvent]]:
    """An answer that is begun and does not end, from its second byte on, until something ends it."""

    async def script(visit: Visit) -> None:
        head = await visit.head()
        length = int(head.lower().partition(b"content-length: ")[2].split(b"\r", 1)[0] or b"0")
        await visit.reader.readexactly(length)
        await visit.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nx")
        await silent(visit)

    gate.service.script = script
    async with client(gate) as (reader, writer):
        writer.write(data)
        await reader.readuntil(b"\r\n\r\nx")
        await until(lambda: gate.server.lasting._count[Kind.RESPONSE])
        install(gate, with_forbid(current(gate), "payment:refund"))
        rest = b""
        async with asyncio.timeout(PATIENCE_S):
            with contextlib.suppress(ConnectionError):
                rest = await reader.read()
    return rest, list(gate.events)


async def test_a_long_answer_is_cut_also_where_the_body_decided(tmp_path: Path) -> None:
    """It is judged again with the body that it was judged by; the record of its end says by what it was cut."""
    async with tunnels(tmp_path, limits=Limits(lasting_s=0.05)) as gate:
        body = b'{"amount": 100}'
        data = request(
            "POST",
            "/payments/p-1/refund",
            headers="Content-Type: application/json",
            body=body,
            auth=token("Manager"),
        )
        _, events = await long_answer(gate, data)
        decided, completed = events
        assert (decided.phase, completed.phase) == (Phase.DECIDED, Phase.COMPLETED)
        assert completed.details == {"reason": "policy", "cut": "refused", "code": "forbidden"}
        assert completed.outcome is Outcome.FAILURE


async def test_a_long_answer_is_cut_when_its_token_expires(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As anything that lasts."""
    async with tunnels(tmp_path, limits=Limits(lasting_s=0.05)) as gate:

        async def script(visit: Visit) -> None:
            await visit.head()
            await visit.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nx")
            await silent(visit)

        gate.service.script = script
        async with client(gate) as (reader, writer):
            writer.write(request())
            await reader.readuntil(b"\r\n\r\nx")
            later(monkeypatch, TOKEN_S + 31)
            async with asyncio.timeout(PATIENCE_S):
                with contextlib.suppress(ConnectionError):
                    assert await reader.read() == b""
        event = await gate.record()
        assert event.details == {"cut": "token_expired"}


async def test_an_answer_that_is_soon_over_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever becomes of its token meanwhile: it was allowed when it began."""
    async with tunnels(tmp_path) as gate:

        async def script(visit: Visit) -> None:
            await visit.head()
            await visit.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nx")
            later(monkeypatch, TOKEN_S + 31)
            install(gate, with_forbid(current(gate)))
            for _ in range(5):
                gate.server.tick()
                await asyncio.sleep(0.02)
            await visit.answer(b"y")

        gate.service.script = script
        answer = await gate.raw(request())
        assert status_of(answer) == 200
        assert answer.endswith(b"xy")


class Witness:
    """Owns what lasts, and writes down when it is cut."""

    def __init__(self) -> None:
        self.cuts: list[Cut] = []

    def cut_off(self, cut: Cut) -> None:
        """Be cut."""
        self.cuts.append(cut)


async def test_judging_again_lets_the_loop_have_its_turns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However much lasts, a slice of it is judged at a time; and all of it is, in the end."""
    monkeypatch.setattr(lasting, "_SLICE_S", 0.0)
    monkeypatch.setattr(lasting, "_PAUSE_S", 0.0)
    async with tunnels(tmp_path) as gate:
        gate.service.script = switching(silent)
        async with opened(gate):
            [real] = gate.server.lasting._items
            witness = Witness()
            watch = gate.server.lasting
            items = [watch.add(Kind.RESPONSE, witness, real.case, real.judged_by) for _ in range(50)]
            install(gate, with_forbid(current(gate)))
            gate.server.tick()
            turns = 0
            seen = [0]
            while len(witness.cuts) < 50:
                await asyncio.sleep(0)
                turns += 1
                seen.append(len(witness.cuts))
            assert max(after - before for before, after in itertools.pairwise(seen)) == 1
            assert turns >= 50
            for item in items:
                watch.discard(item, "refused")


async def test_one_that_cannot_be_ended_does_not_keep_the_others(tmp_path: Path) -> None:
    """It is told as a fault; the rest is judged."""
    async with tunnels(tmp_path) as gate:
        gate.service.script = switching(silent)

        class Broken:
            """Cannot be cut."""

            def cut_off(self, cut: Cut) -> None:
                """Fail."""
                raise RuntimeError(cut.why)

        async with opened(gate):
            watch = gate.server.lasting
            [real] = watch._items
            witness = Witness()
            items = [watch.add(Kind.RESPONSE, owner, real.case, real.judged_by) for owner in (Broken(), witness)]
            install(gate, with_forbid(current(gate)))
            await until(lambda: witness.cuts)
            assert [type(fault) for fault in gate.faults] == [RuntimeError]
            for item in items:
                watch.discard(item, "refused")


async def test_what_cannot_be_judged_again_does_not_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An exception nobody foresaw is a refusal, and is told."""
    async with tunnels(tmp_path) as gate:
        gate.service.script = switching(silent)

        def broken(*_: object) -> None:
            raise RuntimeError("boom")

        async with opened(gate) as (reader, _):
            monkeypatch.setattr(lasting, "judge", broken)
            install(gate, current(gate))
            async with asyncio.timeout(PATIENCE_S):
                assert await reader.read() == said((1008).to_bytes(2, "big"), first=0x88)
        event = await closing(gate)
        assert event.decision is not None
        assert event.decision.code == "internal"
        assert [type(fault) for fault in gate.faults] == [RuntimeError]


async def test_what_a_snapshot_does_not_hold_can_ask_for_everything_to_be_judged_again(tmp_path: Path) -> None:
    """The place where a revocation comes in."""
    async with tunnels(tmp_path) as gate:
        gate.service.script = switching(silent)
        async with opened(gate) as (reader, _):
            [item] = gate.server.lasting._items
            gate.server.lasting.judge_again()
            assert item.judged_by is None
            await until(lambda: item.judged_by is gate.server.snapshot)
            assert gate.server.lasting.tunnels == 1
            assert not reader.at_eof()
