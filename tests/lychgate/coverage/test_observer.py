"""Seeing what runs and what it emits."""

import asyncio
import json
import multiprocessing
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from audit.emit import Emitter
from audit.errors import SpoolUnavailable
from audit.event import Actor
from audit.producer import AuditProducer
from lychgate.coverage.observed import runs_of
from lychgate.coverage.observer import Observer

WHO = {"tenant_id": "acme", "actor": Actor(type="user", id="u"), "action": "thing:create"}


def _runs(observer: Observer) -> list[dict[str, object]]:
    return [json.loads(line) for line in observer.lines]


async def test_a_run_is_written_with_its_events(tmp_path: Path) -> None:
    """Of handlers that wait and that do not; what others emit meanwhile is theirs."""
    observer = Observer(tmp_path / "runs.jsonl")
    emitter = Emitter(tmp_path / "spool", "svc-x")
    audit = AuditProducer(observer.tapped(emitter), service="x")

    async def slow(name: str) -> SimpleNamespace:
        await asyncio.sleep(0.01)
        await audit.emit_durable(name, **WHO)
        return SimpleNamespace(status_code=409 if name == "a.b.bad" else 200)

    def quick() -> None:
        audit.emit("a.b.quick", durable=True, **WHO)
        raise LookupError

    watched = observer.watched(slow)
    await asyncio.gather(watched("a.b.one"), watched("a.b.bad"))
    with pytest.raises(LookupError):
        await asyncio.to_thread(observer.watched(quick))
    audit.emit("a.b.outside", **WHO)
    await emitter.aclose()
    runs = {run["events"][0][0]: run for run in _runs(observer)}
    assert {name: (run["failed"], run["events"][0][1]) for name, run in runs.items()} == {
        "a.b.one": (False, "c"),
        "a.b.bad": (True, "c"),
        "a.b.quick": (True, "c"),
    }
    assert (tmp_path / "runs.jsonl").read_text().splitlines() == observer.lines


async def test_an_emitter_that_fails_is_no_silence() -> None:
    """A handler that could not be recorded and so did nothing is not held to be silent."""
    observer = Observer()

    class Full:
        def stamp(self) -> object:
            return SimpleNamespace(event_id="x", producer=None)

        async def emit_durable(self, _event: object) -> None:
            raise SpoolUnavailable("full")

        def emit_and_wait(self, _event: object) -> None:
            raise SpoolUnavailable("full")

    audit = AuditProducer(observer.tapped(Full()), service="x")

    async def one() -> None:
        await audit.emit_durable("a.b.c", **WHO)

    def two() -> None:
        audit.emit("a.b.c", durable=True, **WHO)

    with pytest.raises(SpoolUnavailable):
        await observer.watched(one)()
    with pytest.raises(SpoolUnavailable):
        observer.watched(two)()
    assert [(run["failed"], run["refused"], run["events"]) for run in _runs(observer)] == [(True, True, [])] * 2


async def test_starlette_is_watched_too() -> None:
    """An application without FastAPI's analysis."""
    observer = Observer()

    async def make(_request: object) -> JSONResponse:
        return JSONResponse({}, status_code=422)

    app = Starlette(routes=[Route("/x", make, methods=["POST"])])
    observer.watch(app)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
        assert (await client.post("/x")).status_code == 422
    (run,) = _runs(observer)
    assert run["failed"]
    assert str(run["handler"]).endswith("test_starlette_is_watched_too.make")


def _write(file: Path, count: int) -> None:
    observer = Observer(file)
    for _ in range(count):
        observer.watched(len)("abc")


def test_processes_share_a_file(tmp_path: Path) -> None:
    """Lines of two processes do not mix."""
    file = tmp_path / "runs.jsonl"
    context = multiprocessing.get_context("spawn")
    both = [context.Process(target=_write, args=(file, 200)) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join()
    lines = file.read_text().splitlines()
    assert len(lines) == 400
    assert len(list(runs_of(lines, "file"))) == 400


def test_an_application_without_endpoints_is_refused() -> None:
    """Watching nothing would find nothing wrong."""
    with pytest.raises(LookupError):
        Observer().watch(Starlette())
