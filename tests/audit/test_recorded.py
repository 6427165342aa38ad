"""The decorator: each call of a handler is an event, however it ends."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any

import flask
import httpx
import pytest
from fastapi import FastAPI, HTTPException, Query, Response

from audit.codec import decode
from audit.emit import Emitter
from audit.errors import SpoolUnavailable
from audit.event import AuditEvent, Change, Outcome, Resource, Severity
from audit.producer import AuditProducer
from audit.spool.segment import contents, segments
from tests.builders.callers import Caller


@pytest.fixture
def audit(emitter: Emitter) -> AuditProducer:
    """A service's producer, while a request is served."""
    return AuditProducer(emitter, service="order", calls=Caller)


def told(tmp_path: Path, emitter: Emitter) -> list[AuditEvent]:
    """What was emitted, once the emitter is closed."""
    emitter.close()
    folder = tmp_path / "spool" / "test"
    return [decode(payload) for name in segments(folder) for payload in contents(folder / name.text()).records]


async def test_each_call_is_recorded_with_what_its_arguments_say(
    audit: AuditProducer, emitter: Emitter, tmp_path: Path
) -> None:
    """Of a coroutine and of a plain function; what the handler says of its event besides, it says of `current`."""

    @audit.recorded("order.order.shipped", action="order:ship", resource_type="Order", resource_id="order_id")
    async def ship(order_id: str, express: bool = False) -> str:
        audit.current.changes = (Change("/status", "replace", "paid", "shipped"),)
        audit.current.details = {"express": express}
        return order_id

    @audit.recorded("order.order.counted", action="order:list", caller="who", severity=Severity.NOTICE)
    def count(who: Caller) -> int:
        return 7

    assert await ship("o-1", express=True) == "o-1"
    assert count(who=Caller(sub="u-2")) == 7
    with pytest.raises(LookupError):
        _ = audit.current
    shipped, counted = told(tmp_path, emitter)
    assert (shipped.resource, shipped.details) == (Resource("Order", "o-1"), {"express": True, "decision_id": "d-1"})
    assert (shipped.changes[0].new, shipped.latency_us is not None) == ("shipped", True)
    assert (counted.actor and counted.actor.id, counted.severity, counted.crud) == ("u-2", Severity.NOTICE, "r")


async def test_a_failure_is_recorded_and_goes_on(audit: AuditProducer, emitter: Emitter, tmp_path: Path) -> None:
    """Raised, or cancelled; of both kinds of handlers."""

    @audit.recorded("a.b.c", action="order:create")
    async def create() -> None:
        raise HTTPException(404, detail="card 4111")

    @audit.recorded("a.b.c", action="order:create")
    def broken() -> None:
        raise ValueError("card 4111")

    @audit.recorded("a.b.c", action="order:create")
    async def slow() -> None:
        await asyncio.sleep(60)

    with pytest.raises(HTTPException):
        await create()
    with pytest.raises(ValueError, match="card"):
        broken()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await slow()
    events = told(tmp_path, emitter)
    assert {event.outcome for event in events} == {Outcome.FAILURE}
    assert [event.details for event in events] == [
        {"decision_id": "d-1", "error": "HTTPException", "status": 404},
        {"decision_id": "d-1", "error": "ValueError"},
        {"decision_id": "d-1", "error": "CancelledError"},
    ]
    assert [event.severity for event in events] == [Severity.NOTICE, Severity.ERROR, Severity.ERROR]


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (Response(status_code=404), 404),
        (flask.Response(status=409), 409),
        (("no", 400), 400),
        (("no", 503, {}), 503),
        ((flask.Response(status=403), {}), 403),
        (SimpleNamespace(status=500), 500),  # aiohttp's
        (Response(status_code=201), None),
        (("yes", 201), None),
        ({"status": 500}, None),
        (SimpleNamespace(status="cancelled"), None),
        (SimpleNamespace(status_code=True), None),
        ((1, 404, 3, 4), None),
        (404, None),
        (None, None),
    ],
)
def test_a_refusal_that_is_returned_is_a_failure(
    audit: AuditProducer, emitter: Emitter, tmp_path: Path, answer: Any, status: int | None
) -> None:
    """A handler need not raise to refuse."""

    @audit.recorded("a.b.c", action="order:create")
    def handler() -> Any:
        return answer

    assert handler() is answer
    [event] = told(tmp_path, emitter)
    if status is None:
        assert (event.outcome, event.details) == (Outcome.SUCCESS, {"decision_id": "d-1"})
    else:
        assert (event.outcome, event.details) == (Outcome.FAILURE, {"decision_id": "d-1", "status": status})
        assert event.severity is (Severity.NOTICE if status < 500 else Severity.ERROR)


