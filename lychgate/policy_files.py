"""Policy files on a disk: which there are, and how one is replaced whole."""

import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from lychgate.errors import ConfigurationError


def policy_files(paths: Iterable[Path]) -> Iterator[Path]:
    """The `.cedar` files that paths name, each once: files themselves, folders what is directly in them, sorted.

    Raises:
        ConfigurationError: A path is not there, or a folder has none.
    """
    seen: set[Path] = set()
    for path in paths:
        found = sorted(path.glob("*.cedar")) if path.is_dir() else [path]
        if not found:
            raise ConfigurationError(f"{path}: no `.cedar` file here")
        for file in found:
            if not file.is_file():
                raise ConfigurationError(f"{file}: there is no such file")
            if file not in seen:
                seen.add(file)
                yield file


def read_policies(file: Path) -> str:
    """A file's text, line ends as they are.

    Raises:
        ConfigurationError: It cannot be read, or is not UTF-8.
    """
    try:
        return file.read_bytes().decode("utf-8")
    except OSError as exc:
        raise ConfigurationError(f"{file}: cannot be read: {exc.strerror}") from exc
    except UnicodeDecodeError as exc:
        raise ConfigurationError(f"{file}: not UTF-8") from exc


def replace_policies(file: Path, text: str) -> None:
    """Put another text in a file's place, at once and with its mode: nobody ever reads half of it.

    Raises:
        ConfigurationError: It cannot be written; the file is as it was.
    """
    target = file.resolve()  # a symlink stays one
    try:
        handle, made = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        try:
            with os.fdopen(handle, "w", encoding="utf-8", newline="") as out:
                os.fchmod(out.fileno(), target.stat().st_mode & 0o7777)
                out.write(text)
                out.flush()
                os.fsync(out.fileno())
            Path(made).replace(target)
        except BaseException:
            with suppress(FileNotFoundError):
                Path(made).unlink()
            raise
    except OSError as exc:
        raise ConfigurationError(f"{file}: cannot be written: {exc.strerror}") from exc
