"""Which files are decision tables."""

from pathlib import Path

import pytest

from lychgate.errors import ConfigurationError
from lychgate.tables import table_texts


def test_folders_are_looked_through(tmp_path: Path) -> None:
    """However deep, in order, each file once, nothing else."""
    (tmp_path / "deep").mkdir()
    for name in ("b.yaml", "a.yml", "deep/c.json", "notes.md"):
        (tmp_path / name).write_text(name)
    found = table_texts([tmp_path, tmp_path / "b.yaml"])
    assert found == [(str(tmp_path / name), name) for name in ("a.yml", "b.yaml", "deep/c.json")]


def test_what_cannot_be_read_is_told(tmp_path: Path) -> None:
    """By name, with the reason."""
    (tmp_path / "bytes.yaml").write_bytes(b"a\n\xff")
    (tmp_path / "notes.md").write_text("")
    (tmp_path / "empty").mkdir()
    (tmp_path / "loop.yaml").symlink_to("loop.yaml")
    for name, message in (
        ("bytes.yaml", ":2: not UTF-8"),
        ("notes.md", ": not a table; its name would end in .yaml, .yml, .json"),
        ("nowhere.yaml", ": there is no such file or folder"),
        ("empty", ": there is no table here (*.yaml, *.yml, *.json)"),
        ("loop.yaml", ": there is no such file or folder"),
    ):
        with pytest.raises(ConfigurationError) as refused:
            table_texts([tmp_path / name])
        assert str(refused.value) == f"{tmp_path / name}{message}"
