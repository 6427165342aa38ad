"""`lychgate.event_lint.settings`: the section of `pyproject.toml`."""

from pathlib import Path

import pytest

from lychgate.errors import ConfigurationError
from lychgate.event_lint.settings import LintSettings, read_settings


def test_no_file_and_no_section_are_the_defaults(tmp_path: Path) -> None:
    """Nothing is configured."""
    assert read_settings(tmp_path / "pyproject.toml") == LintSettings()
    (tmp_path / "pyproject.toml").write_text("[tool]\nx = 1\n")
    assert read_settings(tmp_path / "pyproject.toml") == LintSettings()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[tool", "pyproject.toml"),
        ("[tool.lychgate.audit-lint]\npath = []\n", "unknown field `path`"),
        ('[tool.lychgate.audit-lint]\npaths = "audit"\n', r"Expected `array`, got `str` - at `\$.paths`"),
        ("[tool.lychgate]\naudit-lint = 3\n", "Expected `object`"),
    ],
)
def test_a_wrong_section_is_refused_with_its_place(text: str, reason: str, tmp_path: Path) -> None:
    """File, section and key."""
    (tmp_path / "pyproject.toml").write_text(text)
    with pytest.raises(ConfigurationError, match=reason):
        read_settings(tmp_path / "pyproject.toml")
