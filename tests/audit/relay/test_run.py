"""Tests of `audit.relay.run`: `lychgate relay`, the real process beside who records, into a real PostgreSQL."""

import asyncio
import json
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from audit.emit import Emitter
from tests.audit.test_relay import stamped
from tests.builders.patience import PATIENCE_S
from tests.builders.private import private
from tests.servers.ports import free_port
from tests.servers.postgres import Logins

ROOT = Path(__file__).parents[3]
WITHIN_S = PATIENCE_S


def configured(folder: Path, dsn: str, port: int, store_port: int | None = None) -> Path:
    """A configuration of a relay that writes with this login."""
    at = urlsplit(dsn)
    file = folder / "lychgate.yaml"
    private(
        file,
        f"audit: {{spool: {{folder: {folder}/spool}}, relay: {{metrics_port: {port}}}}}\n"
        f"store: {{host: {at.hostname}, port: {store_port or at.port}, database: {at.path[1:]},"
        f" writer: {{user: {at.username}, password: '{at.password}'}}}}\n",
    )
    (folder / "spool").mkdir(mode=0o700)
    return file


@contextmanager
def relay(config: Path) -> Iterator["subprocess.Popen[str]"]:
    """The process; killed at the end if it still runs."""
    process = subprocess.Popen(
        [sys.executable, "-m", "lychgate", "relay", "--config", str(config)],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def ask(port: int, path: str) -> tuple[int, str]:
    """Status and body; 0 while nobody listens."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=PATIENCE_S) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as exc:
        return exc.code, exc.read().decode()
    except OSError:
        return 0, ""


def until(holds: Callable[[], bool]) -> None:
    """Wait, but not for ever."""
    deadline = time.monotonic() + WITHIN_S
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def rows(logins: Logins) -> int:
    """How many events there are."""

    async def count() -> int:
        connection = await asyncpg.connect(logins.owner)
        try:
            return int(await connection.fetchval("SELECT count(*) FROM audit_events"))
        finally:
            await connection.close()

    return asyncio.run(count())


def test_it_delivers_and_ends_with_everything_delivered(tmp_path: Path, migrated_database: Logins) -> None:
    """While it runs, and what comes in the very moment of the stop."""
    port = free_port()
    config = configured(tmp_path, migrated_database.writer, port)
    emitter = Emitter(tmp_path / "spool" / "query-0", "query-0")
    with relay(config) as process:
        until(lambda: ask(port, "/readyz")[0] == 200)
        emitter.emit_and_wait(stamped(emitter))
        until(lambda: rows(migrated_database) == 1)
        for _ in range(20):
            emitter.emit_and_wait(stamped(emitter))
        emitter.close()
        process.send_signal(signal.SIGTERM)
        assert process.wait(WITHIN_S) == 0
        assert process.stderr is not None
        said = [json.loads(line) for line in process.stderr.read().splitlines()]
    assert rows(migrated_database) == 21
    assert said[-1]["event"] == "audit_relay_stopped"
    assert said[-1]["delivered"] is True


def test_alive_but_not_ready_without_a_store(tmp_path: Path, migrated_database: Logins) -> None:
    """A store that is away kills nobody: alive, not ready, records on disk, and a stop that does not hang."""
    port = free_port()
    config = configured(tmp_path, migrated_database.writer, port, store_port=free_port())
    with relay(config) as process:
        until(lambda: ask(port, "/healthz")[0] == 200)
        assert ask(port, "/readyz")[0] == 503
        assert "audit_relay_backlog_bytes" in ask(port, "/metrics")[1]
        process.send_signal(signal.SIGTERM)
        assert process.wait(WITHIN_S) == 0


def test_a_login_that_may_do_too_much_is_refused(tmp_path: Path, migrated_database: Logins) -> None:
    """The owner's login is none to write with: exit code 2, and nothing is written."""
    config = configured(tmp_path, migrated_database.owner, free_port())
    with relay(config) as process:
        assert process.wait(WITHIN_S) == 2


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_it_listens_where_it_is_told(tmp_path: Path, migrated_database: Logins, host: str) -> None:
    """Loopback unless configured."""
    port = free_port()
    config = configured(tmp_path, migrated_database.writer, port)
    config.write_text(config.read_text().replace("metrics_port", f"metrics_host: '{host}', metrics_port"))
    address = f"[{host}]" if ":" in host else host
    with relay(config):

        def answers() -> bool:
            try:
                with urllib.request.urlopen(f"http://{address}:{port}/healthz", timeout=PATIENCE_S) as answer:
                    return bool(answer.status == 200)
            except OSError:
                return False

        until(answers)
        assert (ask(port, "/healthz")[0] == 200) == (host == "127.0.0.1")
