"""Tests of `audit.spool.writer`."""

import errno
import os
from pathlib import Path

import pytest

from audit.spool import frame
from audit.spool.segment import EndMark, contents, segments
from audit.spool.writer import PartlyWritten, SegmentWriter


def read_all(folder: Path) -> list[bytes]:
    """All records in the folder."""
    return [payload for name in segments(folder) for payload in contents(folder / name.text()).records]


def test_segments_rotate_and_each_header_tells_what_was_before(tmp_path: Path) -> None:
    """A full segment is synced and followed by another, whose header lists the numbers so far."""
    writer = SegmentWriter(tmp_path, "p", 1, segment_bytes=200)
    for number in range(1, 7):
        writer.append([frame.pack(b"x" * 60)], [(number, number)])
    writer.end(6, clean=True)
    writer.close()
    read = [contents(tmp_path / name.text()) for name in segments(tmp_path)]
    assert sum(len(each.records) for each in read) == 6
    count = 0
    for each in read:
        assert each.header is not None
        assert [tuple(pair) for pair in each.header.seen] == ([(1, count)] if count else [])
        count += len(each.records)
    assert read[-1].end == EndMark(6, [(1, 6)], clean=True)


def test_a_failed_append_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A short write is cut off again, and the next append stands where it should."""
    writer = SegmentWriter(tmp_path, "p", 1, segment_bytes=10_000)
    writer.append([frame.pack(b"one")], [(1, 1)])
    file, size = tmp_path / writer.name.text(), writer.size
    real = os.pwrite

    def short(fd: int, data: bytes, offset: int) -> int:
        real(fd, bytes(data)[:5], offset)
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("audit.spool.writer.os.pwrite", short)
        with pytest.raises(OSError, match="No space"):
            writer.append([frame.pack(b"two")], [(2, 2)])
        assert file.stat().st_size == size
    writer.append([frame.pack(b"three")], [(3, 3)])
    writer.close()
    assert read_all(tmp_path) == [b"one", b"three"]
    assert list(writer.seen) == [(1, 1), (3, 3)]


def test_a_file_that_cannot_even_be_cut_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When truncation fails too, the next append opens another segment; a torn tail is all that is left."""
    writer = SegmentWriter(tmp_path, "p", 1, segment_bytes=10_000)
    writer.append([frame.pack(b"one")], [(1, 1)])

    def fails(*_: object) -> int:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr("audit.spool.writer.os.pwrite", fails)
        patch.setattr("audit.spool.writer.os.ftruncate", fails)
        with pytest.raises(OSError, match="Input/output"):
            writer.append([frame.pack(b"two")], [(2, 2)])
    with pytest.raises(OSError, match="Input/output"):  # the first record was never synced, and now cannot be
        writer.sync()
    writer.append([frame.pack(b"three")], [(3, 3)])
    writer.sync()
    writer.close()
    assert len(segments(tmp_path)) == 2
    assert read_all(tmp_path) == [b"one", b"three"]


class Room:
    """A disk that takes so many bytes more, as a short write says it, and then says what is wrong."""

    def __init__(self, room: int, number: int) -> None:
        self.room, self.number, self.real = room, number, os.pwrite

    def __call__(self, fd: int, data: bytes, offset: int) -> int:
        """Write what there is room for."""
        taken = bytes(data)[: self.room]
        if not taken:
            raise OSError(self.number, os.strerror(self.number))
        self.room -= len(taken)
        return self.real(fd, taken, offset)


def append_three(
    writer: SegmentWriter, room: int, number: int, monkeypatch: pytest.MonkeyPatch, *, last_words: bool = False
) -> int:
    """Append the numbers 2, 3 and 4 where there is room for so many bytes; how many the writer says it took."""
    frames = [frame.pack(word * 20) for word in (b"a", b"b", b"c")]
    with monkeypatch.context() as patch:
        patch.setattr("audit.spool.writer.os.pwrite", Room(room, number))
        with pytest.raises(OSError, match=os.strerror(number)) as raised:
            writer.append(frames, [(2, 4)], part=lambda count: [(2, 1 + count)], last_words=last_words)
    return raised.value.frames if isinstance(raised.value, PartlyWritten) else 0


SIZE = len(frame.pack(b"a" * 20))


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize(
    ("room", "whole"), [(0, 0), (SIZE - 1, 0), (SIZE, 1), (SIZE + 1, 1), (2 * SIZE + 3, 2), (3 * SIZE - 1, 2)]
)
def test_frames_that_are_whole_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int, whole: int, number: int
) -> None:
    """Whoever reads along may have taken them: they count, the rest does not, and the next stands behind them."""
    writer = SegmentWriter(tmp_path, "p", 1, segment_bytes=10_000)
    writer.append([frame.pack(b"one")], [(1, 1)])
    assert append_three(writer, room, number, monkeypatch) == whole
    assert list(writer.seen) == [(1, 1 + whole)]
    writer.append([frame.pack(b"five")], [(5, 5)])
    writer.sync()
    writer.close()
    assert read_all(tmp_path) == [b"one", *[b"a" * 20, b"b" * 20][:whole], b"five"]
    names = segments(tmp_path)
    assert len(names) == (2 if number == errno.ENOSPC else 1)  # what is full is closed, so that it can be taken away
    if len(names) > 1:
        header = contents(tmp_path / names[1].text()).header
        assert header is not None
        assert [tuple(pair) for pair in header.seen] == [(1, 1 + whole)]


