"""Policy files on a disk."""

import os
from pathlib import Path

import pytest

from lychgate.errors import ConfigurationError
from lychgate.policy_files import policy_files, read_policies, replace_policies


def test_files_and_folders(tmp_path: Path) -> None:
    """In order, each once; what is no `.cedar` file in a folder is left alone."""
    for name in ("b.cedar", "a.cedar", "schema.cedarschema", "notes.txt"):
        (tmp_path / name).write_text("")
    files = list(policy_files([tmp_path / "b.cedar", tmp_path]))
    assert [file.name for file in files] == ["b.cedar", "a.cedar"]


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    """Before anything is changed."""
    with pytest.raises(ConfigurationError, match=r"nope: there is no such file"):
        list(policy_files([tmp_path / "nope"]))
    with pytest.raises(ConfigurationError, match=r"no `\.cedar` file here"):
        list(policy_files([tmp_path]))


def test_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    """Not UTF-8, or not a file."""
    file = tmp_path / "a.cedar"
    file.write_bytes(b"\xff")
    with pytest.raises(ConfigurationError, match=r"a\.cedar: not UTF-8"):
        read_policies(file)
    with pytest.raises(ConfigurationError, match=r"cannot be read: Is a directory"):
        read_policies(tmp_path)


def test_a_file_is_replaced_whole_with_its_mode(tmp_path: Path) -> None:
    """A symlink stays one, and nothing is left beside it."""
    file, link = tmp_path / "a.cedar", tmp_path / "link.cedar"
    file.write_text("old")
    file.chmod(0o640)
    link.symlink_to(file)
    before = file.stat().st_ino
    replace_policies(link, "new\r\n")
    assert file.read_bytes() == b"new\r\n"
    assert (file.stat().st_mode & 0o777, link.is_symlink()) == (0o640, True)
    assert file.stat().st_ino != before
    assert sorted(tmp_path.iterdir()) == [file, link]


def test_a_file_that_cannot_be_replaced_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And what was begun beside it goes."""
    file = tmp_path / "a.cedar"
    file.write_text("old")

    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(ConfigurationError, match=r"a\.cedar: cannot be written: No space left on device"):
        replace_policies(file, "new")
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]
