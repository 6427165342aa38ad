"""What exchanges tell of themselves: every way they end, on a real data plane."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from gateway.serve.traced import TracedExchange, Tracer
from gateway.spans import WAITING_MAX, Sampling, Traced
from tests.builders.patience import PATIENCE_S
from tests.builders.plane import ROUTES, Plane, plane, request
from tests.builders.tunnels import LIVE, ORIGIN, SWITCHED, asking
from tests.servers.upstream import OK, Visit

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"
EVERY = Sampling(1.0)
COMING = f"traceparent: 00-{TRACE}-{PARENT}-01"


@contextlib.asynccontextmanager
async def traced(
    folder: Path, sampling: Sampling = EVERY, routes: str = ROUTES, **said: Any
) -> AsyncIterator[tuple[Plane, Tracer]]:
    """A data plane whose exchanges tell."""
    async with plane(folder, routes=routes, **said) as gate:
        tracer = Tracer(sampling)
        gate.server.opens = partial(TracedExchange, tracer=tracer)
        yield gate, tracer


async def told(tracer: Tracer, count: int = 1) -> tuple[Traced, ...]:
    """Wait until so much was told."""
    found: list[Traced] = []
    async with asyncio.timeout(PATIENCE_S):
        while len(found) < count:
            found += tracer.take()[0]
            await asyncio.sleep(0.01)
    return tuple(found)


async def test_it_joins_the_callers_trace(tmp_path: Path) -> None:
    """Judged anew, then remembered: the caller's span is the parent, and the service is told of ours."""
    async with traced(tmp_path) as (gate, tracer):
        seen = []
        data = request(target="/orders/o-1?x=1", headers=COMING)
        for _ in range(2):
            await gate.raw(data)
            [one] = await told(tracer)
            [attempt] = one.attempts
            assert gate.service.fields()["traceparent"] == f"00-{TRACE}-{attempt.span_id}-01"
            assert (one.trace_id, one.parent_id) == (TRACE, PARENT)
            assert len({one.span_id, attempt.span_id, PARENT}) == 3
            assert (one.method, one.route, one.service, one.status) == ("GET", "/orders/{order_id}", "order", 200)
            assert (one.effect, one.error, attempt.status, attempt.error) == ("allow", "", 200, "")
            assert attempt.address == f"127.0.0.1:{gate.service.port}"
            assert one.began <= attempt.began <= attempt.ended <= one.ended
            seen.append(one.remembered)
        assert seen == [False, True]


@pytest.mark.parametrize("field", ["", "traceparent: nonsense", f"{COMING}\r\n{COMING}"])
async def test_without_a_callers_span_it_is_a_root(tmp_path: Path, field: str) -> None:
    """A malformed field, or two, are as good as none."""
    async with traced(tmp_path) as (gate, tracer):
        await gate.raw(request(headers=field))
        [one] = await told(tracer)
        assert one.parent_id == ""
        assert one.trace_id != TRACE
        assert gate.service.fields()["traceparent"].startswith(f"00-{one.trace_id}-")


@pytest.mark.parametrize(
    ("sampling", "trace_id", "flags", "sampled"),
    [
        (Sampling(0.5), "f" * 16 + "7" + "f" * 15, "00", True),
        (Sampling(0.5), "1" * 16 + "8" + "0" * 15, "01", False),
        (Sampling(0.0), "1" * 31 + "0", "01", False),
        (Sampling(1.0), "f" * 32, "00", True),
        (Sampling(0.0, follow_caller=True), TRACE, "01", True),
        (Sampling(1.0, follow_caller=True), TRACE, "00", False),
    ],
)
async def test_the_traces_id_decides(
    tmp_path: Path, sampling: Sampling, trace_id: str, flags: str, sampled: bool
) -> None:
    """As OpenTelemetry's ratio sampler does it; the caller's word counts where it is asked for. The service knows."""
    async with traced(tmp_path, sampling) as (gate, tracer):
        field = f"traceparent: 00-{trace_id}-{PARENT}-{flags}"
        for _ in range(2):
            await gate.raw(request(headers=field))
            assert gate.service.fields()["traceparent"][-3:] == ("-01" if sampled else "-00")
        assert len(tracer.take()[0]) == (2 if sampled else 0)


