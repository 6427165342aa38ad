"""Tests of `audit.spool.cursor`."""

from pathlib import Path

from audit.spool.cursor import Cursor, cursor_file, cursors
from audit.spool.reader import FolderReader
from tests.audit.spool.test_inspect import filled


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
