"""Tests of `audit.spool.adopt`."""

import os
import tempfile
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audit.codec import decode, encode
from audit.errors import SpoolBusy
from audit.event import Producer
from audit.ids import id_ms
from audit.spool import frame
from audit.spool.adopt import adopt, adopt_folder, producer_of, unsaid
from audit.spool.cursor import cursor_file
from audit.spool.folder import Counter, lock
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


@pytest.mark.parametrize("clean", [True, False])
def test_an_end_mark_that_was_delivered_before_it_was_noted(tmp_path: Path, clean: bool) -> None:
    """The owner, or its adopter, dies after the end mark; the relay delivers and unlinks all: nothing is missing."""
    counter = dead_folder(tmp_path, taken=4, written=[1, 2, 3, 4] if clean else [1, 2])
    if clean:
        counter.begin_end()
        writer = SegmentWriter(tmp_path, "p", 1, segment_bytes=10_000, first=2)
        writer.seen.add(1, 4)
        writer.end(4, clean=True)
        writer.close()
    else:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Counter, "end", lambda _: None)
            assert list(adopt(tmp_path, counter, "p")) == [(3, 4)]
    for name in segments(tmp_path):
        (tmp_path / name.text()).unlink()
    assert not adopt(tmp_path, counter, "p")
    assert segments(tmp_path) == []
    assert counter.ended
    counter.close()


def test_an_epoch_that_never_began_has_no_end_to_write(tmp_path: Path) -> None:
    """Killed between its first number and its first segment, with no number taken."""
    counter = Counter(tmp_path)
    counter.begin(7)
    assert not adopt(tmp_path, counter, "p")
    assert counter.ended
    assert segments(tmp_path) == []
    counter.close()


def test_cursors_tell_where_no_header_does(tmp_path: Path) -> None:
    """The only segment left has lost its header: what a sink had got before it is not reported as lost."""
    counter = dead_folder(tmp_path, taken=20, written=list(range(1, 21)), segment_bytes=1500)
    *earlier, newest = segments(tmp_path)
    for name in earlier:
        (tmp_path / name.text()).unlink()
    (tmp_path / newest.text()).write_bytes(b"\xff" * 50)
    held = [[1, 16]]
    cursor_file(tmp_path, "store").write_bytes(
        msgspec.json.encode({"epoch": 1, "n": newest.n + 3, "offset": 0, "seen": held})
    )
    assert list(unsaid(tmp_path)) == [(17, 20)]
    assert list(adopt(tmp_path, counter, "p")) == [(17, 20)]
    assert segments(tmp_path)[-1].n == newest.n + 3  # where that sink will look
    counter.close()


def test_a_folder_is_adopted_only_if_nobody_lives_in_it(tmp_path: Path) -> None:
    """Under its lock, in the name that its segments bear, whatever the copy is called."""
    dead_folder(tmp_path / "copy", taken=3, written=[1]).close()
    assert producer_of(tmp_path / "copy") == "p"
    held = lock(tmp_path / "copy")
    with pytest.raises(SpoolBusy):
        adopt_folder(tmp_path / "copy")
    os.close(held)
    assert list(unsaid(tmp_path / "copy")) == [(2, 3)]
    assert list(adopt_folder(tmp_path / "copy")) == [(2, 3)]
    assert decode(records(tmp_path / "copy")[-1]).producer == Producer("p", 1, 0)
    assert not unsaid(tmp_path / "copy")
    (tmp_path / "empty").mkdir()
    assert producer_of(tmp_path / "empty") == "empty"
    assert not unsaid(tmp_path / "empty")


def test_a_loss_is_not_below_what_was_promised(tmp_path: Path) -> None:
    """An idle process says for long that it has nothing; what it then takes and loses is dated after its last word."""
    counter = dead_folder(tmp_path, taken=2, written=[1])
    counter.floor_ms = (segments_at_ms := tmp_path.stat().st_mtime_ns // 1_000_000) + 3_600_000
    assert list(adopt(tmp_path, counter, "p")) == [(2, 2)]
    loss = decode(records(tmp_path)[-1])
    assert id_ms(loss.event_id) == counter.floor_ms > segments_at_ms
    counter.close()
