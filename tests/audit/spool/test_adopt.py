"""Tests of `audit.spool.adopt`."""

import os
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audit.codec import decode, encode
from audit.event import Producer
from audit.ids import id_ms
from audit.spool import frame
from audit.spool.adopt import adopt
from audit.spool.folder import Counter
from audit.spool.segment import LOSS, contents, segments
from audit.spool.writer import SegmentWriter
from tests.builders.audit import make_event


def dead_folder(path: Path, *, taken: int, written: list[int], segment_bytes: int = 10_000) -> Counter:
    """What a process leaves behind that took some numbers, wrote some records, and was killed."""
    path.mkdir(exist_ok=True)
    counter = Counter(path)
    counter.begin(1)
    for _ in range(taken):
        counter.take()
    writer = SegmentWriter(path, "p", 1, segment_bytes=segment_bytes)
    writer.open()
    for number in written:
        payload = encode(make_event(producer=Producer("p", 1, number)))
        writer.append([frame.pack(payload)], [(number, number)])
    writer.close()
    return counter


def records(path: Path) -> list[bytes]:
    """All records in the folder."""
    return [payload for name in segments(path) for payload in contents(path / name.text()).records]


def test_exactly_the_missing_numbers_are_named(tmp_path: Path) -> None:
    """Numbers taken and not written stand in one loss record, and the epoch has an end that is not clean."""
    counter = dead_folder(tmp_path, taken=10, written=[1, 2, 4, 7])
    assert list(adopt(tmp_path, counter, "p")) == [(3, 3), (5, 6), (8, 10)]
    loss = decode(records(tmp_path)[-1])
    assert loss.event_type == LOSS
    assert loss.details == {
        "producer": "p", "epoch": 1, "missing": [[3, 3], [5, 6], [8, 10]], "count": 6, "reason": "killed",
    }  # fmt: skip
    assert loss.producer == Producer("p", 1, 0)
    last = contents(tmp_path / segments(tmp_path)[-1].text())
    assert last.end is not None
    assert not last.end.clean
    assert counter.ended
    assert not adopt(tmp_path, counter, "p")  # nothing more to do
    counter.close()


def test_nothing_missing_means_no_loss_record(tmp_path: Path) -> None:
    """A process killed with everything written is ended without a loss."""
    counter = dead_folder(tmp_path, taken=3, written=[1, 2, 3])
    assert not adopt(tmp_path, counter, "p")
    assert len(records(tmp_path)) == 3
    assert counter.ended
    counter.close()


def test_what_was_delivered_long_ago_is_not_missing(tmp_path: Path) -> None:
    """Earlier segments may be gone: the newest one's header tells what they held."""
    counter = dead_folder(tmp_path, taken=20, written=list(range(1, 21)), segment_bytes=1500)
    names = segments(tmp_path)
    assert len(names) > 3
    for name in names[:-1]:
        (tmp_path / name.text()).unlink()
    assert not adopt(tmp_path, counter, "p")
    counter.close()


def test_a_header_that_is_torn_off_falls_back_to_the_segment_before(tmp_path: Path) -> None:
    """A newest segment without a whole header does not hide what the one before knows."""
    counter = dead_folder(tmp_path, taken=20, written=list(range(1, 21)), segment_bytes=1500)
    newest = tmp_path / segments(tmp_path)[-1].text()
    held = len(contents(newest).records)
    newest.write_bytes(newest.read_bytes()[:10])
    assert list(adopt(tmp_path, counter, "p")) == [(21 - held, 20)]
    counter.close()


def test_an_adopter_that_died_half_way_is_repeated_without_a_second_loss(tmp_path: Path) -> None:
    """If the end mark is lost, the next adopter finds the loss record and only ends the epoch."""
    counter = dead_folder(tmp_path, taken=5, written=[1, 2])
    adopt(tmp_path, counter, "p")
    newest = tmp_path / segments(tmp_path)[-1].text()
    data = newest.read_bytes()
    frames, _ = frame.read(data)
    os.truncate(newest, frames[-2].end)  # without the end mark
    counter.begin(1)
    for _ in range(5):
        counter.take()
    assert not adopt(tmp_path, counter, "p")
    assert sum(decode(payload).event_type == LOSS for payload in records(tmp_path)) == 1
    counter.close()


def test_two_adopters_write_the_same_bytes(tmp_path: Path) -> None:
    """The loss record depends only on what the dead process left, so the store sees a duplicate and no second loss."""
    counter = dead_folder(tmp_path, taken=5, written=[1, 2])
    first_segment = segments(tmp_path)[0]
    adopt(tmp_path, counter, "p")
    first = records(tmp_path)[-1]
    (tmp_path / segments(tmp_path)[-1].text()).unlink()
    assert segments(tmp_path) == [first_segment]
    counter.begin(1)
    for _ in range(5):
        counter.take()
    adopt(tmp_path, counter, "p")
    assert records(tmp_path)[-1] == first
    counter.close()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_killed_at_any_byte(tmp_path: Path, data: st.DataObject) -> None:
    """Wherever the newest segment is torn, written and missing numbers together are exactly those taken."""
    path = Path(tempfile.mkdtemp(dir=tmp_path))
    counter = dead_folder(path, taken=8, written=[1, 2, 3, 5, 6, 7], segment_bytes=2000)
    newest = path / segments(path)[-1].text()
    os.truncate(newest, data.draw(st.integers(0, newest.stat().st_size)))
    missing = adopt(path, counter, "p")
    written = {decode(payload).producer.seq for payload in records(path)} - {0}
    named = {number for first, last in missing for number in range(first, last + 1)}
    assert written | named == set(range(1, 9))
    assert not written & named
    counter.close()


def test_a_loss_is_not_below_what_was_promised(tmp_path: Path) -> None:
    """An idle process says for long that it has nothing; what it then takes and loses is dated after its last word."""
    counter = dead_folder(tmp_path, taken=2, written=[1])
    counter.floor_ms = (segments_at_ms := tmp_path.stat().st_mtime_ns // 1_000_000) + 3_600_000
    assert list(adopt(tmp_path, counter, "p")) == [(2, 2)]
    loss = decode(records(tmp_path)[-1])
    assert id_ms(loss.event_id) == counter.floor_ms > segments_at_ms
    counter.close()
