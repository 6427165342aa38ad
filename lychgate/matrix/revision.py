"""Policies and roles as they were at a git revision, read without touching the working tree.

A revision is text from outside: it is resolved to a commit's hash first, where `--end-of-options` keeps it from being
taken for an option, and only the hash goes into any other call.
"""

import re
import subprocess
from pathlib import Path
from typing import Final

from lychgate.errors import ConfigurationError
from policies.bundle import Bundle
from policies.errors import PolicyErrors
from policies.load import SCHEMA_FILE, build_bundle
from roles.catalogue import Catalogue
from roles.errors import CatalogueError
from roles.load import load_catalogue

_HASH: Final = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_TIMEOUT_S: Final = 30


def at_revision(revision: str, policies: Path, roles_file: Path) -> tuple[Bundle, Catalogue]:
    """Read a policy folder and a role catalogue as a revision had them, at the same places in the repository.

    Args:
        revision: Whatever git takes for a commit: a branch, a tag, a hash, `HEAD~2`.
        policies: The folder as it is now; it may have been elsewhere, then there is nothing to compare with.
        roles_file: The catalogue as it is now.

    Raises:
        ConfigurationError: git is not there, this is no repository, the revision is none or does not have the files, or
            what it has is broken. The message says which.
    """
    prefix, roles = _prefix(policies), _prefix(roles_file.parent) + roles_file.name
    commit = _commit(revision, policies)
    names = _git(policies, "ls-tree", "-z", "--name-only", "--full-tree", f"{commit}:{prefix}" if prefix else commit)
    listed = [name for name in (names or "").split("\0") if name.endswith(".cedar") or name == SCHEMA_FILE]
    if SCHEMA_FILE not in listed:
        raise ConfigurationError(f"{revision}: has no `{SCHEMA_FILE}` in `{prefix or '.'}`")
    texts = {name: _text(policies, revision, commit, f"{prefix}{name}") for name in listed}
    schema = texts.pop(SCHEMA_FILE)
    try:
        bundle = build_bundle(sorted(texts.items()), (SCHEMA_FILE, schema))
        catalogue = load_catalogue(_text(policies, revision, commit, roles), roles)
    except PolicyErrors as exc:
        raise ConfigurationError("\n".join(f"{revision}: {finding}" for finding in exc.findings)) from exc
    except CatalogueError as exc:
        raise ConfigurationError(f"{revision}: {exc}") from exc
    return bundle, catalogue


def _commit(revision: str, folder: Path) -> str:
    found = _git(folder, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    commit = (found or "").strip()
    if _HASH.fullmatch(commit) is None:
        raise ConfigurationError(f"`{revision}` is no revision that git knows here")
    return commit


def _prefix(folder: Path) -> str:
    """A folder as git names it, from the top of its repository; with a slash behind it unless it is the top."""
    found = _git(folder, "rev-parse", "--show-prefix")
    if found is None:
        raise ConfigurationError(f"{folder}: is not in a git repository")
    return found.removesuffix("\n")


def _text(folder: Path, revision: str, commit: str, name: str) -> str:
    found = _git(folder, "cat-file", "blob", f"{commit}:{name}")
    if found is None:
        raise ConfigurationError(f"{revision}: has no file `{name}` that could be read")
    return found


def _git(folder: Path, *words: str) -> str | None:
    """What git says; None where it says no.

    Raises:
        ConfigurationError: There is no git, it does not end, or what it says is not UTF-8.
    """
    try:
        done = subprocess.run(  # noqa: S603 - no shell, and nothing from outside where an option could stand
            ["git", "-C", str(folder), *words],  # noqa: S607 - the user's own git
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=_TIMEOUT_S,
            check=False,
        )
        return done.stdout.decode("utf-8") if done.returncode == 0 else None
    except UnicodeDecodeError as exc:
        raise ConfigurationError(f"{words[-1].partition(':')[2]}: not UTF-8 at that revision") from exc
    except (OSError, ValueError, subprocess.TimeoutExpired) as exc:
        raise ConfigurationError(f"git cannot be asked: {type(exc).__name__}") from exc
