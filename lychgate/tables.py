"""The files of decision tables: which there are, and what is in them."""

from collections.abc import Iterable
from pathlib import Path

from lychgate.errors import ConfigurationError
from policies.load import SourceText

_ENDINGS = (".yaml", ".yml", ".json")


def table_texts(paths: Iterable[Path]) -> list[SourceText]:
    """Read tables.

    Args:
        paths: Files, or folders of which every table is read, however deep.

    Returns:
        Name and text of each, each once, in order.

    Raises:
        ConfigurationError: There is no such file, it is not a table, it cannot be read, or there is none at all.
    """
    return [(str(file), text_of(file)) for file in dict.fromkeys(file for path in paths for file in _files(path))]


def text_of(file: Path) -> str:
    """The text of a file.

    Raises:
        ConfigurationError: It cannot be read.
    """
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError as exc:
        line = exc.object.count(b"\n", 0, exc.start) + 1
        raise ConfigurationError(f"{file}:{line}: not UTF-8") from exc
    except OSError as exc:
        raise ConfigurationError(f"{file}: cannot be read: {exc.strerror}") from exc


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        found = sorted(file for file in path.rglob("*") if file.suffix in _ENDINGS and file.is_file())
        if not found:
            raise ConfigurationError(f"{path}: there is no table here ({', '.join(f'*{end}' for end in _ENDINGS)})")
        return found
    if not path.exists():
        raise ConfigurationError(f"{path}: there is no such file or folder")
    if path.suffix not in _ENDINGS:
        raise ConfigurationError(f"{path}: not a table; its name would end in {', '.join(_ENDINGS)}")
    return [path]
