"""The files of an import: read within bounds, written whole, and none written over that nobody named as the old one."""

from pathlib import Path

from lychgate.errors import ConfigurationError
from lychgate.policy_files import replace_policies


def read_bytes(file: Path, limit: int = -1) -> bytes:
    """The first `limit` bytes of a file; all of them where it is negative.

    Raises:
        ConfigurationError: It cannot be read.
    """
    try:
        with file.open("rb") as opened:
            return opened.read(limit)
    except OSError as exc:
        raise ConfigurationError(f"{file}: cannot be read: {exc.strerror}") from exc


def read_text(file: Path) -> str:
    """A file's text, line ends as they are.

    Raises:
        ConfigurationError: It cannot be read, or is not UTF-8.
    """
    try:
        return read_bytes(file).decode("utf-8")
    except UnicodeDecodeError as exc:
        raise ConfigurationError(f"{file}: not UTF-8") from exc


def require_free(file: Path | None, old: Path | None) -> None:
    """Refuse to write over a file that is there, unless it is the one that is added to.

    Raises:
        ConfigurationError: It is there: what people decided in it would be lost.
    """
    if file is None or not file.exists() or (old is not None and old.exists() and file.samefile(old)):
        return
    raise ConfigurationError(f"{file}: is there already, and decisions in it would be lost; --against adds to it")


def place(file: Path, text: str) -> None:
    """Write a file: a new one, or the old one replaced at once.

    Raises:
        ConfigurationError: It cannot be written.
    """
    if file.exists():
        replace_policies(file, text)
        return
    try:
        with file.open("x", encoding="utf-8", newline="") as opened:
            opened.write(text)
    except OSError as exc:
        raise ConfigurationError(f"{file}: cannot be written: {exc.strerror}") from exc
