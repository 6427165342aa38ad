"""Tests of `audit.sinks.search`, against a server that checks the protocol and misbehaves when told."""

import asyncio
import contextlib
import gzip
import json
import ssl
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from prometheus_client import CollectorRegistry

from audit.errors import SinkUnavailable
from audit.metrics import RelayMetrics
from audit.sinks.files import LineFiles, LinesRules
from audit.sinks.search import Engine as Place
from audit.sinks.search import SearchSink
from tests.builders.certificates import Authority
from tests.builders.sinks import outward, record, records
from tests.servers.ports import free_port
from tests.servers.search import Engine, basic, search_engine

SECRET = "hunter2-do-not-log"


@pytest.fixture
async def engine() -> AsyncIterator[Engine]:
    """One engine."""
    async with search_engine() as made:
        yield made


@contextlib.asynccontextmanager
async def sink_of(engine: Engine, tmp_path: Path, **fields: Any) -> AsyncIterator[tuple[SearchSink, RelayMetrics]]:
    """A sink into it."""
    metrics = RelayMetrics(CollectorRegistry())
    refused = LineFiles(tmp_path / "refused", "refused", LinesRules())
    sink = SearchSink(Place(engine.url, **fields), outward(), refused, metrics)
    try:
        yield sink, metrics
    finally:
        await sink.close()
        await sink.close()


@pytest.fixture(autouse=True)
def logs() -> Iterator[list[Any]]:
    """No secret stands in any line of the log."""
    with structlog.testing.capture_logs() as captured:
        yield captured
    assert SECRET not in str(captured)


def refusals(tmp_path: Path) -> list[dict[str, Any]]:
    """What is in the files of refusals."""
    return [
        json.loads(line) for path in (tmp_path / "refused").glob("refused-*") for line in path.read_text().splitlines()
    ]


async def test_events_become_documents_once(engine: Engine, tmp_path: Path) -> None:
    """Under their own ids, masked, in the month's index, gzipped, with the template put before; twice is once."""
    async with sink_of(engine, tmp_path) as (sink, _):
        given = records(5, details={"email": "a@b.c"})
        await sink.ping()
        await sink.deliver([*given, b"poison"])
        await sink.deliver(given)
        await sink.report([])
    assert engine.faults == []
    assert len(engine.documents) == 5
    for key, (index, document) in engine.documents.items():
        assert key == f"{document['event_id']}-single"
        assert index.startswith("audit-events-20")
        assert document["details"]["email"] == "***"
    assert engine.templates["audit-events"]["index_patterns"] == ["audit-events-*"]
    assert engine.bulks[0].headers["content-encoding"] == "gzip"
    assert engine.bulks[0].body[:2] == b"\x1f\x8b"


async def test_it_logs_in_by_password_or_key_and_reads_them_again(engine: Engine, tmp_path: Path) -> None:
    """A password that was changed in the file is taken at the next try; no error quotes it."""
    file = tmp_path / "password"
    file.write_text(f"{SECRET}-old")
    engine.login = basic("audit", SECRET)
    async with sink_of(engine, tmp_path, authorization=lambda: ("audit", file.read_text())) as (sink, _):
        with pytest.raises(SinkUnavailable, match=r"credentials are refused \(401\)") as raised:
            await sink.deliver(records(1))
        assert SECRET not in f"{raised.value!r}{raised.value.__cause__!r}"
        file.write_text(SECRET)
        await sink.deliver(records(1))
        engine.login = f"ApiKey {SECRET}"  # changed under it
        with pytest.raises(SinkUnavailable, match="401"):
            await sink.deliver(records(1))
        file.unlink()
        with pytest.raises(SinkUnavailable, match="cannot be read"):
            await sink.deliver(records(1))
    async with sink_of(engine, tmp_path, authorization=lambda: ("", SECRET)) as (sink, _):
        await sink.deliver(records(1))
        assert SECRET not in repr(sink)
    assert len(engine.documents) == 2


