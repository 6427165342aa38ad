"""The data folder: made, checked, and healed. Nothing is ever deleted.

What cannot be used (another major version, not a data folder, unreadable, damaged) is set aside under a dated name and
named. A lost owner password is no loss of data: the server sets a new one in single-user mode.
"""

import os
import re
import secrets
import signal
import stat
import subprocess
from contextlib import suppress
from pathlib import Path

from lychgate.clock import Clock
from lychgate.errors import PostgresFailed, StateBusy
from lychgate.postgres.place import Place, Say, set_aside
from lychgate.processes import ProcessId, identity, stop

OWNER = "lychgate"
"""The superuser that initdb makes; only `migrate` and the tests log in as it."""

_DAMAGE = re.compile(
    r"PANIC:|database files are incompatible|could not locate a valid checkpoint|invalid (?:magic|page|data in file)"
    r"|is not a valid data directory|control file"
    r"|could not (?:open|read|access) (?:file|directory) \"(?:global|base|pg_)"
    r"|could not (?:load|open) .*pg_hba|postgresql\.conf|requested timeline|incorrect checksum|contains errors"
)
"""PostgreSQL's words that blame the folder, not the machine: no new folder cures a full disk or a taken port."""

_FAST, _IMMEDIATE = signal.SIGINT, signal.SIGQUIT
STOP_STEPS = ((_FAST, 30.0), (_IMMEDIATE, 10.0), (signal.SIGKILL, 5.0))
"""Fast shutdown, then immediate (recovers at the next start), then the last resort."""


def is_damage(log: str) -> bool:
    """Whether a failed start blames the data folder."""
    return _DAMAGE.search(log) is not None


def prepare(place: Place, say: Say, clock: Clock, *, sync: bool) -> str:
    """Make the data folder usable.

    Args:
        place: Where.
        say: Told whatever is set aside or healed.
        clock: For dated names.
        sync: Whether initdb waits for the disk; only tests do without.

    Returns:
        The owner's password.

    Raises:
        PostgresFailed: It cannot be made.
        StateBusy: A server we may not stop runs on it.
    """
    if problem := _unusable(place):
        _set_data_aside(place, problem, say, clock)
    file = place.folder / "owner.password"
    known = secret_in(file)
    if not _exists(place.data):
        password = known or _new_secret(file)
        _initdb(place, password, sync=sync)
        return password
    _stop_predecessor(place, say, clock)
    if known:
        return known
    password = secrets.token_urlsafe(24)
    _set_password(place, password)
    _write_secret(file, password)
    say(f"the owner's password was missing; a new one is in {file}")
    return password


def set_damaged_aside(place: Place, log: str, say: Say, clock: Clock) -> None:
    """Set a folder aside that the server refused, with the server's own words as the reason."""
    words = [line.strip() for line in log.splitlines() if _DAMAGE.search(line)]
    _set_data_aside(place, f"is damaged ({words[0] if words else 'the server does not start on it'})", say, clock)


def secret_in(file: Path) -> str | None:
    """A secret kept by an earlier run, if there is one."""
    try:
        return file.read_text(encoding="ascii").strip() or None
    except (FileNotFoundError, UnicodeDecodeError):
        return None


def kept_secret(file: Path) -> str:
    """The secret in a file, made on first use, readable by its owner only."""
    return secret_in(file) or _new_secret(file)


def _new_secret(file: Path) -> str:
    """A fresh secret, written."""
    value = secrets.token_urlsafe(24)
    _write_secret(file, value)
    return value


