"""Tests of `audit.spool.reader`."""

import tempfile
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audit.codec import decode, encode
from audit.event import AuditEvent, Producer
from audit.spool import frame
from audit.spool.clear import clear, set_aside
from audit.spool.reader import FolderReader
from audit.spool.segment import LOSS, SegmentName, segments
from audit.spool.writer import SegmentWriter
from tests.builders.audit import make_event


def write(writer: SegmentWriter, *numbers: int) -> None:
    """Append a record for each number."""
    for number in numbers:
        writer.append([frame.pack(encode(make_event(producer=Producer("p", 1, number))))], [(number, number)])


def drain(
    reader: FolderReader, max_records: int = 100, max_bytes: int = 1 << 20, *, again: bool = False
) -> list[AuditEvent]:
    """Read and advance until there is nothing new; `again`: with a reader made anew after each batch."""
    events: list[AuditEvent] = []
    while (batch := reader.read(max_records, max_bytes)) is not None:
        events += [decode(payload) for payload in batch.records]
        if batch.finished and (batch.damaged or batch.lost):
            set_aside(reader.path, batch.name)
        reader.advance(batch)
        if batch.finished and reader.place is not None:
            clear(reader.path, reader.place)
        if again:
            reader.save()
            reader = FolderReader(reader.path, "s")
    return events


def numbers(events: list[AuditEvent]) -> list[int]:
    """Their sequence numbers."""
    return [event.producer.seq for event in events]


def test_reading_follows_writing(tmp_path: Path) -> None:
    """What is appended between reads is read next; nothing is read twice."""
    writer = SegmentWriter(tmp_path, "p", 1, segment_bytes=3000)
    reader = FolderReader(tmp_path, "s")
    assert reader.read(10, 1000) is None
    write(writer, 1, 2)
    assert numbers(drain(reader)) == [1, 2]
    write(writer, *range(3, 20))
    assert numbers(drain(reader)) == list(range(3, 20))
    assert reader.producer == "p"
    assert len(segments(tmp_path)) == 1
    writer.end(19, clean=True)
    writer.close()
    assert drain(reader) == []
    assert segments(tmp_path) == []


def test_what_was_not_delivered_is_read_again_after_a_rewind(tmp_path: Path) -> None:
    """Reading goes on by itself; only `advance` moves the cursor, and `rewind` goes back to it."""
    writer = SegmentWriter(tmp_path, "p", 1, segment_bytes=10_000)
    write(writer, 1, 2, 3)
    writer.close()
    reader = FolderReader(tmp_path, "s")
    first, second = reader.read(3, 1 << 20), reader.read(3, 1 << 20)  # the header is a frame too
    assert first is not None
    assert second is not None
    assert (len(first.records), len(second.records)) == (2, 1)
    reader.rewind()
    again = reader.read(3, 1 << 20)
    assert again is not None
    assert again.records == first.records
    reader.advance(first)
    reader.rewind()
    rest = reader.read(3, 1 << 20)
    assert rest is not None
    assert rest.records == second.records


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(max_records=st.integers(1, 7), max_bytes=st.integers(1, 3000), again=st.booleans())
def test_batches_of_any_size_deliver_everything_in_order(
    tmp_path: Path, max_records: int, max_bytes: int, again: bool
) -> None:
    """Small limits cut batches, never records; a reader that is made anew goes on at the saved cursor."""
    path = Path(tempfile.mkdtemp(dir=tmp_path))
    writer = SegmentWriter(path, "p", 1, segment_bytes=2500)
    write(writer, *range(1, 16))
    writer.end(15, clean=True)
    writer.close()
    events = drain(FolderReader(path, "s"), max_records, max_bytes, again=again)
    assert numbers(events) == list(range(1, 16))
    assert segments(path) == []


def test_an_unfinished_record_is_waited_for(tmp_path: Path) -> None:
    """A frame that is half there in the active segment is read when it is whole."""
    writer = SegmentWriter(tmp_path, "p", 1, segment_bytes=10_000)
    write(writer, 1, 2)
    writer.close()
    file = tmp_path / segments(tmp_path)[0].text()
    whole = file.read_bytes()
    file.write_bytes(whole[:-20])
    reader = FolderReader(tmp_path, "s")
    assert numbers(drain(reader)) == [1]
    assert drain(reader) == []
    file.write_bytes(whole)
    assert numbers(drain(reader)) == [2]


