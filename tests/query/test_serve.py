"""The process: it serves over a real socket, ends cleanly on SIGTERM, and refuses to start where it must."""

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from audit.ids import EventIds
from audit.spool.segment import contents, segments
from tests.builders.audit import make_event
from tests.builders.patience import PATIENCE_S
from tests.builders.query_api import ROOT, SIGNER, Write, context
from tests.servers.ports import free_port
from tests.servers.postgres import Logins

PROGRAM = """
import json, sys
from pathlib import Path
from audit.settings import AuditSettings, StoreSettings
from policies.origin import Origin
from query.app import Rules, run
from query.settings import QuerySettings
given = json.loads(sys.argv[1])
sys.exit(run(QuerySettings(**given["query"]), StoreSettings(**given["store"]), AuditSettings(**given["audit"]),
             Rules(policies=Origin(Path("policies")), roles_file=Path("roles/roles.toml"), context_issuer="lychgate")))
"""
DEADLINE_S = PATIENCE_S


@pytest.fixture
def jwks_url() -> Iterator[str]:
    """The gateway's public keys, served as the operations port does."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(SIGNER.public_jwks()).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/jwks.json"
        server.shutdown()
        thread.join()


def given(dsn: str, folder: Path, **query: Any) -> dict[str, Any]:
    """A configuration over a store, with everything else in a folder of the test's own."""
    parts = urlsplit(dsn)
    login = {"user": parts.username, "password": parts.password}
    return {
        "query": {"port": free_port(), "cursor_key_file": str(folder / "keys" / "cursor.key"), **query},
        "store": {"host": parts.hostname, "port": parts.port, "database": parts.path[1:], "reader": login},
        "audit": {"spool": {"folder": str(folder / "spool")}},
    }


@contextmanager
def process(settings: dict[str, Any]) -> Iterator["subprocess.Popen[str]"]:
    """The query process; ended, whatever happens."""
    command = [sys.executable, "-c", PROGRAM, json.dumps(settings)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as running:
        try:
            yield running
        finally:
            running.kill()


def wait_ready(running: "subprocess.Popen[str]", url: str) -> None:
    """Poll until it is ready; fail with its log if it ends or takes too long."""
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        if running.poll() is not None:
            raise AssertionError(running.communicate()[0])
        try:
            if httpx.get(f"{url}/readyz").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    running.kill()
    raise AssertionError(running.communicate()[0])


async def test_it_serves_and_ends_on_sigterm(
    migrated_database: Logins, tmp_path: Path, jwks_url: str, write: Write
) -> None:
    """Started as production starts it: ready, read by two clients in turn, stopped with code 0 and an end mark."""
    await write(make_event(event_id=EventIds().next()))
    settings = given(migrated_database.reader, tmp_path, jwks_url=jwks_url)
    url = f"http://127.0.0.1:{settings['query']['port']}"
    with process(settings) as running:
        wait_ready(running, url)
        async with httpx.AsyncClient(timeout=PATIENCE_S) as client:
            reply = await client.get(f"{url}/audit/events", headers={"X-Security-Context": context("Support")})
        assert reply.status_code == 200, reply.text
        assert reply.json()["data"][0]["client"]["ip"] == "***"
        assert "server" not in reply.headers
        running.send_signal(signal.SIGTERM)
        log, _ = running.communicate(timeout=DEADLINE_S)
        assert running.returncode == 0, log
    spool = tmp_path / "spool" / "query"
    [last] = [contents(spool / name.text()) for name in segments(spool)]
    assert len(last.records) == 1
    assert last.end is not None
    assert last.end.clean
    assert (tmp_path / "keys" / "cursor.key").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("login", ["owner", "nobody"])
def test_it_does_not_start_with_a_login_it_should_not_have(
    migrated_database: Logins, tmp_path: Path, login: str
) -> None:
    """As owner, or with a wrong password: exit code 2, and a line that says why."""
    dsn = migrated_database.owner if login == "owner" else migrated_database.reader.replace(":", ":not-", 2)
    dsn = dsn.replace("not-//", "//")
    with process(given(dsn, tmp_path)) as running:
        log, _ = running.communicate(timeout=DEADLINE_S)
    assert running.returncode == 2, log
    assert ("superuser" if login == "owner" else "refuses the reader") in log
    assert not (tmp_path / "spool").exists()


def test_it_gives_up_on_a_store_that_does_not_come(tmp_path: Path) -> None:
    """No store within its time: exit code 1, so that whoever watches starts it again."""
    settings = given(f"postgresql://audit_reader:x@127.0.0.1:{free_port()}/none", tmp_path, connect_timeout_s=0.3)
    with process(settings) as running:
        log, _ = running.communicate(timeout=DEADLINE_S)
    assert running.returncode == 1, log
    assert "does not answer" in log


def test_a_taken_port_is_named(migrated_database: Logins, tmp_path: Path, jwks_url: str) -> None:
    """A port that somebody has: exit code 2, and the port in the message."""
    port = urlsplit(jwks_url).port
    with process(given(migrated_database.reader, tmp_path, port=port)) as running:
        log, _ = running.communicate(timeout=DEADLINE_S)
    assert running.returncode == 2, log
    assert f"cannot listen on 127.0.0.1:{port}" in log


def test_a_broken_cursor_key_is_named(migrated_database: Logins, tmp_path: Path) -> None:
    """A key file with something else in it: exit code 2, the file named, its content not."""
    key = tmp_path / "cursor.key"
    key.write_text("c2hvcnQ=")
    with process(given(migrated_database.reader, tmp_path, cursor_key_file=str(key))) as running:
        log, _ = running.communicate(timeout=DEADLINE_S)
    assert running.returncode == 2, log
    assert str(key) in log
    assert "c2hvcnQ=" not in log
