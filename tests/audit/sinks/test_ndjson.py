"""Tests of `audit.sinks.ndjson`."""

import asyncio
import hashlib
import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from audit.errors import SinkUnavailable
from audit.metrics import RelayMetrics
from audit.sinks.files import LineFiles, LinesRules
from audit.sinks.ndjson import NdjsonSink
from tests.builders.sinks import outward, records


def lines(folder: Path) -> list[dict[str, Any]]:
    """Every line of every file."""
    return [json.loads(line) for path in sorted(folder.glob("audit-*")) for line in path.read_bytes().splitlines()]


async def test_events_become_masked_lines(tmp_path: Path) -> None:
    """In order; what is no event is told by its digest, because nobody knows what stands in it."""
    metrics = RelayMetrics(CollectorRegistry())
    sink = NdjsonSink(tmp_path / "out", outward(), metrics=metrics)
    given = records(3, details={"email": "a@b.c"})
    await sink.ping()
    await sink.deliver([*given, b"4111 1111 1111 1111"])
    await sink.report([])
    await sink.close()
    found = lines(tmp_path / "out")
    assert [line["producer"]["seq"] for line in found[:3]] == [1, 2, 3]
    assert {line["details"]["email"] for line in found[:3]} == {"***"}
    digest = hashlib.sha256(b"4111 1111 1111 1111").hexdigest()
    assert found[3] == {"unreadable": True, "size_bytes": 19, "sha256": digest}
    assert metrics.sink_refused.labels("ndjson", "unreadable")._value.get() == 1


async def test_what_is_offered_again_after_a_crash_is_not_written_twice(tmp_path: Path) -> None:
    """A new sink over the same files knows what stands in them, the half line of the crash not among it."""
    given = records(30)
    first = NdjsonSink(tmp_path / "out", outward(), LinesRules(rotate_bytes=4096))
    for at in range(0, 30, 10):
        await first.deliver(given[at : at + 10])
    await first.close()
    newest = max((tmp_path / "out").glob("audit-*"))
    os.truncate(newest, newest.stat().st_size - 5)
    second = NdjsonSink(tmp_path / "out", outward())
    await second.deliver(given[5:])
    more = records(2)
    await second.deliver([*given[:5], *more, *more])
    await second.close()
    found = [line["event_id"] for line in lines(tmp_path / "out")]
    assert found == [json.loads(each)["event_id"] for each in [*given, *more, *more]]


async def test_a_folder_that_cannot_be_used_is_a_sink_that_is_down(tmp_path: Path) -> None:
    """A file in its way; when it is gone the sink is there."""
    (tmp_path / "out").write_text("in the way")
    sink = NdjsonSink(tmp_path / "out", outward())
    for call in (sink.ping(), sink.deliver(records(1))):
        with pytest.raises(SinkUnavailable, match="ndjson: "):
            await call
    (tmp_path / "out").unlink()
    await sink.deliver(records(1))
    other = NdjsonSink(tmp_path / "out", outward())
    with pytest.raises(SinkUnavailable, match="another process"):
        await other.ping()
    await sink.close()
    await other.ping()
    await other.close()


async def test_a_file_that_was_taken_away_is_counted(tmp_path: Path) -> None:
    """And the next lines stand in one that is there."""
    metrics = RelayMetrics(CollectorRegistry())
    sink = NdjsonSink(tmp_path / "out", outward(), metrics=metrics)
    await sink.deliver(records(1))
    for path in (tmp_path / "out").glob("audit-*"):
        path.unlink()
    await sink.deliver(records(1))
    await sink.close()
    assert len(lines(tmp_path / "out")) == 1
    assert metrics.sink_files_gone.labels("ndjson")._value.get() == 1


async def test_a_disk_that_hangs_holds_one_write_and_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a write that was given up is still at it, the sink is down, and its file stays open."""
    begun, free = threading.Event(), threading.Event()
    append = LineFiles.append

    def hanging(self: LineFiles, lines: list[bytes]) -> None:
        begun.set()
        free.wait()
        append(self, lines)

    sink = NdjsonSink(tmp_path / "out", outward())
    monkeypatch.setattr(LineFiles, "append", hanging)
    writing = asyncio.ensure_future(sink.deliver(records(1)))
    await asyncio.to_thread(begun.wait, 5)
    with pytest.raises(SinkUnavailable, match="has not ended"):
        await sink.deliver(records(1))
    await sink.close()
    free.set()
    await writing
    monkeypatch.undo()
    assert len(lines(tmp_path / "out")) == 1
    await sink.close()


async def test_a_write_that_was_given_up_and_ended_is_not_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stop, or a deadline, leaves the thread at it; the relay offers the same lines again."""
    begun, free = threading.Event(), threading.Event()
    append = LineFiles.append

    def hanging(self: LineFiles, lines: list[bytes]) -> None:
        begun.set()
        free.wait()
        append(self, lines)

    sink = NdjsonSink(tmp_path / "out", outward())
    given = records(5)
    await sink.deliver(given[:1])
    monkeypatch.setattr(LineFiles, "append", hanging)
    writing = asyncio.ensure_future(sink.deliver(given[1:3]))
    await asyncio.to_thread(begun.wait, 5)
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    monkeypatch.undo()
    with pytest.raises(SinkUnavailable, match="has not ended"):
        await sink.deliver(given[1:3])
    free.set()
    await asyncio.to_thread(sink._busy.acquire)  # it has ended
    sink._busy.release()
    await sink.deliver(given[1:])
    await sink.close()
    assert [line["event_id"] for line in lines(tmp_path / "out")] == [json.loads(each)["event_id"] for each in given]