async def test_refusals_tell_their_code(tmp_path: Path) -> None:
    """Of strangers, of what has no route, of what cannot be read; nothing was sent to anybody."""
    async with traced(tmp_path) as (gate, tracer):
        for data, code, status, route in (
            (request(auth=None), "unauthenticated", 401, "/orders"),
            (request(target="/nowhere"), "route_unknown", 404, ""),
            (request("PATCH"), "method_not_allowed", 405, ""),
            (request("BREW"), "bad_request", 400, ""),
            (b"GET\r\n\r\n", "bad_request", 400, ""),
        ):
            await gate.raw(data)
            [one] = await told(tracer)
            assert (one.error, one.status, one.attempts) == (code, status, ())
            assert one.method in {"GET", "PATCH", "_OTHER"}
            assert one.route in {route, ""}


async def test_each_attempt_is_told_of(tmp_path: Path) -> None:
    """A service that closes without a word is asked again; what it says then is the second's."""
    async with traced(tmp_path) as (gate, tracer):
        visits = 0

        async def script(visit: Visit) -> None:
            nonlocal visits
            visits += 1
            gate.service.heads.append(await visit.head())
            if visits > 1:
                await visit.answer(OK)

        gate.service.script = script
        await gate.raw(request())
        [one] = await told(tracer)
        assert [(each.status, each.error) for each in one.attempts] == [(0, "closed"), (200, "")]
        sent = [head.partition(b"traceparent: ")[2][36:52].decode() for head in gate.service.heads[:2]]
        assert sent == [each.span_id for each in one.attempts]
        assert len(set(sent)) == 2


async def test_a_service_that_fails_and_a_client_that_leaves(tmp_path: Path) -> None:
    """Each ends the attempt with a word."""
    async with traced(tmp_path) as (gate, tracer):
        waiting = asyncio.Event()

        async def broken(visit: Visit) -> None:
            await visit.head()
            await visit.answer(b"nonsense\r\n\r\n")

        async def silent(visit: Visit) -> None:
            await visit.head()
            waiting.set()
            await visit.head()

        gate.service.script = broken
        await gate.raw(request("POST", body=b"{}"))
        [one] = await told(tracer)
        assert (one.status, one.error) == (502, "upstream_invalid")
        assert [each.error for each in one.attempts] == ["invalid"]
        gate.service.script = silent
        async with gate.client() as (_, writer):
            writer.write(request())
            await waiting.wait()
        [one] = await told(tracer)
        assert one.error
        assert one.attempts[0].error == one.error


async def test_a_tunnel_is_told_of_when_it_opens(tmp_path: Path) -> None:
    """Its opening is the request."""
    async with traced(tmp_path, routes=ROUTES + LIVE, websocket_origins=(ORIGIN,)) as (gate, tracer):

        async def script(visit: Visit) -> None:
            gate.service.heads.append(await visit.head())
            await visit.answer(SWITCHED)

        gate.service.script = script
        async with gate.client() as (reader, writer):
            writer.write(asking())
            assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
        [one] = await told(tracer)
        assert (one.status, one.route, one.attempts[0].status) == (101, "/live", 101)


def test_what_waits_is_bounded() -> None:
    """And what is not kept is counted, once."""
    tracer = Tracer(Sampling(1.0))
    one = Traced("1" * 32, "1" * 16, "", 0, 0, "GET", "http", "1.1", "", "", 0, "", "", "", False, 0, 0, ())
    for _ in range(WAITING_MAX + 3):
        tracer.add(one)
    taken, dropped = tracer.take()
    assert (len(taken), dropped) == (WAITING_MAX, 3)
    assert tracer.take() == ((), 0)
