"""The cursor key: made once, kept, shared, and never half there."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from query.cursor_key import cursor_key
from query.errors import NotFit


def test_a_key_is_made_once_and_kept(tmp_path: Path) -> None:
    """The first call makes the file for its owner alone, the next ones read it."""
    path = tmp_path / "keys" / "cursor.key"
    first = cursor_key(path)
    assert len(first) == 32
    assert cursor_key(path) == first
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert [file.name for file in path.parent.iterdir()] == ["cursor.key"]


def test_many_at_once_agree(tmp_path: Path) -> None:
    """Processes that start together end up with the same key."""
    path = tmp_path / "cursor.key"
    with ThreadPoolExecutor(16) as pool:
        keys = set(pool.map(cursor_key, [path] * 64))
    assert len(keys) == 1


@pytest.mark.parametrize("content", ["", "c2hvcnQ=", "ä", "not base64 at all!"])
def test_something_else_is_no_key(tmp_path: Path, content: str) -> None:
    """A file with anything but 32 bytes of base64url is refused by name, and not overwritten."""
    path = tmp_path / "cursor.key"
    path.write_text(content)
    with pytest.raises(NotFit, match=r"cursor\.key"):
        cursor_key(path)
    assert path.read_text() == content


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """A folder that is a file is no place for a key."""
    (tmp_path / "keys").write_text("")
    with pytest.raises(NotFit, match="cannot be read or made"):
        cursor_key(tmp_path / "keys" / "cursor.key")
