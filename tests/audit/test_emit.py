"""Tests of `audit.emit`: what an emitter promises, and what is left when it is killed."""

import asyncio
import errno
import os
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from audit.codec import decode
from audit.emit import Emitter
from audit.errors import SpoolBusy, SpoolUnavailable
from audit.event import Actor, AuditEvent, Producer, Resource
from audit.fold import FoldKey
from audit.limits import SpoolLimits
from audit.metrics import EmitMetrics
from audit.ranges import RangeSet
from audit.redact import Mode, WriteRedactor
from audit.spool.epoch import OPENINGS
from audit.spool.folder import peek
from audit.spool.segment import LOSS, contents, segments
from tests.audit.test_relay import ListSink, Relay, stamped, until
from tests.builders.audit import make_event
from tests.builders.patience import PATIENCE_S
from tests.builders.spool import check

ROOT = Path(__file__).parents[2]


def on_disk(folder: Path) -> list[AuditEvent]:
    """Everything in the folder's segments."""
    return [decode(payload) for name in segments(folder) for payload in contents(folder / name.text()).records]


def losses(events: list[AuditEvent]) -> list[dict[str, object]]:
    """The details of the loss records among events."""
    return [event.details or {} for event in events if event.event_type == LOSS]


def wait_until_written(folder: Path, count: int) -> None:
    """Poll until so many records are on disk."""
    deadline = time.monotonic() + PATIENCE_S
    while len(on_disk(folder)) < count:
        assert time.monotonic() < deadline
        time.sleep(0.005)


async def test_a_durable_record_is_on_disk_when_the_future_is_done(emitter: Emitter, tmp_path: Path) -> None:
    """When `emit_durable` returns, another process can read the record."""
    event = stamped(emitter)
    await emitter.emit_durable(event)
    assert on_disk(tmp_path / "spool" / "test") == [event]


async def test_a_buffered_record_is_written_within_50_ms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for a buffered record, it wakes the thread, and the thread waits no longer than that for others."""
    monkeypatch.setattr("audit.commit._HEARTBEAT_S", 3600.0)  # it turns because of the record, or not at all
    emitter = Emitter(tmp_path / "p", "p")
    changed, waits = emitter._commit._changed, []
    real = changed.wait_for

    def waiting(predicate: Callable[[], bool], timeout: float) -> bool:
        waits.append(timeout)
        return real(predicate, timeout)

    monkeypatch.setattr(changed, "wait_for", waiting)
    assert emitter.emit(stamped(emitter))
    wait_until_written(tmp_path / "p", 1)
    assert waits
    assert max(waits) <= 0.05
    await emitter.aclose()


async def test_records_from_threads_are_taken(emitter: Emitter, tmp_path: Path) -> None:
    """A service's worker threads may emit and wait."""
    await asyncio.gather(*(asyncio.to_thread(emitter.emit_and_wait, stamped(emitter)) for _ in range(20)))
    assert len(on_disk(tmp_path / "spool" / "test")) == 20


def test_ids_and_numbers_rise(emitter: Emitter) -> None:
    """Ids sort as they were taken; numbers begin at 1 and have no holes."""
    stamps = [emitter.stamp() for _ in range(5000)]
    ids = [stamp.event_id for stamp in stamps]
    assert ids == sorted(set(ids))
    assert [stamp.producer for stamp in stamps] == [
        Producer("test", emitter.epoch, number) for number in range(1, 5001)
    ]


def test_the_folder_is_the_owners_alone(tmp_path: Path) -> None:
    """Folder and files are not readable by others, whatever the umask."""
    before = os.umask(0)
    try:
        emitter = Emitter(tmp_path / "p", "p")
        emitter.emit(stamped(emitter))
        emitter.close()
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "p").stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in (tmp_path / "p").iterdir()} == {0o600}


def test_a_second_owner_is_told_who_the_first_is(tmp_path: Path) -> None:
    """Two emitters cannot share a folder; the error names the process."""
    first = Emitter(tmp_path / "p", "p")
    with pytest.raises(SpoolBusy, match=f"pid {os.getpid()}"):
        Emitter(tmp_path / "p", "p", limits=SpoolLimits(lock_wait_s=0.05))
    first.close()
    Emitter(tmp_path / "p", "p").close()


