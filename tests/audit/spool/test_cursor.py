"""Tests of `audit.spool.cursor`."""

from pathlib import Path

import msgspec
import pytest

from audit.spool import cursor as module
from audit.spool.cursor import Cursor, cursor_file, cursors, load, store
from audit.spool.folder import Counter
from audit.spool.reader import FolderReader
from tests.audit.spool.test_inspect import filled


def test_it_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    """With what was passed over and not recorded yet; a private file, and nothing is left beside it."""
    file = tmp_path / "cursor-s.json"
    kept = Cursor(3, 2, 700, [(1, 5)], [{"sink": "s", "missing": [[1, 2]]}])
    store(file, kept)
    assert load(file) == kept
    assert kept.place == (3, 2)
    assert file.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == [file.name]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"epoch":"x"}', b"\xff"])
def test_what_cannot_be_read_counts_as_none(tmp_path: Path, content: bytes) -> None:
    """It costs duplicates and nothing else."""
    (tmp_path / "cursor-s.json").write_bytes(content)
    assert load(tmp_path / "cursor-s.json") is None
    assert load(tmp_path / "cursor-other.json") is None


def test_a_cursor_of_numbers_the_folder_no_longer_has_passes_nothing_over(tmp_path: Path) -> None:
    """Somebody has emptied the folder, and a new counter has begun at one."""
    counter = Counter(tmp_path)
    counter.begin(2)
    counter.close()
    store(tmp_path / "cursor-s.json", Cursor(2, 9, 0))
    assert load(tmp_path / "cursor-s.json") is not None
    store(tmp_path / "cursor-s.json", Cursor(3, 1, 0))
    assert load(tmp_path / "cursor-s.json") is None


def test_a_crash_while_writing_leaves_the_one_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Written aside, synced, renamed."""
    file = tmp_path / "cursor-s.json"
    store(file, Cursor(1, 1, 10))

    def fails(_fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.os, "fdatasync", fails)
    with pytest.raises(OSError, match="No space"):
        store(file, Cursor(1, 1, 20))
    assert load(file) == Cursor(1, 1, 10)
    assert msgspec.json.decode(file.read_bytes())["offset"] == 10


def test_a_disk_that_takes_a_part_at_a_time_gets_all_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a cursor would be none, and what it was moved over would be named by nobody."""
    file, write = tmp_path / "cursor-s.json", module.os.write
    kept = Cursor(3, 2, 700, [(1, 5)], [{"sink": "s", "missing": [[1, 2]]}])
    monkeypatch.setattr(module.os, "write", lambda fd, data: write(fd, bytes(data)[:10]))
    store(file, kept)
    assert load(file) == kept


def test_cursors_are_what_readers_saved(tmp_path: Path) -> None:
    """One for each sink; one that cannot be read is left out."""
    path = filled(tmp_path)
    reader = FolderReader(path, "store")
    batch = reader.read(2, 1 << 20)
    assert batch is not None
    reader.advance(batch)
    reader.save()
    cursor_file(path, "kafka").write_text("{not json")
    assert set(cursors(path)) == {"store"}
    assert isinstance(cursors(path)["store"], Cursor)
