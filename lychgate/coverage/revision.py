"""A revision of the repository in a folder of its own, to be scanned as it was."""

import io
import subprocess
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from lychgate.coverage.configuration import Target
from lychgate.errors import ConfigurationError

_TIMEOUT_S: Final = 60


@contextmanager
def checked_out(revision: str, targets: Sequence[Target], folder: Path) -> Iterator[tuple[list[Target], Path]]:
    """The services as they were, and the folder that stands for `folder`; those that were not there yet are left out.

    Raises:
        ConfigurationError: There is no such revision, no git, or a service outside the repository.
    """
    top = Path(_git(folder, "rev-parse", "--show-toplevel").decode().strip())
    # INVARIANT: a revision is never read as an option
    commit = (
        _git(folder, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}").decode().strip()
    )
    with TemporaryDirectory(prefix="coverage-") as name:
        there = Path(name).resolve()
        with tarfile.open(fileobj=io.BytesIO(_git(top, "archive", "--format=tar", commit))) as archive:
            wanted = [it for it in archive.getmembers() if it.isdir() or it.name.endswith(".py")]
            archive.extractall(there, wanted, filter="data")
        moved = []
        for target in targets:
            paths = [there / _inside(path, top) for path in target.paths]
            present = tuple(path for path in paths if path.exists())
            if present:
                moved.append(replace(target, paths=present))
        yield moved, there / _inside(folder, top)


def _inside(path: Path, top: Path) -> Path:
    whole = path.resolve()
    if not whole.is_relative_to(top.resolve()):
        raise ConfigurationError(f"{path}: lies outside the repository {top}, and cannot be compared with a revision")
    return whole.relative_to(top.resolve())


def _git(folder: Path, *words: str) -> bytes:
    try:
        done = subprocess.run(  # noqa: S603 - a fixed command; the revision stands behind --end-of-options
            ["git", "-C", str(folder), *words],  # noqa: S607 - git is where the user has it
            capture_output=True,
            check=False,
            timeout=_TIMEOUT_S,
        )
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise ConfigurationError(f"git {words[0]}: {exc}") from exc
    if done.returncode:
        why = done.stderr.decode(errors="replace").strip().splitlines()
        raise ConfigurationError(f"git {words[0]}: {why[-1] if why else 'there is no such revision'}")
    return done.stdout
