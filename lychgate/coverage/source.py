"""Files -> parsed modules. The only reader of the service's code; nothing of it is ever run.

A stranger's tree may hold anything: what is not a regular, small, parsable file becomes an `Unreadable`, never an
exception and never silence.
"""

import ast
import io
import os
import re
import stat
import tokenize
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final, NamedTuple

LIMIT_BYTES: Final = 2 << 20
"""Larger files are data; the largest module of CPython's own library has 0.3 MB."""
SKIPPED: Final = (
    ".*",
    "__pycache__",
    "node_modules",
    "site-packages",
    "migrations",
    "tests",
    "test_*.py",
    "*_test.py",
    "conftest.py",
)
"""Names of folders and files that are no part of a running service, unless what runs imports them."""
_IGNORE: Final = re.compile(r"#\s*audit:\s*ignore\b[\W_]*(.*)$")


class Ignore(NamedTuple):
    """A comment that excuses a handler.

    Attributes:
        reason: Why, from the first letter on; empty where it says none.
        alone: Whether nothing else stands in its line.
    """

    reason: str
    alone: bool


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A file that cannot be judged.

    Attributes:
        file: As it is shown.
        line: Where it goes wrong; 0 where nobody knows.
        reason: Why.
    """

    file: str
    line: int
    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class Module:
    """A parsed file.

    Attributes:
        name: As it is imported, `shop.views`.
        file: Where it is.
        shown: The same, as a report shows it.
        tree: What it says.
        is_package: Whether it is an `__init__.py`.
        ignores: Line to what `# audit:ignore` says in it.
    """

    name: str
    file: Path
    shown: str
    tree: ast.Module
    is_package: bool
    ignores: Mapping[int, Ignore]


def read(file: Path, name: str, shown: str) -> Module | Unreadable:  # noqa: PLR0911 - the ways to be unreadable
    """Parse one file."""
    try:
        found = file.stat()
        if not stat.S_ISREG(found.st_mode):  # a pipe named x.py would keep us waiting for ever
            return Unreadable(shown, 0, "not a regular file")
        if found.st_size > LIMIT_BYTES:
            return Unreadable(shown, 0, f"larger than {LIMIT_BYTES} bytes")
        with file.open("rb") as stream:
            raw = stream.read(LIMIT_BYTES + 1)
    except (OSError, ValueError) as exc:
        return Unreadable(shown, 0, f"cannot be read: {getattr(exc, 'strerror', None) or type(exc).__name__}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the service's own string escapes
            tree = ast.parse(raw)
        ignores = dict(_ignores(raw)) if b"audit:" in raw else {}
    except SyntaxError as exc:
        return Unreadable(shown, exc.lineno or 0, f"not Python: {exc.msg}")
    except (ValueError, tokenize.TokenError):
        return Unreadable(shown, 0, "not Python: not text, or a null byte")
    except (RecursionError, MemoryError):
        return Unreadable(shown, 0, "nests too deep to be read")
    return Module(name, file, shown, tree, file.name == "__init__.py", ignores)


def _ignores(raw: bytes) -> Iterator[tuple[int, Ignore]]:
    """Comments only: the same words in a string excuse nothing."""
    for token in tokenize.tokenize(io.BytesIO(raw).readline):
        if token.type == tokenize.COMMENT and (match := _IGNORE.search(token.string)):
            yield token.start[0], Ignore(match[1].strip(), not token.line[: token.start[1]].strip())


def files(paths: Sequence[Path], exclude: Sequence[str] = ()) -> Iterator[Path | Unreadable]:
    """Every Python file below the paths, each once, sorted; a folder that is a symbolic link is not entered.

    Args:
        paths: Files and folders. A file that is named is taken whatever it is called.
        exclude: Shell patterns beside `SKIPPED`, of a name or of a path from the folder named.
    """
    seen: set[Path] = set()
    for path in paths:
        found = [path] if not path.is_dir() else _below(path, tuple(exclude))
        for file in found:
            if isinstance(file, Unreadable):
                yield file
                continue
            real = Path(os.path.realpath(file))
            if real not in seen:
                seen.add(real)
                yield file


def _below(folder: Path, exclude: tuple[str, ...]) -> Iterator[Path | Unreadable]:
    failed: list[OSError] = []
    for place, folders, names in os.walk(folder, onerror=failed.append):
        here = Path(place)
        kept = sorted(name for name in folders if not _excluded(here / name, folder, exclude))
        for name in kept:
            if (here / name).is_symlink():
                yield Unreadable(str(here / name), 0, "a symbolic link to a folder, which is not followed")
        folders[:] = kept
        for name in sorted(names):
            if name.endswith(".py") and not _excluded(here / name, folder, exclude):
                yield here / name
    for error in failed:
        yield Unreadable(str(error.filename), 0, f"cannot be read: {error.strerror}")


def _excluded(path: Path, folder: Path, exclude: tuple[str, ...]) -> bool:
    if any(fnmatchcase(path.name, pattern) for pattern in SKIPPED):
        return True
    return named(path, folder, exclude)


def named(path: Path, folder: Path, exclude: Sequence[str]) -> bool:
    """Whether a service's own configuration says not to look at a path below a folder."""
    inside = path.relative_to(folder).as_posix()
    return any(fnmatchcase(path.name, pattern) or fnmatchcase(inside, pattern) for pattern in exclude)
