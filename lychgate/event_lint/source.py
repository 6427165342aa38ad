"""Paths to parsed modules. Whatever a file holds, it is a module or a finding, never a traceback."""

import ast
import os
import stat
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from policies.errors import Finding

MAX_BYTES: Final = 2 << 20
"""Ours have 20 KiB. Twice a megabyte is generated data, and parsing takes a hundred times its size in memory."""
_SKIPPED: Final = frozenset({"__pycache__", "node_modules", "site-packages", "venv", "build", "dist"})


class Source(NamedTuple):
    """A module as it was read.

    Attributes:
        file: As findings name it.
        name: Dotted, as others import it.
        text: Whole.
        tree: Parsed.
    """

    file: str
    name: str
    text: str
    tree: ast.Module


def read_sources(paths: Iterable[Path]) -> tuple[list[Source], list[Finding]]:
    """Every Python file below some paths.

    Args:
        paths: Files and folders; hidden folders and those of tools are passed over, links to folders not followed.

    Returns:
        The modules, each once, sorted; and what is wrong with those that cannot be read.
    """
    sources: list[Source] = []
    findings: list[Finding] = []
    for path in sorted(set(_files(paths, findings))):
        read = _read(path)
        if isinstance(read, Finding):
            findings.append(read)
        else:
            sources.append(read)
    return sources, findings


def _files(paths: Iterable[Path], findings: list[Finding]) -> Iterator[Path]:
    for path in paths:
        if path.is_file():
            yield path
        elif path.is_dir():
            failed: list[OSError] = []
            for folder, below, names in os.walk(path, onerror=failed.append):
                below[:] = [name for name in below if name not in _SKIPPED and not name.startswith(".")]
                yield from (Path(folder, name) for name in names if name.endswith(".py"))
            # what could not be looked into is not what has nothing wrong in it
            findings += (
                Finding(str(it.filename), 0, 0, f"cannot be read: {it.strerror}", "unreadable-source") for it in failed
            )
        else:
            findings.append(Finding(str(path), 0, 0, "no such file or folder", "unreadable-source"))


def _read(path: Path) -> Source | Finding:  # noqa: PLR0911 - one line a trouble
    file = str(path)
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):  # a pipe named x.py would keep us waiting for ever
            return Finding(file, 0, 0, "not a regular file", "unreadable-source")
        size = found.st_size
        if size > MAX_BYTES:
            return Finding(file, 0, 0, f"{size} bytes; {MAX_BYTES} are read", "unreadable-source")
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        return Finding(file, 0, 0, f"not UTF-8 at byte {exc.start}", "unreadable-source")
    except OSError as exc:
        return Finding(file, 0, 0, f"cannot be read: {exc.strerror}", "unreadable-source")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an odd escape in somebody's string is not our finding
            tree = ast.parse(text)
    except SyntaxError as exc:
        return Finding(file, exc.lineno or 0, max(exc.offset or 0, 0), f"{exc.msg}", "source-syntax")
    except (RecursionError, MemoryError):
        return Finding(file, 0, 0, "nests too deep to be read", "source-syntax")
    except ValueError as exc:  # a NUL, with some versions
        return Finding(file, 0, 0, f"{exc}", "source-syntax")
    return Source(file, _dotted(path), text, tree)


def _dotted(path: Path) -> str:
    """The name a module is imported by: from the first folder above that is no package."""
    path = path.resolve()
    parts = [] if path.stem == "__init__" else [path.stem]
    folder = path.parent
    while (folder / "__init__.py").is_file() and folder.name:
        parts.insert(0, folder.name)
        folder = folder.parent
    return ".".join(parts)
