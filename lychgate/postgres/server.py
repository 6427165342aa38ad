"""One PostgreSQL server: started, watched, stopped.

It is a child of this process, on a tether: when we are killed, the kernel tells it to shut down fast. It listens on
127.0.0.1 only, without a Unix socket.
"""

import fcntl
import os
import signal
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import Self
from urllib.parse import quote

from lychgate.clock import Clock, utc_now
from lychgate.errors import PostgresFailed, StateBusy
from lychgate.ports import free_port, require_free
from lychgate.postgres import cluster
from lychgate.postgres.place import ELSEWHERE, Place, Say, find_place
from lychgate.tether import tethered

HOST = "127.0.0.1"
_OPTIONS: Mapping[str, str] = MappingProxyType(
    {
        "listen_addresses": HOST,
        "unix_socket_directories": "",
        "password_encryption": "scram-sha-256",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "log_line_prefix": "%m [%p] ",
        "max_connections": "100",
        "shared_buffers": "64MB",
    }
)
_POLL_S = 0.02
_STATUS_LINE = 7
"""The eighth line of postmaster.pid says `ready`; `pg_ctl -w` waits for the same (PostgreSQL, pidfile.h)."""
_TRIES = 3
"""For a free port that another process takes before PostgreSQL does."""
_TAIL = 20


def _quiet(_: str) -> None:
    """Say nothing."""