def test_a_clean_stop_leaves_an_end_mark_and_the_next_epoch_begins(tmp_path: Path) -> None:
    """Everything queued is written at close, the epoch ends, and numbers begin anew in the next."""
    first = Emitter(tmp_path / "p", "p")
    for _ in range(100):
        first.emit(stamped(first))
    assert first.close()
    assert first.close()
    view = peek(tmp_path / "p")
    assert view is not None
    assert (view.epoch, view.seq, view.ended) == (first.epoch, 100, True)
    second = Emitter(tmp_path / "p", "p")
    assert not second.predecessor_lost
    assert second.producer() == Producer("p", first.epoch + 1, 1)
    second.close()
    events = on_disk(tmp_path / "p")
    assert len([event for event in events if event.producer.epoch == first.epoch]) == 100
    assert losses(events) == [
        {"producer": "p", "epoch": second.epoch, "missing": [[1, 1]], "count": 1, "reason": "unwritten"}
    ]  # the number that was taken last


@pytest.mark.parametrize("guarantee", ["durable", "buffered"])
async def test_a_killed_producer_loses_nothing_it_was_promised(tmp_path: Path, guarantee: str) -> None:
    """After SIGKILL every acked record is delivered, and the loss record names exactly the numbers that are missing."""
    folder = tmp_path / "child"
    for opening in (1, 2):
        child = subprocess.Popen(  # noqa: ASYNC220  # it is killed before anything else happens
            [sys.executable, "-m", "tests.audit.child", str(folder), guarantee], stdout=subprocess.PIPE, cwd=ROOT
        )
        assert child.stdout is not None
        said = [child.stdout.readline() for _ in range(300)]
        os.kill(child.pid, signal.SIGKILL)
        said += child.stdout.read().splitlines(keepends=True)
        child.stdout.close()
        child.wait()
        words = [line.split() for line in said if line.endswith(b"\n")]
        numbers = {int(number) for _, number in words}
        acked = {int(number) for word, number in words if word == b"acked"}
        view = peek(folder)
        assert view is not None
        epoch = view.epoch
        assert (epoch % OPENINGS, view.ended) == (opening, False)
        assert view.seq >= max(numbers)

        # Either the next owner takes over or, if there is none, the relay.
        sink = ListSink()
        relay = Relay(tmp_path, sink, adopt_after_s=0.0 if opening == 1 else 3600.0)
        if opening == 2:
            successor = Emitter(folder, "child")
            assert successor.predecessor_lost == RangeSet(
                (first, last)
                for first, last in losses(on_disk(folder))[-1]["missing"]  # type: ignore[attr-defined]
            )
            await successor.aclose()
        assert await relay.flush(20)
        assert segments(folder) == []
        delivered = {event.producer.seq for event in sink.events if event.producer.epoch == epoch} - {0}
        assert acked <= delivered
        missing = set(range(1, view.seq + 1)) - delivered
        reported = losses([event for event in sink.events if event.producer.epoch == epoch])
        if missing:
            [loss] = reported
            assert loss["reason"] == "killed"
            assert loss["count"] == len(missing)
            spans = msgspec.convert(loss["missing"], list[tuple[int, int]])
            assert {number for first, last in spans for number in range(first, last + 1)} == missing
        else:
            assert reported == []


def full(limits: SpoolLimits, folder: Path, tenant: str, *, durable: bool) -> int:
    """How many records of a tenant fit until one is refused."""
    emitter = Emitter(folder, "p", limits=limits)
    count = 0
    try:
        while count < 10_000:
            event = stamped(emitter, tenant_id=tenant)
            if durable:
                try:
                    emitter.emit_and_wait(event)
                except SpoolUnavailable:
                    return count
            elif not emitter.emit(event):
                return count
            count += 1
    finally:
        emitter.close()
    raise AssertionError("the spool never filled")


def test_a_full_spool_keeps_room_for_durable_records_and_for_other_tenants(tmp_path: Path) -> None:
    """Buffered records stop at 80 %, one tenant at 50 %, and a refusal hits only that kind."""
    limits = SpoolLimits(max_bytes=100_000, segment_bytes=10_000)
    one = full(limits, tmp_path / "one", "acme", durable=True)
    no_share = SpoolLimits(max_bytes=100_000, segment_bytes=10_000, tenant_share=1.0)
    buffered = full(no_share, tmp_path / "two", "acme", durable=False)
    durable = full(no_share, tmp_path / "three", "acme", durable=True)
    assert one / durable == pytest.approx(0.5, abs=0.05)
    assert buffered / durable == pytest.approx(0.8, abs=0.05)