async def test_what_is_too_many_is_sent_again_and_only_that(engine: Engine, tmp_path: Path) -> None:
    """An item answered 429 comes again alone; where it does not end, the relay is told."""
    given = records(4)
    slow = [json.loads(given[1])["event_id"] + "-single"]
    engine.verdict = lambda key, _: 429 if key in slow else 201
    async with sink_of(engine, tmp_path, compress=False) as (sink, metrics):
        with pytest.raises(SinkUnavailable, match="1 documents not taken now"):
            await sink.deliver(given)
        assert [request.body.count(b'"create"') for request in engine.bulks] == [4, 1, 1]
        slow.clear()
        await sink.deliver(given)
    assert len(engine.documents) == 4
    assert metrics.sink_refused.labels("search", "mapping")._value.get() == 0


async def test_a_document_it_can_never_hold_is_named_and_the_others_go(
    engine: Engine, tmp_path: Path, logs: list[Any]
) -> None:
    """By its id and the kind of error, in a file and a count; its content stands in neither."""
    engine.verdict = lambda _, document: 400 if document["producer"]["seq"] == 2 else 201
    async with sink_of(engine, tmp_path) as (sink, metrics):
        await sink.deliver(records(3, details={"note": SECRET}))
    assert len(engine.documents) == 2
    [line] = refusals(tmp_path)
    assert (line["status"], line["type"]) == (400, "mapper_parsing_exception")
    assert set(line) == {"at", "id", "status", "type"}
    assert metrics.sink_refused.labels("search", "mapping")._value.get() == 1
    assert [entry["event"] for entry in logs] == ["audit_documents_refused"]


