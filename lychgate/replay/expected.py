"""A list of flips that are meant, written by people, in; expectations out. Says where an entry is wrong."""

from pathlib import Path
from typing import Any

import msgspec

from lychgate.errors import ConfigurationError
from lychgate.yaml_file import parse
from policies.replay.tally import Expectation

_SECTION = "expected"


def read_expected(file: Path) -> list[Expectation]:
    """Read a list of expectations: `expected: [{role, action, resource, from, to, why}, ...]`.

    Raises:
        ConfigurationError: It cannot be read, or an entry is not one; with file and line.
    """
    try:
        parsed = parse(file.read_text(encoding="utf-8"), str(file))
    except UnicodeDecodeError as exc:
        raise ConfigurationError(f"{file}: not UTF-8") from exc
    except OSError as exc:
        raise ConfigurationError(f"{file}: cannot be read: {exc.strerror}") from exc
    for key in parsed.values:
        if key != _SECTION:
            raise ConfigurationError(f"{parsed.place((key,)) or file}: `{key}` is not `{_SECTION}`")
    entries: Any = parsed.values.get(_SECTION) or []
    if not isinstance(entries, list):
        raise ConfigurationError(f"{parsed.place((_SECTION,)) or file}: `{_SECTION}` is not a list")
    found = []
    for number, entry in enumerate(entries):
        try:
            found.append(msgspec.convert(entry, Expectation))
        except msgspec.ValidationError as exc:
            place = parsed.place((_SECTION, number)) or file
            raise ConfigurationError(f"{place}: {_worded(exc)}") from exc
    return found


def _worded(exc: msgspec.ValidationError) -> str:
    text = str(exc)
    return text[:1].lower() + text[1:]