async def test_one_tenants_flood_does_not_refuse_another(tmp_path: Path) -> None:
    """When a tenant has filled its share, another's durable records are still taken."""
    emitter = Emitter(tmp_path / "p", "p", limits=SpoolLimits(max_bytes=100_000, segment_bytes=10_000))

    async def flood() -> None:
        while True:
            await emitter.emit_durable(stamped(emitter, tenant_id="acme"))

    with pytest.raises(SpoolUnavailable, match="tenant_share"):
        await flood()
    await emitter.emit_durable(stamped(emitter, tenant_id="globex"))
    await emitter.aclose()


async def test_what_was_shed_is_named_and_space_comes_back(tmp_path: Path) -> None:
    """Shed numbers stand in an `audit.loss` record; when the relay has freed segments, records are taken again."""
    registry = CollectorRegistry()
    limits = SpoolLimits(max_bytes=60_000, segment_bytes=5_000, tenant_share=1.0)
    emitter = Emitter(tmp_path / "p", "p", limits=limits, metrics=EmitMetrics(registry))
    taken, shed = 0, 0
    while not shed:
        event = stamped(emitter)
        if emitter.emit(event):
            taken += 1
        else:
            shed = event.producer.seq
    assert registry.get_sample_value("audit_emit_failures_total", {"effect": "shed", "reason": "full"}) == 1
    sink = ListSink()
    relay = Relay(tmp_path, sink)
    deadline = time.monotonic() + PATIENCE_S
    while not emitter.emit(stamped(emitter)):
        await relay.flush(5)
        assert time.monotonic() < deadline
    await emitter.aclose()
    assert await relay.flush(5)
    named = RangeSet(
        (first, last)
        for loss in losses(sink.events)
        for first, last in loss["missing"]  # type: ignore[attr-defined]
    )
    delivered = RangeSet((event.producer.seq, event.producer.seq) for event in sink.events if event.producer.seq)
    assert shed in named
    assert named.without(delivered) == named  # nothing is both delivered and lost
    everything = RangeSet([*named, *delivered])
    view = peek(tmp_path / "p")
    assert view is not None
    assert list(everything) == [(1, view.seq)]


