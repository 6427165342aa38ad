"""Tests of `audit.relay.skip`: exactly what is passed over, wherever delivery stands."""

import errno
from pathlib import Path

import pytest

from audit.codec import decode, encode
from audit.event import Producer
from audit.ids import EventIds
from audit.relay.skip import SKIPPED, held_beyond, skip, skipped_event
from audit.spool.cursor import Cursor, store
from audit.spool.reader import FolderReader
from audit.spool.segment import SegmentName, segments
from tests.builders.spools import spooled


def size(folder: Path, names: list[SegmentName]) -> int:
    """Of these segments."""
    return sum((folder / name.text()).stat().st_size for name in names)


def test_what_only_this_sink_needs_is_counted(tmp_path: Path) -> None:
    """From where it is to where the slowest of the required ones is."""
    folder = spooled(tmp_path, "p", 60, segment_bytes=8_000)
    names = segments(folder)
    reader = FolderReader(folder, "s")
    assert held_beyond(reader, [None, names[2]]) == 0, "somebody needs all of it"
    assert held_beyond(reader, []) == 0
    assert held_beyond(reader, [names[3], names[2]]) == size(folder, names[:2])
    while reader.place is None or reader.place < names[1]:
        batch = reader.read(5, 1 << 20)
        assert batch is not None
        reader.advance(batch)
    assert held_beyond(reader, [names[3], names[2]]) == size(folder, names[1:2])


def test_what_was_delivered_of_a_segment_is_not_named(tmp_path: Path) -> None:
    """And what was read ahead is; the next that is read is the first of the next segment."""
    folder = spooled(tmp_path, "p", 60, segment_bytes=8_000)
    reader = FolderReader(folder, "s")
    first, _ahead = reader.read(4, 1 << 20), reader.read(4, 1 << 20)
    assert first is not None
    reader.advance(first)
    details = skip(reader, "s")
    following = reader.read(100, 1 << 20)
    assert details is not None
    assert following is not None
    begins = decode(following.records[0]).producer.seq
    assert details["missing"] == [[len(first.records) + 1, begins - 1]]
    assert details["count"] == begins - 1 - len(first.records)
    reader.save()
    assert FolderReader(folder, "s").place == segments(folder)[1]
    everything = [details["missing"]]
    while (more := skip(reader, "s")) is not None:
        everything.append(more["missing"])
    assert everything[-1][0][1] == 60, "the last segment too, which has ended"


def test_what_was_passed_over_is_named_on_disk_before_anybody_may_unlink_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another lane unlinks it as soon as it can: it is named all the same, also if the process dies right then."""
    folder = spooled(tmp_path, "p", 60, segment_bytes=8_000)
    names = segments(folder)
    reader = FolderReader(folder, "s")
    places = []

    def storing(file: Path, cursor: Cursor) -> None:
        places.append(reader.place)
        store(file, cursor)
        for name in names[:1]:
            (folder / name.text()).unlink()

    monkeypatch.setattr("audit.spool.reader.store", storing)
    details = skip(reader, "s")
    assert places == [None], "nobody was told yet that it has passed it"
    assert reader.place == names[1]
    assert FolderReader(folder, "s").skipped == [details]


def test_a_full_disk_gets_what_a_sink_is_moved_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cursor cannot be written: what was passed over is named by who has it in memory."""

    def full(file: Path, cursor: Cursor) -> None:
        raise OSError(errno.ENOSPC, "full")

    folder = spooled(tmp_path, "p", 60, segment_bytes=8_000)
    reader = FolderReader(folder, "s")
    monkeypatch.setattr("audit.spool.reader.store", full)
    details = skip(reader, "s")
    assert (reader.place, reader.skipped) == (segments(folder)[1], [details])


def test_what_is_damaged_is_named_with_the_rest(tmp_path: Path) -> None:
    """Its numbers are known from what follows."""
    folder = spooled(tmp_path, "p", 9)
    [name] = segments(folder)
    data = bytearray((folder / name.text()).read_bytes())
    data[len(data) // 2] ^= 0xFF
    (folder / name.text()).write_bytes(bytes(data))
    details = skip(FolderReader(folder, "s"), "s")
    assert details is not None
    assert (details["missing"], details["count"], details["producer"]) == ([[1, 9]], 9, "p")


def test_the_event_says_all_that_a_backfill_needs() -> None:
    """An event like any other; of no tenant, because it speaks of all of them."""
    details = {"sink": "search", "producer": "w0", "epoch": 3, "missing": [[4, 9]], "count": 6}
    event = skipped_event(EventIds().next(), Producer("s", 1, 7), details)
    back = decode(encode(event))
    assert (back.event_type, back.tenant_id, back.details, back.producer.seq) == (SKIPPED, "-", details, 7)
