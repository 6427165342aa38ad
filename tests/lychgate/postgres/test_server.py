"""A server's life: first start, crash, damage, strangers, and ports that are taken."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from lychgate.errors import PortBusy, PostgresFailed, StateBusy
from lychgate.postgres import PostgresServer
from lychgate.postgres.place import wheel
from tests.builders.patience import PATIENCE_S
from tests.servers.ports import free_port

NOW = datetime(2026, 11, 23, 15, 0, tzinfo=UTC)
STAMP = "20261123T150000Z"


class Home:
    """A place for one data folder, and what was said about it."""

    def __init__(self, root: Path) -> None:
        self.folder = root / "postgres"
        self.elsewhere = root / "elsewhere"
        self.said: list[str] = []

    @property
    def data(self) -> Path:
        """The server's data folder."""
        return self.folder / "data"

    def server(self, port: int = 0) -> PostgresServer:
        """A server that is not started yet."""
        return PostgresServer(
            self.folder,
            port=port,
            options={"fsync": "off"},
            say=self.said.append,
            elsewhere=self.elsewhere,
            sync=False,
            clock=lambda: NOW,
        )


@pytest.fixture
def home() -> Iterator[Home]:
    """An empty place that the system user can pass through."""
    root = Path(tempfile.mkdtemp(prefix="lychgate-pg-"))
    root.chmod(0o711)
    yield Home(root)
    shutil.rmtree(root)


def ask(server: PostgresServer, statement: str, password: str | None = None) -> str:
    """One statement's answer, by the wheel's own client."""
    command = [str(wheel() / "bin" / "psql"), "-X", "-At", "-c", statement, server.dsn(password=password)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() + done.stderr.strip()


def test_a_first_start_makes_a_server_that_asks_for_a_password(home: Home) -> None:
    """UTF-8, scram for every login, checksums, secrets and data readable by their owner only."""
    with home.server() as server:
        told = ask(server, "SELECT current_setting('server_encoding'), current_setting('data_checksums')")
        assert told == "UTF8|on"
        assert "password authentication failed" in ask(server, "SELECT 1", password="wrong")
        assert "trust" not in {
            line.split()[-1]
            for line in (home.data / "pg_hba.conf").read_text().splitlines()
            if line[:4] in {"host", "loca"}
        }
        assert (home.folder / "owner.password").stat().st_mode & 0o777 == 0o600
        assert home.data.stat().st_mode & 0o777 == 0o700
        if os.geteuid() == 0:
            assert home.data.stat().st_uid != 0
    assert server.pid is None
    assert home.said == []


def test_what_was_written_is_there_at_the_next_start(home: Home) -> None:
    """A clean stop and a new start keep data and password."""
    with home.server() as server:
        ask(server, "CREATE TABLE kept AS SELECT 7 AS x")
    with home.server() as server:
        assert ask(server, "SELECT x FROM kept") == "7"
    assert home.said == []


def test_it_listens_on_loopback_only_and_has_no_unix_socket(home: Home) -> None:
    """No other address, no socket file."""
    with home.server() as server:
        assert ask(server, "SHOW listen_addresses") == "127.0.0.1"
        assert ask(server, "SHOW unix_socket_directories") == ""


def test_a_second_owner_of_the_folder_is_refused(home: Home) -> None:
    """While a server runs, another process is told who has the folder."""
    with home.server(), pytest.raises(StateBusy, match=f"pid {os.getpid()}"):
        home.server().start()


def test_a_killed_server_recovers_and_its_lock_file_is_set_aside(home: Home) -> None:
    """After SIGKILL of the whole server the next start recovers what was committed."""
    server = home.server()
    server.start()
    ask(server, "CREATE TABLE kept AS SELECT 7 AS x")
    pid = server.pid
    assert pid is not None
    os.killpg(pid, signal.SIGKILL)
    server.stop()
    with home.server() as server:
        assert ask(server, "SELECT x FROM kept") == "7"
    assert any("lock file is set aside" in line for line in home.said)


def test_a_stale_lock_file_whose_pid_is_now_a_stranger_is_no_obstacle(home: Home) -> None:
    """The number in postmaster.pid belongs to another program: it is left alone, the server starts."""
    with home.server():
        pass
    stranger = subprocess.Popen(["sleep", "60"])
    try:
        (home.data / "postmaster.pid").write_text(f"{stranger.pid}\n{home.data}\n")
        with home.server() as server:
            assert ask(server, "SELECT 1") == "1"
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_a_server_left_over_from_a_killed_run_is_stopped(home: Home) -> None:
    """A live server of this folder without an owner is stopped, said, and replaced."""
    with home.server() as server:
        place = server.place
        assert place is not None
    left = subprocess.Popen(
        [str(place.binaries / "postgres"), "-D", str(place.data), "-p", str(free_port())],
        user=None if place.account is None else place.account.uid,
        group=None if place.account is None else place.account.gid,
        extra_groups=None if place.account is None else [],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _until_written(place.data / "postmaster.pid", left.pid)
        with home.server() as server:
            assert ask(server, "SELECT 1") == "1"
        assert any(f"stopped PostgreSQL (pid {left.pid})" in line for line in home.said)
    finally:
        left.kill()
        left.wait()


def _until_written(file: Path, pid: int) -> None:
    """It is made empty, and then filled."""
    deadline = time.monotonic() + PATIENCE_S
    while not file.exists() or not file.read_text().startswith(f"{pid}\n"):
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda data: (data / "PG_VERSION").write_text("9\n"), "was made by PostgreSQL 9"),
        (lambda data: (data / "PG_VERSION").unlink(), "is not a PostgreSQL data folder"),
        (lambda data: (data / "global" / "pg_control").unlink(), "has no control file"),
        (lambda data: (data / "global" / "pg_control").write_bytes(b"\xff" * 8192), "is damaged"),
        (lambda data: [file.unlink() for file in (data / "pg_wal").glob("0*")], "is damaged"),
        (lambda data: os.chown(data, 12345, 12345) if os.geteuid() == 0 else (data / "PG_VERSION").unlink(), ""),
    ],
    ids=["other-version", "no-version", "no-control-file", "broken-control-file", "no-wal", "another-user"],
)
def test_a_data_folder_that_cannot_be_used_is_set_aside_and_named(
    home: Home, damage: Callable[[Path], object], words: str
) -> None:
    """Nothing is deleted: the old folder stands beside the new one under a dated name, which is said."""
    with home.server():
        pass
    damage(home.data)
    with home.server() as server:
        assert ask(server, "SELECT 1") == "1"
    aside = home.folder / f"data.set-aside-{STAMP}"
    assert (aside / "base").is_dir()
    assert any(words in line and str(aside) in line for line in home.said)