def _write_secret(file: Path, value: str) -> None:
    """Write a secret in one step, 0600 from its first byte on."""
    fresh = file.with_name(f".{file.name}.{os.getpid()}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as stream:
        stream.write(value + "\n")
    fresh.rename(file)


def _exists(data: Path) -> bool:
    """Whether there is a data folder with something in it."""
    return data.is_dir() and any(data.iterdir())


def _unusable(place: Place) -> str | None:
    """Why the data folder cannot be used, in words that go after its name; None if it can, or is not there yet."""
    data = place.data
    try:
        if data.is_symlink() or (data.exists() and not data.is_dir()):
            return "is not a folder"
        if not _exists(data):
            return None
        return _foreign(place) or _incomplete(place)
    except (OSError, UnicodeDecodeError) as exc:
        return f"cannot be read ({exc})"


def _foreign(place: Place) -> str | None:
    """Whether the folder is another user's; a mode too wide for PostgreSQL is tightened."""
    owner = os.geteuid() if place.account is None else place.account.uid
    found = place.data.stat()
    if found.st_uid != owner:
        return f"belongs to user {found.st_uid}, not to the user PostgreSQL runs as ({owner})"
    if found.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        place.data.chmod(0o700)
    return None


def _incomplete(place: Place) -> str | None:
    """Whether it lacks what every data folder has, or is of another version."""
    version_file = place.data / "PG_VERSION"
    if not version_file.exists():
        return "is not a PostgreSQL data folder"
    version = version_file.read_text(encoding="ascii").strip()
    if version != place.version:
        return f"was made by PostgreSQL {version}, and this is {place.version}"
    return None if (place.data / "global" / "pg_control").is_file() else "has no control file"


def _set_data_aside(place: Place, problem: str, say: Say, clock: Clock) -> None:
    """Out of the way, and said."""
    try:
        aside = set_aside(place.data, clock)
    except OSError as exc:
        raise PostgresFailed(f"{place.data} {problem}, and it cannot be set aside: {exc}") from exc
    say(f"{place.data} {problem}; it is set aside as {aside}, and a new one is made")


def _initdb(place: Place, password: str, *, sync: bool) -> None:
    """Run initdb with scram for every way in.

    The builtin locale provider knows C.UTF-8 on every system, whatever locales the machine has.
    """
    if not place.data.is_dir():
        place.data.mkdir(mode=0o700)
    secret = place.folder / f".initdb.{os.getpid()}"
    with suppress(FileNotFoundError):
        secret.unlink()
    _write_secret(secret, password)
    try:
        if place.account is not None:
            os.chown(place.data, *place.account)
            os.chown(secret, *place.account)
        command = [str(place.binaries / "initdb"), "-D", str(place.data), f"--username={OWNER}"]
        command += ["--auth=scram-sha-256", f"--pwfile={secret}", "--encoding=UTF8"]
        command += ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        done = run_as(place, [*command, *([] if sync else ["--no-sync"])])
    finally:
        secret.unlink()
    if done.returncode != 0:
        raise PostgresFailed(f"initdb failed in {place.data}: {done.stderr.strip() or done.stdout.strip()}")


def _set_password(place: Place, password: str) -> None:
    """Give the owner a new password in single-user mode, which asks for none."""
    command = [str(place.binaries / "postgres"), "--single", "-D", str(place.data), "postgres"]
    statement = f"ALTER ROLE {OWNER} PASSWORD '{password}'\n"  # our own urlsafe base64: nothing to quote
    done = run_as(place, command, given=statement)
    if done.returncode != 0:
        raise PostgresFailed(f"the owner's password cannot be set in {place.data}: {done.stderr.strip()}")


def run_as(place: Place, command: list[str], given: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run one of PostgreSQL's programs to its end, as the place's account."""
    uid, gid = place.account or (None, None)
    groups: list[int] | None = None if place.account is None else []
    return subprocess.run(  # noqa: S603 -- the wheel's own programs
        command,
        user=uid,
        group=gid,
        extra_groups=groups,
        cwd=place.data,
        input=given,
        stdin=subprocess.DEVNULL if given is None else None,
        capture_output=True,
        text=True,
        check=False,
    )


def running_server(data: Path) -> ProcessId | None:
    """The live server of this data folder, whoever started it; a stranger that only has its old pid is none."""
    try:
        pid = int((data / "postmaster.pid").read_text(encoding="ascii").split("\n", 1)[0])
    except (FileNotFoundError, ValueError):
        return None
    process = identity(pid)
    if process is None:
        return None
    try:
        # postmaster changes into its data folder (PostgreSQL, miscinit.c ChangeToDataDir): that makes it ours.
        return process if Path(f"/proc/{pid}/cwd").readlink() == data.resolve() else None
    except FileNotFoundError:
        return process if process.started == 0 else None
    except PermissionError:
        return process


def _stop_predecessor(place: Place, say: Say, clock: Clock) -> None:
    """Stop a server that outlived a killed predecessor; a lock file without a server is put out of the way.

    We hold the folder's lock, so nobody who is alive answers for that server.
    """
    lock_file = place.data / "postmaster.pid"
    server = running_server(place.data)
    if server is not None:
        try:
            gone = stop(server, STOP_STEPS)
        except PermissionError as exc:
            raise StateBusy(f"a PostgreSQL of another user (pid {server.pid}) runs on {place.data}") from exc
        if not gone:
            raise StateBusy(f"PostgreSQL (pid {server.pid}) on {place.data} does not stop")
        say(f"stopped PostgreSQL (pid {server.pid}), left over from a killed run")
    elif lock_file.exists():
        # PostgreSQL would refuse to start if the old pid now belongs to another program.
        aside = set_aside(lock_file, clock)
        say(f"the last PostgreSQL here was killed; its lock file is set aside as {aside.name}")