async def test_a_durable_one_does_not_answer_before_its_record_is_safe(
    audit: AuditProducer, emitter: Emitter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of both kinds; and says so where it is not."""

    @audit.recorded("a.b.c", action="order:create", durable=True)
    async def create() -> int:
        return 1

    @audit.recorded("a.b.c", action="order:create", durable=True)
    def plain() -> int:
        return 1

    folder = tmp_path / "spool" / "test"
    for call in (create, lambda: asyncio.to_thread(plain)):
        await call()
    assert sum(len(list(contents(folder / name.text()).records)) for name in segments(folder)) == 2

    def full(*_: object) -> None:
        raise SpoolUnavailable("queue")

    monkeypatch.setattr(emitter, "emit_durable", full)
    monkeypatch.setattr(emitter, "emit_and_wait", full)
    for call in (create, lambda: asyncio.to_thread(plain)):
        with pytest.raises(SpoolUnavailable):
            await call()


def test_what_cannot_be_recorded_is_refused_when_it_is_decorated(audit: AuditProducer) -> None:
    """A generator has answered before it ends; a parameter must be there; an id has a type."""

    def lines() -> Iterator[str]:
        yield "x"

    async def parts() -> AsyncIterator[str]:
        yield "x"

    def handler(order_id: str) -> None: ...

    for given in (lines, parts):
        with pytest.raises(TypeError, match="generator"):
            audit.recorded("a.b.c", action="order:list")(given)
    with pytest.raises(TypeError, match="no parameter `id`"):
        audit.recorded("a.b.c", action="order:list", resource_type="Order", resource_id="id")(handler)
    with pytest.raises(TypeError, match="without a resource_type"):
        audit.recorded("a.b.c", action="order:list", resource_id="order_id")(handler)


def test_a_function_that_only_promises_is_a_failure(audit: AuditProducer, emitter: Emitter, tmp_path: Path) -> None:
    """What it returns has not been done."""

    async def later() -> None: ...

    @audit.recorded("a.b.c", action="order:list")
    def handler() -> Any:
        return later()

    with pytest.raises(TypeError, match="awaitable"):
        handler()
    [event] = told(tmp_path, emitter)
    assert event.outcome is Outcome.FAILURE


async def test_fastapi_sees_the_handler_through_it(audit: AuditProducer, emitter: Emitter, tmp_path: Path) -> None:
    """Its parameters, its kind; in the loop and in the pool of threads, each call with a record of its own."""
    app = FastAPI()

    @app.post("/orders/{order_id}")
    @audit.recorded("order.order.paid", action="order:update", resource_type="Order", resource_id="order_id")
    async def pay(order_id: str, cents: Annotated[int, Query(gt=0)]) -> dict[str, int]:
        await asyncio.sleep(0)
        audit.current.details = {"cents": cents}
        return {"cents": cents}

    @app.delete("/orders/{order_id}")
    @audit.recorded("order.order.deleted", action="order:delete", resource_type="Order", resource_id="order_id")
    def delete(order_id: str) -> Response:
        return Response(status_code=409)

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://order") as client:
        answers = await asyncio.gather(
            *(client.post(f"/orders/o-{n}", params={"cents": n}) for n in range(1, 6)), client.delete("/orders/o-9")
        )
        assert (await client.post("/orders/o-1", params={"cents": 0})).status_code == 422
    assert [answer.status_code for answer in answers] == [200] * 5 + [409]
    events = told(tmp_path, emitter)
    paid = {
        event.resource.id: (event.details or {})["cents"]
        for event in events
        if event.resource and event.details and "cents" in event.details
    }
    assert paid == {f"o-{n}": n for n in range(1, 6)}
    assert [event.outcome for event in events if event.crud == "d"] == [Outcome.FAILURE]


@pytest.mark.parametrize(
    "said",
    [{"resource_id": "o-1"}, {"details": "o-1"}],
    ids=["an id without a type", "details that are none"],
)
@pytest.mark.parametrize("fails", [False, True])
def test_what_a_handler_says_wrongly_costs_what_it_says_and_no_record(
    audit: AuditProducer, emitter: Emitter, tmp_path: Path, said: dict[str, Any], fails: bool
) -> None:
    """What it did may be done; and its own failure is not hidden."""

    @audit.recorded("order.order.created", action="order:create")
    def create() -> None:
        for name, value in said.items():
            setattr(audit.current, name, value)
        if fails:
            raise PermissionError

    with pytest.raises(PermissionError if fails else TypeError):
        create()
    [event] = told(tmp_path, emitter)
    assert event.outcome is Outcome.FAILURE
    assert (event.details or {})["error"] == ("PermissionError" if fails else "TypeError")
