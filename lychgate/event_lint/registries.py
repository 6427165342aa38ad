"""Registries by name: files, the one that comes with us, and the one of a Git revision."""

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from audit.registry.errors import RegistryInvalid
from audit.registry.load import FILE, joined, packaged, read
from audit.registry.model import Registry
from lychgate.errors import ConfigurationError
from policies.errors import Finding

OWN: Final = f"audit/registry/{FILE}"
_GIT_S: Final = 20


def load_registry(files: Sequence[Path]) -> Registry:
    """Registry files as one; ours where none is named.

    Raises:
        ConfigurationError: A file cannot be read.
        RegistryInvalid: What it holds is no registry.
    """
    if not files:
        return packaged()
    return joined(read(_text(file), str(file), packaged().common) for file in files)


def load_released(named: str, files: Sequence[Path]) -> Registry:
    """The registry of a release.

    Args:
        named: A file; or a Git revision, in which the registry's files are looked up under the paths they have now.
        files: The registry's files now; ours where none is named.

    Raises:
        ConfigurationError: There is neither.
        RegistryInvalid: What is there is no registry.
    """
    if Path(named).is_file():
        return read(_text(Path(named)), named, packaged().common)
    wanted = files or (Path(OWN),)
    return joined(read(_shown(named, file), f"{named}:{file}", packaged().common) for file in wanted)


def registry_finding(exc: RegistryInvalid) -> Finding:
    """What is wrong with a registry, as a finding."""
    return Finding(exc.file, exc.line, 1 if exc.line else 0, exc.reason, "registry")


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError as exc:
        raise RegistryInvalid(str(file), f"not UTF-8 at byte {exc.start}") from exc
    except OSError as exc:
        raise ConfigurationError(f"{file}: {exc.strerror or exc}") from exc


def _shown(revision: str, file: Path) -> str:
    """A file's text in a revision. The name goes behind `--end-of-options`: it is never an option of Git's."""
    if not revision or revision.startswith("-") or ":" in revision:
        raise ConfigurationError(f"--against: `{revision}` is neither a file nor a Git revision")
    folder = file.parent if file.parent.is_dir() else Path()
    command = ["git", "-C", str(folder), "show", "--end-of-options", f"{revision}:./{file.name}"]
    try:
        done = subprocess.run(  # noqa: S603 - fixed words, and the revision behind the end of options
            command, capture_output=True, timeout=_GIT_S, check=False
        )
        if done.returncode:
            reason = done.stderr.decode("utf-8", "replace").strip().splitlines()
            raise ConfigurationError(f"--against: `{revision}`: {reason[-1] if reason else 'git failed'}")
        return done.stdout.decode("utf-8")
    except UnicodeDecodeError as exc:
        raise RegistryInvalid(f"{revision}:{file}", "not UTF-8") from exc
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise ConfigurationError(f"--against: git cannot be asked: {exc}") from exc