def test_damage_costs_one_record_and_is_named(tmp_path: Path) -> None:
    """A flipped byte in a closed segment: the rest is delivered, the number is reported, the file is set aside."""
    writer = SegmentWriter(tmp_path, "p", 1, segment_bytes=2500)
    write(writer, *range(1, 8))
    writer.end(7, clean=True)
    writer.close()
    file = tmp_path / segments(tmp_path)[0].text()
    data = bytearray(file.read_bytes())
    frames, _ = frame.read(bytes(data))
    data[frames[1].end + 30] ^= 0xFF  # the second record
    file.write_bytes(bytes(data))
    reader = FolderReader(tmp_path, "s")
    events = drain(reader, max_records=1)
    assert [number for number in numbers(events) if number] == [1, 3, 4, 5, 6, 7]
    [loss] = [event for event in events if event.event_type == LOSS]
    assert loss.details is not None
    assert (loss.details["missing"], loss.details["reason"]) == ([[2, 2]], "damaged")
    assert [path.name for path in tmp_path.glob("*.quarantine")] == [file.name + ".quarantine"]
    assert segments(tmp_path) == []


def test_a_segment_cut_short_in_the_middle_of_an_epoch_is_noticed(tmp_path: Path) -> None:
    """Records missing from the end of a closed segment look like a torn tail, but the next header knows better."""
    writer = SegmentWriter(tmp_path, "p", 1, segment_bytes=2500)
    write(writer, *range(1, 8))
    writer.end(7, clean=True)
    writer.close()
    file = tmp_path / segments(tmp_path)[0].text()
    frames, _ = frame.read(file.read_bytes())
    in_first = len(frames) - 1
    file.write_bytes(file.read_bytes()[: frames[-1].end - 3])
    events = drain(FolderReader(tmp_path, "s"))
    [loss] = [event for event in events if event.event_type == LOSS]
    assert loss.details is not None
    assert loss.details["missing"] == [[in_first, in_first]]
    assert [number for number in numbers(events) if number] == [number for number in range(1, 8) if number != in_first]


def test_an_unreadable_header_does_not_hide_the_records(tmp_path: Path) -> None:
    """With the header gone, records are delivered and nothing is reported that is not missing."""
    writer = SegmentWriter(tmp_path, "p", 1, segment_bytes=10_000)
    write(writer, 1, 2, 3)
    writer.end(3, clean=True)
    writer.close()
    file = tmp_path / segments(tmp_path)[0].text()
    data = bytearray(file.read_bytes())
    data[20] ^= 0xFF
    file.write_bytes(bytes(data))
    assert numbers(drain(FolderReader(tmp_path, "s"))) == [1, 2, 3]
    assert len(list(tmp_path.glob("*.quarantine"))) == 1


def died_opening(tmp_path: Path) -> Path:
    """An epoch whose owner died when the second segment was made and had no header yet, ended by an adopter."""
    writer = SegmentWriter(tmp_path, "p", 1, segment_bytes=10_000)
    write(writer, 1, 2, 3)
    writer.open()
    write(writer, 4, 5)
    writer.close()
    empty = tmp_path / SegmentName(1, 3).text()
    empty.touch()
    adopter = SegmentWriter(tmp_path, "p", 1, segment_bytes=10_000, first=4)
    adopter.seen.add(1, 5)
    adopter.end(5, clean=False)
    adopter.close()
    return tmp_path / SegmentName(1, 2).text()


@pytest.mark.parametrize("again", [False, True])
def test_a_segment_that_never_got_its_header_accuses_nobody(tmp_path: Path, again: bool) -> None:
    """A file made and nothing written when its owner died: what was delivered before it is not reported as lost."""
    died_opening(tmp_path)
    assert numbers(drain(FolderReader(tmp_path, "s"), again=again)) == [1, 2, 3, 4, 5]
    assert list(tmp_path.glob("*.quarantine")) == []
    assert segments(tmp_path) == []