def test_a_lost_password_file_costs_no_data(home: Home) -> None:
    """A new password is set in single-user mode; the data stays."""
    with home.server() as server:
        ask(server, "CREATE TABLE kept AS SELECT 7 AS x")
    (home.folder / "owner.password").unlink()
    with home.server() as server:
        assert ask(server, "SELECT x FROM kept") == "7"
    assert any("password was missing" in line for line in home.said)


def test_a_taken_port_is_named(home: Home) -> None:
    """The message names the port and its holder; nothing is set aside for it."""
    with home.server():
        pass
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(PortBusy, match=rf"port {port} \(PostgreSQL\) is already in use by .*pid {os.getpid()}"):
            home.server(port).start()
    assert home.said == []


def test_a_setting_that_cannot_hold_is_reported_with_the_servers_last_words(home: Home) -> None:
    """A start that fails for another reason than the folder sets nothing aside and ends with the log."""
    with home.server():
        pass
    broken = PostgresServer(home.folder, options={"shared_buffers": "nonsense"}, elsewhere=home.elsewhere, sync=False)
    with pytest.raises(PostgresFailed, match="nonsense"):
        broken.start()
    assert not list(home.folder.glob("data.set-aside*"))
    with home.server() as server:
        assert ask(server, "SELECT 1") == "1"


def test_the_server_goes_when_its_parent_is_killed(home: Home) -> None:
    """The kernel tells it: SIGKILL of the process that started it shuts it down cleanly."""
    program = (
        "import sys, time; from pathlib import Path; from lychgate.postgres import PostgresServer\n"
        f"s = PostgresServer(Path({str(home.folder)!r}), elsewhere=Path({str(home.elsewhere)!r}), sync=False)\n"
        "s.start(); print(s.pid, flush=True); time.sleep(120)"
    )
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + PATIENCE_S
    while Path(f"/proc/{pid}").exists():
        assert time.monotonic() < deadline, "PostgreSQL outlived its parent"
        time.sleep(0.05)
    assert not (home.data / "postmaster.pid").exists()
    with home.server():
        pass
    assert home.said == []
