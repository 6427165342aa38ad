"""Section `[tool.lychgate.audit-lint]` of a `pyproject.toml`: what a tree's emits are held against."""

import tomllib
from pathlib import Path
from typing import Any

import msgspec

from lychgate.errors import ConfigurationError

SECTION = "tool.lychgate.audit-lint"


class LintSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is linted, and against what. Paths are from the file's folder.

    Attributes:
        paths: Files and folders to look at.
        registry: Registry files; Lychgate's own where none is named.
        against: The registry of the last release: a file, or a Git revision that has the registry under the same path.
        emitters: Functions besides Lychgate's whose first argument is an event's type.
        secrets: Names of secrets besides the built-in ones.
        complete: Whether the paths are all that emit, so that a type that none emits is a finding.
    """

    paths: tuple[str, ...] = ()
    registry: tuple[str, ...] = ()
    against: str | None = None
    emitters: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    complete: bool = False


def read_settings(file: Path) -> LintSettings:
    """The section of a file; defaults where the file or the section is missing.

    Raises:
        ConfigurationError: It is not TOML, or the section is wrong.
    """
    try:
        document: dict[str, Any] = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return LintSettings()
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as exc:
        raise ConfigurationError(f"{file}: {exc}") from exc
    found: Any = document
    for key in SECTION.split("."):
        found = found.get(key, {}) if isinstance(found, dict) else {}
    try:
        return msgspec.convert(found, LintSettings)
    except msgspec.ValidationError as exc:
        raise ConfigurationError(f"{file}: [{SECTION}]: {exc}") from exc