def test_last_words_go_on_where_the_disk_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it took of them is not said twice; the rest stands in the next segment, or is not counted."""
    writer = SegmentWriter(tmp_path, "p", 1, segment_bytes=10_000)
    writer.append([frame.pack(b"one")], [(1, 1)])
    assert append_three(writer, SIZE + 5, errno.ENOSPC, monkeypatch, last_words=True) == 1
    assert list(writer.seen) == [(1, 2)]
    writer.append([frame.pack(b"five")], [(5, 5)], last_words=True)
    writer.close()
    assert read_all(tmp_path) == [b"one", b"a" * 20, b"five"]


def test_whole_frames_in_a_file_that_cannot_be_cut_are_not_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is given up with them, and a sync says so."""
    writer = SegmentWriter(tmp_path, "p", 1, segment_bytes=10_000)
    writer.append([frame.pack(b"one")], [(1, 1)])
    writer.sync()

    def fails(*_: object) -> int:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr("audit.spool.writer.os.ftruncate", fails)
        assert append_three(writer, SIZE + 5, errno.EIO, monkeypatch) == 1
    with pytest.raises(OSError, match="Input/output"):
        writer.sync()
    writer.close()
    assert read_all(tmp_path) == [b"one", b"a" * 20]


def test_a_segment_that_cannot_be_begun_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A header that cannot be written takes its file with it."""
    writer = SegmentWriter(tmp_path, "p", 1, segment_bytes=10_000)

    def fails(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("audit.spool.writer.os.pwrite", fails)
        with pytest.raises(OSError, match="No space"):
            writer.open()
    assert segments(tmp_path) == []
    writer.append([frame.pack(b"one")], [(1, 1)])
    writer.close()
    assert read_all(tmp_path) == [b"one"]


def test_nothing_that_is_there_is_written_to(tmp_path: Path) -> None:
    """A file, a link or a folder under the next names is passed over; so is what a predecessor left half made."""
    (tmp_path / "00000001-000001.seg").symlink_to(tmp_path / "theirs")
    (tmp_path / "00000001-000002.seg").mkdir()
    (tmp_path / "00000001-000003.seg").write_bytes(b"kept")
    (tmp_path / "segment.new").symlink_to(tmp_path / "theirs")
    writer = SegmentWriter(tmp_path, "p", 1, segment_bytes=10_000)
    writer.append([frame.pack(b"one")], [(1, 1)])
    writer.close()
    assert writer.name.n == 4
    assert contents(tmp_path / writer.name.text()).records == [b"one"]
    assert (tmp_path / "00000001-000003.seg").read_bytes() == b"kept"
    assert not (tmp_path / "theirs").exists()


def test_a_segment_has_its_header_when_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever sees the file sees what was before it: from then on the relay may take the earlier ones away."""
    named: list[int] = []
    real = os.fdatasync

    def look(fd: int) -> None:
        named.append(len(segments(tmp_path)))
        real(fd)

    monkeypatch.setattr("audit.spool.writer.os.fdatasync", look)
    writer = SegmentWriter(tmp_path, "p", 1, segment_bytes=10_000)
    writer.open()
    assert named == [0]
    [name] = segments(tmp_path)
    assert contents(tmp_path / name.text()).header is not None
    writer.close()


def test_nothing_is_begun_in_a_folder_that_is_not_ours_any_more(tmp_path: Path) -> None:
    """Whoever has it now may use the same names."""
    ours = True
    writer = SegmentWriter(tmp_path, "p", 1, segment_bytes=100, owned=lambda: ours)
    writer.append([frame.pack(b"x" * 80)], [(1, 1)])
    ours = False
    with pytest.raises(OSError, match=os.strerror(116)):
        writer.append([frame.pack(b"x" * 80)], [(2, 2)])
    assert len(segments(tmp_path)) == 1


def test_a_sync_that_fails_when_a_segment_is_full_is_told_at_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The new records go into the next file at once; the next sync says that the earlier ones are not safe."""
    writer = SegmentWriter(tmp_path, "p", 1, segment_bytes=150)
    writer.append([frame.pack(b"x" * 80)], [(1, 1)])
    real, failed = os.fdatasync, []

    def fails_once(fd: int) -> None:
        if not failed:
            failed.append(fd)
            raise OSError(5, "Input/output error")
        real(fd)

    monkeypatch.setattr("audit.spool.writer.os.fdatasync", fails_once)
    writer.append([frame.pack(b"y" * 80)], [(2, 2)])
    assert writer.name.n == 2
    with pytest.raises(OSError, match="Input/output"):
        writer.sync()
    writer.sync()
    writer.close()