class PostgresServer:
    """A real PostgreSQL on one data folder.

    Args:
        folder: Where it lives, for example `.lychgate/postgres`; made when missing.
        port: The port, or 0 for a free one.
        options: Server settings on top of our own, `name=value`.
        log: The file its output is appended to; `postgres.log` in `folder` when not given.
        say: Told in one line whatever was set aside, healed or put elsewhere.
        elsewhere: As root, where data goes that its system user could not reach in `folder`.
        sync: False only for tests: initdb does not wait for the disk.
        ready_within_s: Recovery after a crash may take long; beyond this it has failed.
        clock: For dated names.

    Attributes:
        port: Where it listens, once started.
        place: Where it lives, once started.
    """

    def __init__(
        self,
        folder: Path,
        *,
        port: int = 0,
        options: Mapping[str, str] | None = None,
        log: Path | None = None,
        say: Say = _quiet,
        elsewhere: Path = ELSEWHERE,
        sync: bool = True,
        ready_within_s: float = 120.0,
        clock: Clock = utc_now,
    ) -> None:
        self._folder = folder
        self._wanted_port = port
        self._options = {**_OPTIONS, **(options or {})}
        self._log = log
        self._say = say
        self._elsewhere = elsewhere
        self._sync = sync
        self._ready_within_s = ready_within_s
        self._clock = clock
        self._lock: int | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._password = ""
        self.port = port
        self.place: Place | None = None

    def __enter__(self) -> Self:
        """Start it."""
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        """Stop it."""
        self.stop()

    @property
    def pid(self) -> int | None:
        """Of the running server."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    @property
    def log(self) -> Path:
        """Where its output goes."""
        return self._log if self._log is not None else self._folder / "postgres.log"

    def dsn(self, database: str = "postgres", *, user: str = cluster.OWNER, password: str | None = None) -> str:
        """How to log in: `postgresql://user:password@127.0.0.1:port/database`; as the owner if nothing is said.

        It holds a password: never log it.
        """
        secret = quote(self._password if password is None else password, safe="")
        return f"postgresql://{quote(user, safe='')}:{secret}@{HOST}:{self.port}/{quote(database, safe='')}"

    def start(self) -> None:
        """Make what is missing, heal what can be healed, start, and return when it takes connections.

        Raises:
            PortBusy: The given port is taken.
            StateBusy: Another live process runs this folder.
            PostgresFailed: It does not start; the message ends with its last words.
        """
        self.place = place = find_place(self._folder, self._say, elsewhere=self._elsewhere, clock=self._clock)
        self._hold(place.folder)
        try:
            self._bring_up(place)
        except BaseException:
            self.stop()
            raise

    def _bring_up(self, place: Place) -> None:
        """Prepare and launch; once more on a new folder when the server itself calls the old one damaged."""
        self._password = cluster.prepare(place, self._say, self._clock, sync=self._sync)
        log = self._launch(place)
        if log is not None and cluster.is_damage(log):
            cluster.set_damaged_aside(place, log, self._say, self._clock)
            self._password = cluster.prepare(place, self._say, self._clock, sync=self._sync)
            log = self._launch(place)
        if log is not None:
            raise PostgresFailed(f"PostgreSQL does not start on {place.data}:\n{_tail(log)}")

    def stop(self) -> None:
        """Shut it down: fast, then firmly. Safe to call twice, and when it never started."""
        process, self._process = self._process, None
        if process is not None:
            for number, within_s in cluster.STOP_STEPS:
                process.send_signal(number)
                with suppress(subprocess.TimeoutExpired):
                    process.wait(within_s)
                    break
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def last_words(self) -> str:
        """The end of its output, for a message about its death."""
        return _tail(self.log.read_text(encoding="utf-8", errors="replace"))

    def _hold(self, folder: Path) -> None:
        """Take the folder's lock, which the system lets go when we die, however we die."""
        descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            holder = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip()
            os.close(descriptor)
            raise StateBusy(f"another process (pid {holder or 'unknown'}) runs PostgreSQL in {folder}") from exc
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        self._lock = descriptor

    def _launch(self, place: Place) -> str | None:
        """Start the process and wait. None when it is ready, else what it said before it gave up."""
        if self._wanted_port:
            require_free(self._wanted_port, "PostgreSQL", HOST)
        output = ""
        for _ in range(1 if self._wanted_port else _TRIES):
            self.port = self._wanted_port or free_port(HOST)
            begin = self._spawn(place)
            if self._becomes_ready(place):
                return None
            output = self._output_since(begin)
            if "Address already in use" not in output:
                return output
        return output

    def _spawn(self, place: Place) -> int:
        """Start the process; returns where its output begins in the log."""
        command = [str(place.binaries / "postgres"), "-D", str(place.data), "-p", str(self.port)]
        for name, value in self._options.items():
            command += ["-c", f"{name}={value}"]
        descriptor = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            begin = os.fstat(descriptor).st_size
            self._process = subprocess.Popen(  # noqa: S603 -- the wheel's own program
                tethered(command, on_parent_death=signal.SIGINT, account=place.account),
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=descriptor,
                stderr=descriptor,
                start_new_session=True,  # a terminal's Ctrl-C is for us: we stop it when those who use it are gone
            )
        finally:
            os.close(descriptor)
        return begin

    def _becomes_ready(self, place: Place) -> bool:
        """Wait until it takes connections; False when it ended instead."""
        process = self._process
        deadline = time.monotonic() + self._ready_within_s
        while process is not None and process.poll() is None:
            if _is_ready(place.data, process.pid):
                return True
            if time.monotonic() >= deadline:
                raise PostgresFailed(f"PostgreSQL is not ready after {self._ready_within_s:g} s:\n{self.last_words()}")
            time.sleep(_POLL_S)
        self._process = None
        return False

    def _output_since(self, begin: int) -> str:
        """What this start wrote into the log."""
        with self.log.open("rb") as stream:
            stream.seek(begin)
            return stream.read().decode("utf-8", "replace")


def _is_ready(data: Path, pid: int) -> bool:
    """Whether the server with this pid says so in its lock file."""
    try:
        lines = (data / "postmaster.pid").read_text(encoding="ascii").splitlines()
    except (FileNotFoundError, UnicodeDecodeError):
        return False
    return len(lines) > _STATUS_LINE and lines[0].strip() == str(pid) and lines[_STATUS_LINE].strip() == "ready"


def _tail(text: str) -> str:
    """The last lines, for a message."""
    return "\n".join(text.rstrip().splitlines()[-_TAIL:])
