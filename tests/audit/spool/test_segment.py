"""Tests of `audit.spool.segment`."""

import os
from pathlib import Path

import msgspec
import pytest

from audit.codec import encode
from audit.errors import SpoolFormat
from audit.event import Producer
from audit.ranges import RangeSet
from audit.spool import frame
from audit.spool.adopt import loss_event
from audit.spool.segment import (
    LOSS,
    EndMark,
    Header,
    SegmentName,
    account,
    contents,
    decode_end,
    decode_header,
    pack_end,
    pack_header,
    read_header,
    segments,
    stub,
)
from tests.builders.audit import make_event

HEADER = Header("p", 3, 1, [(1, 4)])


def test_names_sort_as_they_were_written(tmp_path: Path) -> None:
    """Segments are listed by epoch and number, beyond ten too; other files are no segments."""
    names = [SegmentName(1, 2), SegmentName(1, 10), SegmentName(2, 1), SegmentName(10, 1)]
    for name in reversed(names):
        (tmp_path / name.text()).touch()
    for other in ("counter", "x.seg", "1-.seg", "00000001-000001.seg.quarantine"):
        (tmp_path / other).touch()
    assert segments(tmp_path) == names


def test_contents_of_a_whole_segment(tmp_path: Path) -> None:
    """Header, records and end mark are found."""
    record = encode(make_event())
    file = tmp_path / "x.seg"
    file.write_bytes(pack_header(HEADER) + frame.pack(record) + pack_end(EndMark(5, [(1, 5)])))
    read = contents(file)
    assert read == (HEADER, [record], EndMark(5, [(1, 5)]), False)
    assert read_header(file) == HEADER


def test_a_segment_without_its_header_is_damaged(tmp_path: Path) -> None:
    """Records are still read when the header is gone."""
    file = tmp_path / "x.seg"
    file.write_bytes(b"\0" * 20 + frame.pack(b"{}"))
    read = contents(file)
    assert (read.header, read.records, read.damaged) == (None, [b"{}"], True)
    assert read_header(file) is None


def test_a_header_with_very_many_holes_is_read(tmp_path: Path) -> None:
    """A header longer than the first look is read whole."""
    header = Header("p", 1, 2, [(number, number) for number in range(1, 40_000, 2)])
    file = tmp_path / "x.seg"
    file.write_bytes(pack_header(header))
    assert read_header(file) == header


def test_another_format_is_refused() -> None:
    """A segment of a later program is not guessed at."""
    later = msgspec.json.encode({**msgspec.to_builtins(HEADER), "format": 2})
    with pytest.raises(SpoolFormat, match="format 2"):
        decode_header(later)
    with pytest.raises(SpoolFormat):
        decode_header(b"[]")
    with pytest.raises(SpoolFormat):
        decode_end(b"[]")


def test_a_record_accounts_for_its_number_and_those_it_reports_lost() -> None:
    """Loss records of the same epoch account for what they name; bytes that are no event account for nothing."""
    loss = loss_event(
        "p", 1, RangeSet([(3, 4)]), reason="shed", event_id="01990000-0000-7000-8000-000000000000", now_ns=0
    )
    seen = RangeSet()
    records = [make_event(producer=Producer("p", 1, 1)), loss]
    account([*(encode(each) for each in records), b"garbage", b"{}"], seen)
    assert list(seen) == [(1, 1), (3, 4)]
    assert stub(b"garbage") is None


def test_what_is_no_file_is_no_segment(tmp_path: Path) -> None:
    """A pipe, a link and a folder with a segment's name are not opened by anybody; nor is a name we would not give."""
    os.mkfifo(tmp_path / "00000001-000001.seg")
    (tmp_path / "00000001-000002.seg").mkdir()
    (tmp_path / "00000001-000003.seg").symlink_to(tmp_path / "theirs")
    (tmp_path / "1-4.seg").touch()
    (tmp_path / "0000000\u0661-000005.seg").touch()
    (tmp_path / "00000001-000006.seg").touch()
    assert segments(tmp_path) == [SegmentName(1, 6)]


WHOLE = encode(make_event(producer=Producer("p", 1, 7)))


@pytest.mark.parametrize(
    ("payload", "numbers"),
    [
        (WHOLE.replace(b'"acme"', b'"\xff"'), [(7, 7)]),
        (WHOLE.replace(b'"id":"p"', b'"id":"\xff"'), []),
        (b'{"event_type":"x","details":' + b"[" * 100_000, []),
        (b'{"event_id":"\xff"}', []),
    ],
)
def test_bytes_that_are_whole_and_no_event_stop_nobody(payload: bytes, numbers: list[tuple[int, int]]) -> None:
    """They are delivered, and the store sets them apart; a decoder has more than one word for them."""
    assert stub(payload) is None
    found = RangeSet()
    account([payload], found)
    assert list(found) == numbers


@pytest.mark.parametrize("missing", [7, "x", [[1]], [[1, "x"]], [[5, 2]]])
def test_a_loss_record_that_names_nothing_counts_as_itself(missing: object) -> None:
    """By its type alone it is one; its own number is there."""
    event = make_event(event_type=LOSS, producer=Producer("p", 1, 3), details={"epoch": 1, "missing": missing})
    found = RangeSet()
    account([encode(event)], found)
    assert list(found) == [(3, 3)]