@pytest.mark.parametrize("again", [False, True])
def test_a_record_missing_before_such_a_segment_is_named(tmp_path: Path, again: bool) -> None:
    """What the segment before it should have held, and no longer does, is found at the end that is known."""
    file = died_opening(tmp_path)
    file.write_bytes(file.read_bytes()[:-3])
    events = drain(FolderReader(tmp_path, "s"), again=again)
    [loss] = [event for event in events if event.event_type == LOSS]
    assert loss.details is not None
    assert loss.details["missing"] == [[5, 5]]
    assert [number for number in numbers(events) if number] == [1, 2, 3, 4]


def test_a_record_larger_than_the_batch_is_read_whole(tmp_path: Path) -> None:
    """The byte limit cuts batches, not records."""
    writer = SegmentWriter(tmp_path, "p", 1, segment_bytes=1 << 20)
    writer.append([frame.pack(encode(make_event(details={"x": "y" * 50_000}, producer=Producer("p", 1, 1))))], [(1, 1)])
    write(writer, 2)
    writer.close()
    assert numbers(drain(FolderReader(tmp_path, "s"), max_bytes=100)) == [1, 2]


def test_the_cursor_is_written_whole(tmp_path: Path) -> None:
    """A saved cursor is a small file of its own, replaced in one step; what is unreadable counts as none."""
    writer = SegmentWriter(tmp_path, "p", 1, segment_bytes=10_000)
    write(writer, 1)
    writer.close()
    reader = FolderReader(tmp_path, "s")
    drain(reader)
    reader.save()
    reader.save()
    cursor = msgspec.json.decode((tmp_path / "cursor-s.json").read_bytes())
    assert (cursor["epoch"], cursor["n"]) == (1, 1)
    assert reader.backlog_bytes() == 0
    assert drain(FolderReader(tmp_path, "s")) == []
    assert numbers(drain(FolderReader(tmp_path, "other"))) == [1]


@pytest.mark.parametrize("again", [False, True])
def test_a_segment_unlinked_under_the_reader_accuses_nobody(tmp_path: Path, again: bool) -> None:
    """What it held is not known here; a later one without its header is not blamed for it, after a crash neither."""
    writer = SegmentWriter(tmp_path, "p", 1, segment_bytes=2500)
    write(writer, *range(1, 20))
    writer.end(19, clean=True)
    writer.close()
    names = segments(tmp_path)
    assert len(names) > 4
    reader = FolderReader(tmp_path, "s")
    while reader.place is None or reader.place < names[1]:
        batch = reader.read(100, 1 << 20)
        assert batch is not None
        reader.advance(batch)
    if again:  # it was delivered and unlinked, and the cursor that would say so never reached the disk
        reader.save()
        reader = FolderReader(tmp_path, "s")
    else:
        assert reader.read(2, 1 << 20) is not None
    (tmp_path / names[1].text()).unlink()
    third = tmp_path / names[2].text()
    data = bytearray(third.read_bytes())
    data[20] ^= 0xFF
    third.write_bytes(bytes(data))
    assert [event for event in drain(reader) if event.event_type == LOSS] == []


def test_a_file_that_cannot_be_read_for_a_moment_costs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failure at the very end of a read leaves the reader where it was."""
    writer = SegmentWriter(tmp_path, "p", 1, segment_bytes=2500)
    write(writer, *range(1, 10))
    writer.end(9, clean=True)
    writer.close()
    reader = FolderReader(tmp_path, "s")

    def fails(_path: Path) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("audit.spool.reader.read_header", fails)
    with pytest.raises(OSError, match="Input/output"):
        reader.read(100, 1 << 20)
    monkeypatch.undo()
    other = FolderReader(tmp_path, "other")
    monkeypatch.setattr("audit.spool.reader.read_header", fails)
    with pytest.raises(OSError, match="Input/output"):
        other.skip()
    monkeypatch.undo()
    first = other.read(100, 1 << 20)
    assert first is not None
    assert decode(first.records[0]).producer.seq == 1
    assert numbers(drain(reader)) == list(range(1, 10))