async def test_a_disk_that_refuses_makes_durable_refuse_and_recovers(
    emitter: Emitter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ENOSPC: durable records raise, buffered ones are shed and named; when there is room again, all is well."""
    await emitter.emit_durable(stamped(emitter))
    real = os.pwrite

    def no_space(fd: int, data: bytes, offset: int) -> int:
        if offset > 0:
            real(fd, bytes(data)[:7], offset)  # a short write first, as a real disk does
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("audit.spool.writer.os.pwrite", no_space)
    with pytest.raises(SpoolUnavailable, match="No space left"):
        await emitter.emit_durable(stamped(emitter))
    assert emitter.emit(stamped(emitter))
    await until(lambda: emitter._metrics.shed.labels("disk")._value.get() == 1)
    monkeypatch.setattr("audit.spool.writer.os.pwrite", real)
    await emitter.emit_durable(stamped(emitter))
    await emitter.aclose()
    events = on_disk(tmp_path / "spool" / "test")
    assert [event.producer.seq for event in events if event.producer.seq] == [1, 4]
    [loss] = losses(events)
    assert (loss["reason"], loss["missing"]) == ("shed", [[2, 3]])


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
async def test_what_the_relay_has_read_is_never_named_as_lost(
    emitter: Emitter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """The disk takes a part of a group: the relay, which reads along, may have delivered the records that are whole.

    Whoever waits for one of those is told that it is safe, the others are refused and named, and are not there.
    """
    await emitter.emit_durable(stamped(emitter))
    folder = tmp_path / "spool" / "test"
    real, read = os.pwrite, list[bytes]()

    def takes_a_part(fd: int, data: bytes, offset: int) -> int:
        if len(data) > 2 * 300 and not read:  # the group, of records of some 300 bytes
            took = real(fd, bytes(data)[: len(data) // 2], offset)
            read.extend(contents(folder / segments(folder)[-1].text()).records[1:])  # at this moment
            return took
        if read and len(data) > 300:
            raise OSError(number, os.strerror(number))
        return real(fd, data, offset)

    monkeypatch.setattr("audit.spool.writer.os.pwrite", takes_a_part)
    events = [stamped(emitter) for _ in range(8)]
    told = await asyncio.gather(*map(emitter.emit_durable, events), return_exceptions=True)
    monkeypatch.setattr("audit.spool.writer.os.pwrite", real)
    safe = [event.producer.seq for event, failed in zip(events, told, strict=True) if failed is None]
    assert 0 < len(read) < len(events)
    await emitter.emit_durable(stamped(emitter))
    await emitter.aclose()
    there = on_disk(folder)
    assert [msgspec.json.decode(record, type=AuditEvent).producer.seq for record in read] == safe
    found = check(there, folder, safe)
    assert list(found.named.without(found.delivered)) == list(found.named)  # nothing is both there and lost
    assert found.named.count == len(events) - len(safe)


async def test_after_a_failed_sync_the_records_are_written_to_a_new_file(
    emitter: Emitter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file whose sync failed is never synced again; what it held is written anew before anyone is told."""
    await emitter.emit_durable(stamped(emitter))
    real = os.fdatasync
    failed: list[int] = []

    def fails_once(fd: int) -> None:
        if not failed:
            failed.append(fd)
            raise OSError(5, "Input/output error")
        real(fd)

    monkeypatch.setattr("audit.spool.writer.os.fdatasync", fails_once)
    event = stamped(emitter)
    await emitter.emit_durable(event)
    assert len(failed) == 1
    folder = tmp_path / "spool" / "test"
    assert len(segments(folder)) == 2
    assert contents(folder / segments(folder)[1].text()).records == [msgspec.json.encode(event)]
    await emitter.aclose()
    assert losses(on_disk(folder)) == []


async def test_what_was_written_again_is_not_named_as_lost(
    emitter: Emitter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel drops the pages whose sync failed: they cannot be read where they were, and stand in the new file."""
    await emitter.emit_durable(stamped(emitter))
    real, failed = os.fdatasync, []

    def drops(fd: int) -> None:
        if not failed:
            failed.append(fd)
            os.pwrite(fd, b"\0" * 300, os.fstat(fd).st_size - 300)
            raise OSError(5, "Input/output error")
        real(fd)

    monkeypatch.setattr("audit.spool.writer.os.fdatasync", drops)
    for _ in range(3):
        await emitter.emit_durable(stamped(emitter))
    await emitter.aclose()
    assert failed
    sink = ListSink()
    assert await Relay(tmp_path / "spool", sink).flush(5)
    assert [event.producer.seq for event in sink.events] == [1, 2, 3, 4]
    assert [event.event_id for event in sink.events if event.event_type == LOSS] == []


async def test_a_waiter_that_was_cancelled_harms_nobody(emitter: Emitter, tmp_path: Path) -> None:
    """A request that goes away while its record is being synced leaves the record and the others as they are."""
    futures = [emitter.emit_durable(stamped(emitter)) for _ in range(10)]
    futures[3].cancel()
    await asyncio.gather(*(future for index, future in enumerate(futures) if index != 3))
    assert len(on_disk(tmp_path / "spool" / "test")) == 10


async def test_a_record_that_is_too_large_or_odd_keeps_its_metadata(tmp_path: Path) -> None:
    """Details that are too large, or that no JSON can hold, go; who did what and when stays, and says so."""
    emitter = Emitter(tmp_path / "p", "p", limits=SpoolLimits(event_bytes=2_000))
    await emitter.emit_durable(stamped(emitter, details={"much": "x" * 5_000}))
    await emitter.emit_durable(stamped(emitter, details={"odd": "\ud800"}))
    await emitter.aclose()
    for event in on_disk(tmp_path / "p"):
        assert event.details is None
        assert event.redaction is not None
        assert event.redaction.truncated
        assert event.action == "order:read"


async def test_metadata_that_no_text_can_hold_costs_itself_alone(tmp_path: Path) -> None:
    """A lone surrogate in an id or a name, which a service read from JSON: the record stands."""
    emitter = Emitter(tmp_path / "p", "p", redactor=WriteRedactor({}))
    odd = "\ud800" + "x" * 20
    parts = {"resource": Resource("Order", odd), "action": odd, "actor": Actor(id=odd, roles=(odd,))}
    assert emitter.emit(stamped(emitter, **parts))
    await emitter.emit_durable(stamped(emitter, **parts))
    assert emitter.close()
    for event in on_disk(tmp_path / "p"):
        assert event.resource == Resource("Order", "?" + "x" * 20)
        assert event.action == "?" + "x" * 20
    assert len(on_disk(tmp_path / "p")) == 2


@pytest.mark.parametrize("mode", [Mode.OFF, Mode.ENFORCE])
def test_a_body_that_no_reader_would_get_through_goes(tmp_path: Path, mode: Mode) -> None:
    """Nested nearly as deep as can be written: whoever reads the spool stands deeper in the stack."""
    emitter = Emitter(tmp_path / "p", "p", redactor=WriteRedactor({}, mode=mode))
    nested: dict[str, object] = {}
    for _ in range(900):
        nested = {"a": nested}
    assert emitter.emit(stamped(emitter, details=nested))
    assert emitter.emit(stamped(emitter, details={"flat": [{"[": "{"}] * 600}))
    emitter.close()
    deep, flat = on_disk(tmp_path / "p")
    assert deep.details is None
    assert flat.details == {"flat": [{"[": "{"}] * 600}


async def test_secrets_never_reach_the_disk(tmp_path: Path) -> None:
    """With a redactor, the bytes on disk do not hold the secret."""
    registry = CollectorRegistry()
    emitter = Emitter(tmp_path / "p", "p", redactor=WriteRedactor({}), metrics=EmitMetrics(registry))
    await emitter.emit_durable(stamped(emitter, details={"card": {"cvv": "s3cr3t-digits"}, "note": "kept"}))
    await emitter.aclose()
    assert all(b"s3cr3t-digits" not in file.read_bytes() for file in (tmp_path / "p").iterdir())
    [event] = on_disk(tmp_path / "p")
    assert event.details == {"card": {}, "note": "kept"}
    assert event.redaction is not None
    assert event.redaction.fields == ("details.card.cvv",)
    assert registry.get_sample_value("audit_events_redacted_total", {"class": "secret", "mode": "enforce"}) == 1
    assert registry.get_sample_value("audit_last_redaction_timestamp_seconds") == pytest.approx(time.time(), abs=60)


def test_refusals_that_are_alike_share_a_record(tmp_path: Path) -> None:
    """A hundred alike make one record with the exact count; another code makes another."""
    emitter = Emitter(tmp_path / "p", "p")
    for number in range(100):
        emitter.emit_folded(
            FoldKey("token_invalid", "10.0.0.0/24", ""),
            f"trace-{number}",
            lambda stamp: make_event(event_id=stamp.event_id, producer=stamp.producer, trace_id="trace-0"),
        )
    emitter.emit_folded(
        FoldKey("token_expired", "10.0.0.0/24", ""),
        "other",
        lambda stamp: make_event(event_id=stamp.event_id, producer=stamp.producer),
    )
    emitter.close()
    events = on_disk(tmp_path / "p")
    assert [event.aggregate.count if event.aggregate else 1 for event in events] == [100, 1]
    assert events[0].details == {"trace_ids": ["trace-0", "trace-1", "trace-2", "trace-3", "trace-4"]}
    assert losses(events) == []


def fold(emitter: Emitter, network: str, times: int = 1) -> None:
    """So many refusals of strangers from a network."""
    for _ in range(times):
        emitter.emit_folded(
            FoldKey("token_invalid", network, ""),
            None,
            lambda stamp: make_event(event_id=stamp.event_id, producer=stamp.producer, trace_id=None),
        )


def refusals(events: list[AuditEvent]) -> int:
    """How many refusals records stand for, lost ones too."""
    kept = sum(event.aggregate.count if event.aggregate else 1 for event in events if event.event_type != LOSS)
    return kept + sum(int(str(loss.get("folded", 0))) for loss in losses(events))


def test_the_thousand_and_first_network_is_counted_with_the_rest(tmp_path: Path) -> None:
    """A thousand folds of their own and one for all others: 1,001 records, and every refusal counted."""
    emitter = Emitter(tmp_path / "p", "p")
    for number in range(1300):
        fold(emitter, f"10.{number // 250}.{number % 250}.0/24", 2)
    emitter.close()
    events = on_disk(tmp_path / "p")
    assert len(events) == 1001
    assert refusals(events) == 2600
    assert losses(events) == []


def test_folded_refusals_that_are_shed_stay_counted(tmp_path: Path) -> None:
    """No room for their record: its number is named, and with it how many refusals it stood for."""
    emitter = Emitter(tmp_path / "p", "p", limits=SpoolLimits(max_bytes=100))
    fold(emitter, "10.0.0.0/24", 41)
    fold(emitter, "10.0.1.0/24")
    emitter.emit_due(everything=True)
    fold(emitter, "10.0.0.0/24", 7)
    emitter.close()
    events = on_disk(tmp_path / "p")
    assert refusals(events) == 49
    assert RangeSet((first, last) for loss in losses(events) for first, last in loss["missing"]) == RangeSet([(1, 3)])  # type: ignore[attr-defined]


def test_refusals_during_a_stop_are_counted(tmp_path: Path) -> None:
    """One thread refuses strangers while another stops the emitter: each is in a record, or was refused a number."""
    emitter = Emitter(tmp_path / "p", "p")
    counted = 0
    closing = threading.Thread(target=emitter.close)
    closing.start()
    try:
        while counted < 100_000:
            fold(emitter, "10.0.0.0/24")
            counted += 1
    except SpoolUnavailable:
        closing.join()
    events = on_disk(tmp_path / "p")
    named = sum(int(str(loss["count"])) for loss in losses(events) if loss["reason"] == "unwritten")
    assert refusals(events) + named == counted


async def test_a_kill_with_open_folds_names_their_numbers(tmp_path: Path) -> None:
    """What was only in memory is gone, but not without a word: the number of each fold's record is named."""
    child = subprocess.Popen(  # noqa: ASYNC220  # it is killed before anything else happens
        [sys.executable, "-c", FOLDING, str(tmp_path / "p")], stdout=subprocess.PIPE, cwd=ROOT
    )
    assert child.stdout is not None
    assert child.stdout.readline() == b"folded\n"
    os.kill(child.pid, signal.SIGKILL)
    child.communicate()
    successor = Emitter(tmp_path / "p", "p")
    assert list(successor.predecessor_lost) == [(1, 2)]
    await successor.aclose()


FOLDING = """
import sys, time
from pathlib import Path
from audit.emit import Emitter
from tests.audit.test_emit import fold
emitter = Emitter(Path(sys.argv[1]), "p")
fold(emitter, "10.0.0.0/24", 5)
fold(emitter, "10.0.1.0/24", 5)
print("folded", flush=True)
time.sleep(60)
"""


async def test_killed_between_the_end_mark_and_its_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The relay delivers and unlinks everything before the successor comes: it must not take it for lost."""
    first = Emitter(tmp_path / "p", "p")
    await first.emit_durable(stamped(first))
    with monkeypatch.context() as patch:
        patch.setattr("audit.spool.folder.Counter.end", lambda _: None)
        assert not await first.aclose()
    os.close(first._lock)  # as a kill does
    sink = ListSink()
    assert await Relay(tmp_path, sink, adopt_after_s=3600.0).flush(5)
    assert segments(tmp_path / "p") == []
    (tmp_path / "p" / "cursor-list.json").unlink()  # a power loss may take it; what it knows must not be needed
    successor = Emitter(tmp_path / "p", "p")
    assert not successor.predecessor_lost
    await successor.aclose()


def test_a_refusal_that_comes_during_a_stop_is_its_own_record(tmp_path: Path) -> None:
    """Nobody would flush a fold that is opened behind the last flush."""
    emitter = Emitter(tmp_path / "p", "p")
    emitter._flushed = True
    fold(emitter, "10.0.0.0/24", 2)
    wait_until_written(tmp_path / "p", 2)
    emitter.close()
    assert losses(on_disk(tmp_path / "p")) == []


STEPS = ("buffered", "durable", "folded", "forgotten", "large", "flush")


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(st.sampled_from(STEPS), max_size=40),
    max_bytes=st.integers(1_000, 30_000),
)
def test_whatever_happens_each_number_is_written_or_named(tmp_path: Path, steps: list[str], max_bytes: int) -> None:
    """Any order of records kept, shed, refused, folded and forgotten, in any room."""
    folder = Path(tempfile.mkdtemp(dir=tmp_path)) / "p"
    limits = SpoolLimits(
        max_bytes=max_bytes, segment_bytes=3_000, event_bytes=8_000, min_free_bytes=0, write_delay_s=0.0, gather_s=0.0
    )
    emitter = Emitter(folder, "p", limits=limits)
    kept: list[int] = []
    counted = 0
    for number, step in enumerate(steps):
        if step == "folded":
            fold(emitter, f"10.0.{number % 3}.0/24", 3)
            counted += 3
        elif step == "flush":
            emitter.emit_due(everything=True)
        else:
            event = stamped(emitter, details={"note": "x" * 6_000} if step == "large" else None)
            if step == "durable":
                with suppress(SpoolUnavailable):
                    emitter.emit_and_wait(event)
                    kept.append(event.producer.seq)
            elif step != "forgotten":
                emitter.emit(event)
    assert emitter.close()
    events = on_disk(folder)
    check(events, folder, kept, taken=taken_in(folder))
    folds = sum(event.aggregate.count for event in events if event.aggregate is not None)
    assert folds + sum(int(str(loss.get("folded", 0))) for loss in losses(events)) == counted


def taken_in(folder: Path) -> int:
    """How many numbers the first epoch took, as its end mark says."""
    names = segments(folder)
    marks = [contents(folder / name.text()).end for name in names if name.epoch == names[0].epoch]
    return next(mark.taken for mark in marks if mark is not None)


def test_mode_off_is_loud(tmp_path: Path) -> None:
    """Said at every start, and shown as long as it lasts."""
    for mode, shown in ((Mode.OFF, 1), (Mode.ENFORCE, 0)):
        registry = CollectorRegistry()
        with capture_logs() as logs:
            emitter = Emitter(
                tmp_path / mode, "p", redactor=WriteRedactor({}, mode=mode), metrics=EmitMetrics(registry)
            )
        assert [line["log_level"] for line in logs if line["event"] == "audit_redaction_off"] == ["warning"] * shown
        assert registry.get_sample_value("audit_redaction_off") == shown
        emitter.close()


def test_redaction_is_counted_by_class_and_mode(tmp_path: Path) -> None:
    """Events once for each class, fields each, what a view would hide in mode log; all known series at 0 before."""
    registry = CollectorRegistry()
    redactor = WriteRedactor(
        {"pii": ["client.ip", "client.user_agent"], "health": ["details.note"]}, mode=Mode.LOG, at_write=["health"]
    )
    emitter = Emitter(tmp_path / "p", "p", redactor=redactor, metrics=EmitMetrics(registry))

    def counted(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(f"audit_{name}_total", labels)

    classes = ("secret", "pii", "health")
    assert {counted("events_redacted", **{"class": name, "mode": "log"}) for name in classes} == {0}
    emitter.emit(stamped(emitter, details={"note": "n", "pin": 1, "otp": 2}))
    emitter.emit(stamped(emitter, details={"pin": 1}))
    emitter.close()
    assert {name: counted("events_redacted", **{"class": name, "mode": "log"}) for name in classes} == {
        "secret": 2, "pii": 0, "health": 1,
    }  # fmt: skip
    assert {name: counted("redacted_fields", **{"class": name}) for name in classes} == {
        "secret": 3, "pii": 0, "health": 1,
    }  # fmt: skip
    assert {name: counted("redaction_would_apply", **{"class": name}) for name in classes} == {
        "secret": 0, "pii": 4, "health": 0,
    }  # fmt: skip


async def test_one_emit_of_sixteen_is_timed(tmp_path: Path) -> None:
    """Buffered or durable, by its number; what reaches the disk is counted record by record."""
    registry = CollectorRegistry()
    emitter = Emitter(tmp_path / "p", "p", metrics=EmitMetrics(registry))
    for _ in range(24):
        emitter.emit(stamped(emitter))
    await asyncio.gather(*(emitter.emit_durable(stamped(emitter)) for _ in range(24)))
    payload = emitter.render(stamped(emitter))
    assert payload is not None
    for seq in range(50, 82):
        emitter.emit_rendered(payload, seq, "acme")
    await emitter.aclose()
    assert registry.get_sample_value("audit_emit_duration_seconds_count") == 3 + 2
    latencies = [
        registry.get_sample_value("audit_emit_latency_seconds_count", {"guarantee": guarantee})
        for guarantee in ("durable", "buffered")
    ]
    assert latencies == [24, 24 + 32]


def test_a_body_that_nothing_can_encode_costs_itself_alone(tmp_path: Path) -> None:
    """Nested without an end, with nobody to look through it: the record stands, without its body."""
    emitter = Emitter(tmp_path / "p", "p")
    nested: dict[str, object] = {}
    nested["again"] = nested
    assert emitter.emit(stamped(emitter, details=nested))
    emitter.close()
    (event,) = on_disk(tmp_path / "p")
    assert event.details is None
    assert event.redaction is not None
    assert event.redaction.truncated
