"""Lines of files."""

import io
import sys
from pathlib import Path

import pytest

from lychgate.errors import ConfigurationError
from lychgate.replay import lines as module
from lychgate.replay.lines import lines


def test_all_lines_of_all_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One after the other, `-` is standard input; the last line may lack its end; empty lines do not count."""
    (tmp_path / "a").write_bytes(b"1\n\n2\r\n")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"3\n4")))
    assert list(lines([tmp_path / "a", Path("-")])) == [b"1", b"2", b"3", b"4"]


def test_a_line_without_end_does_not_fill_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is cut, and the next line is a line of its own."""
    monkeypatch.setattr(module, "LINE_BYTES", 8)
    (tmp_path / "a").write_bytes(b"x" * 50 + b"\nnext\n" + b"y" * 8 + b"\nlast\n")
    assert list(lines([tmp_path / "a"])) == [b"x" * 8, b"next", b"y" * 8, b"last"]


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """Says which."""
    with pytest.raises(ConfigurationError, match=r"/gone: cannot be read: No such file or directory"):
        list(lines([tmp_path / "gone"]))
