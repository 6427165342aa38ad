"""Files of an import."""

from pathlib import Path

import pytest

from lychgate.errors import ConfigurationError
from lychgate.routes_import.files import place, read_bytes, read_text, require_free


def test_a_file_that_is_there_is_written_over_only_where_it_is_added_to(tmp_path: Path) -> None:
    """Also under another name."""
    file, other = tmp_path / "routes.toml", tmp_path / "link.toml"
    require_free(file, None)
    require_free(None, file)
    file.write_text("old")
    other.symlink_to(file)
    require_free(file, other)
    for old in (None, tmp_path / "nowhere"):
        with pytest.raises(ConfigurationError, match="is there already, and decisions in it would be lost"):
            require_free(file, old)


def test_a_file_is_written_whole_and_a_link_stays_one(tmp_path: Path) -> None:
    """New, replaced, or not at all."""
    file, link = tmp_path / "routes.toml", tmp_path / "link.toml"
    place(file, "a\r\n")
    file.chmod(0o640)
    link.symlink_to(file)
    place(link, "b\r\n")
    assert (file.read_bytes(), file.stat().st_mode & 0o777, link.is_symlink()) == (b"b\r\n", 0o640, True)
    with pytest.raises(ConfigurationError, match="nowhere/x: cannot be written: No such file"):
        place(tmp_path / "nowhere" / "x", "")


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    """Not there, or no text."""
    with pytest.raises(ConfigurationError, match="x: cannot be read: No such file"):
        read_bytes(tmp_path / "x")
    (tmp_path / "x").write_bytes(b"\xff\xfe")
    assert read_bytes(tmp_path / "x", 1) == b"\xff"
    with pytest.raises(ConfigurationError, match="x: not UTF-8"):
        read_text(tmp_path / "x")