async def test_refusals_that_a_hanging_disk_holds_are_written_by_one_at_a_time(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A delivery that was given up leaves its thread at it: the next waits, and the file stays open under it."""
    begun, free = threading.Event(), threading.Event()
    append = LineFiles.append

    def hanging(self: LineFiles, lines: list[bytes]) -> None:
        begun.set()
        free.wait()
        append(self, lines)

    engine.verdict = lambda _, document: 400 if document["producer"]["seq"] == 2 else 201
    given = records(3)
    async with sink_of(engine, tmp_path) as (sink, _):
        monkeypatch.setattr(LineFiles, "append", hanging)
        delivering = asyncio.ensure_future(sink.deliver(given))
        await asyncio.to_thread(begun.wait, 5)
        delivering.cancel()
        with pytest.raises(asyncio.CancelledError):
            await delivering
        monkeypatch.undo()
        with pytest.raises(SinkUnavailable, match="still being written"):
            await sink.deliver(given)
        await sink.close()
        free.set()
        await asyncio.to_thread(sink._busy.acquire)
        sink._busy.release()
    assert len(refusals(tmp_path)) == 1


async def test_an_engine_that_refuses_everything_is_down(engine: Engine, tmp_path: Path) -> None:
    """It is not made for us: nothing is set apart."""
    engine.verdict = lambda *_: 400
    async with sink_of(engine, tmp_path) as (sink, _):
        with pytest.raises(SinkUnavailable, match=r"every document is refused \(mapper_parsing_exception\)"):
            await sink.deliver(records(60))
    assert not (tmp_path / "refused").exists()


async def test_an_index_that_is_refused_is_no_fault_of_the_documents(engine: Engine, tmp_path: Path) -> None:
    """403 on an item: down, with the reason; nothing is set apart."""
    engine.kind = "security_exception"
    engine.verdict = lambda *_: 403
    async with sink_of(engine, tmp_path) as (sink, _):
        with pytest.raises(SinkUnavailable, match="an index is refused"):
            await sink.deliver(records(2))
    assert not (tmp_path / "refused").exists()


async def test_a_request_that_is_too_large_is_halved(engine: Engine, tmp_path: Path) -> None:
    """Down to one document, which is then named; our own bound cuts before that."""
    engine.max_bytes = 3_000
    async with sink_of(engine, tmp_path) as (sink, metrics):
        await sink.deliver([*records(20), record(21, details={"note": "x" * 5_000})])
        assert len(engine.documents) == 20
        assert [line["type"] for line in refusals(tmp_path)] == ["too_large"]
        assert metrics.sink_refused.labels("search", "too_large")._value.get() == 1
    engine.asked.clear()
    async with sink_of(engine, tmp_path, max_body_bytes=2_500) as (sink, _):
        await sink.deliver(records(20))
        assert len(engine.documents) == 40
        assert max(len(gzip.decompress(request.body)) for request in engine.bulks) <= 2_500


@pytest.mark.parametrize(
    ("misbehave", "says"),
    [
        ("hang", "TimeoutError"),
        ("cut", "RemoteProtocolError"),
        ("fewer", "4 documents sent, 3 answered"),
        ("others", "of other documents"),
        ("garbage", "not one to a bulk request"),
        ("endless", "does not end"),
    ],
)
async def test_whatever_it_does_it_is_down_in_time_and_right_afterwards(
    engine: Engine, tmp_path: Path, misbehave: str, says: str
) -> None:
    """Nothing is believed taken; when it is well again everything is there once."""
    engine.misbehave = misbehave
    given = records(4)
    async with sink_of(engine, tmp_path, timeout_s=2.0 if misbehave == "hang" else 10.0) as (sink, _):
        with pytest.raises(SinkUnavailable, match=says):
            await sink.deliver(given)
        engine.misbehave = ""
        await sink.deliver(given)
    assert len(engine.documents) == 4


@pytest.mark.parametrize("status", [429, 500, 503, 400, 404])
async def test_a_whole_request_that_is_refused_is_tried_again(engine: Engine, tmp_path: Path, status: int) -> None:
    """Whatever the reason, no document is given up for it."""
    engine.status = status
    async with sink_of(engine, tmp_path) as (sink, _):
        with pytest.raises(SinkUnavailable, match=f"answered {status}"):
            await sink.deliver(records(2))
        engine.status = 0
        await sink.deliver(records(2))
    assert not (tmp_path / "refused").exists()


async def test_it_is_not_sent_elsewhere(engine: Engine, tmp_path: Path) -> None:
    """A redirect is not followed: login and events go to who is configured and nobody else."""
    async with search_engine() as other, sink_of(engine, tmp_path, authorization=lambda: ("a", SECRET)) as (sink, _):
        engine.misbehave, engine.elsewhere = "redirect", f"{other.url}/_bulk"
        with pytest.raises(SinkUnavailable, match="sends us elsewhere"):
            await sink.deliver(records(1))
        assert other.asked == []


async def test_the_template_that_may_not_be_put_is_said_clearly(engine: Engine, tmp_path: Path) -> None:
    """With what to do about it; without, no template is put and no right is needed."""
    engine.template_status = 403
    async with sink_of(engine, tmp_path) as (sink, _):
        with pytest.raises(SinkUnavailable, match="set `template` to false"):
            await sink.deliver(records(1))
    async with sink_of(engine, tmp_path, template=False) as (sink, _):
        await sink.deliver(records(1))
    assert len(engine.documents) == 1
    assert engine.templates == {}


async def test_only_who_is_signed_for_is_spoken_to(tmp_path: Path) -> None:
    """A certificate of another authority is refused before anything is sent."""
    authority = Authority()
    cert, key = authority.server().write(tmp_path)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(cert, key)
    async with search_engine(tls=tls) as engine:
        trusting = ssl.create_default_context(cadata=authority.pem)
        async with sink_of(engine, tmp_path, verify=trusting) as (sink, _):
            await sink.deliver(records(1))
        assert len(engine.documents) == 1
        engine.asked.clear()
        async with sink_of(engine, tmp_path, verify=ssl.create_default_context()) as (sink, _):
            with pytest.raises(SinkUnavailable, match="ConnectError"):
                await sink.deliver(records(1))
        assert engine.asked == []


async def test_an_engine_that_is_away_is_down(tmp_path: Path) -> None:
    """And back when it is back, on the same port."""
    port = free_port()
    async with search_engine(port) as engine:
        pass
    async with sink_of(engine, tmp_path) as (sink, _):
        with pytest.raises(SinkUnavailable, match="ConnectError"):
            await sink.deliver(records(1))
        async with search_engine(port) as again:
            await sink.deliver(records(1))
            assert len(again.documents) == 1
