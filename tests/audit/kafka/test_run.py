"""Tests of `audit.kafka.run`."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from audit.kafka import run as consumer_process
from audit.kafka.run import run
from audit.settings import AuditSettings, StoreSettings
from tests.audit.mock_kafka import mock_kafka
from tests.builders.patience import PATIENCE_S
from tests.servers.ports import free_port
from tests.servers.postgres import Logins

ROOT = Path(__file__).parents[3]
PROGRAM = """
import sys
from urllib.parse import urlsplit
from audit.kafka.run import run
from audit.settings import AuditSettings, StoreSettings
servers, dsn, port = sys.argv[1:]
to = urlsplit(dsn)
login = {"user": to.username, "password": to.password}
store = {"host": to.hostname, "port": to.port, "database": to.path[1:], "writer": login}
kafka = {"bootstrap_servers": servers, "consumer_metrics_port": int(port), "deadline_s": 2.0}
sys.exit(run(AuditSettings.model_validate({"kafka": kafka}), StoreSettings.model_validate(store)))
"""


def test_without_a_broker_there_is_nothing_to_consume(capsys: pytest.CaptureFixture[str]) -> None:
    """The message names the key, and the exit code is that of a configuration error."""
    assert run(AuditSettings(), StoreSettings()) == 2
    assert "audit.kafka.bootstrap_servers" in capsys.readouterr().err


def test_it_serves_its_metrics_and_stops_when_told(migrated_database: Logins) -> None:
    """While it runs its metrics can be scraped, and it says when it is ready; SIGTERM ends it cleanly."""
    with mock_kafka() as broker:
        broker.create("audit.events.v1", 1)
        port = free_port()
        child = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, broker.bootstrap_servers, migrated_database.writer, str(port)], cwd=ROOT
        )
        try:
            deadline = time.monotonic() + PATIENCE_S
            while True:
                try:
                    with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=1) as answer:
                        assert answer.read() == b'{"ready": true}'
                    with urllib.request.urlopen(f"http://127.0.0.1:{port}/internal/metrics", timeout=1) as answer:
                        assert b"audit_events_ingested_total" in answer.read()
                        break
                except OSError:
                    assert time.monotonic() < deadline
                    assert child.poll() is None
                    time.sleep(0.05)
            os.kill(child.pid, signal.SIGTERM)
            assert child.wait(PATIENCE_S) == 0
        finally:
            if child.poll() is None:
                child.kill()
                child.wait()


def test_a_port_that_is_taken_is_a_configuration_error(migrated_database: Logins) -> None:
    """Rather than a consumer that nobody can watch."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, "127.0.0.1:1", migrated_database.writer, port],
            cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
    assert done.returncode == 2
    assert "in use" in done.stderr


def test_a_login_that_may_do_more_is_refused(migrated_database: Logins) -> None:
    """The owner's login for the writer ends in exit code 2."""
    with mock_kafka() as broker:
        broker.create("audit.events.v1", 1)
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, broker.bootstrap_servers, migrated_database.owner, str(free_port())],
            cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
    assert done.returncode == 2
    assert "is a superuser" in done.stderr


def test_its_port_is_opened_where_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host of the configuration's; a port that cannot be had is exit code 2."""
    asked: list[tuple[int, str]] = []

    def health(port: int, _registry: object, _problem: object, *, host: str) -> None:
        asked.append((port, host))
        raise OSError("the port is taken")

    monkeypatch.setattr(consumer_process, "Health", health)
    kafka = {"bootstrap_servers": "127.0.0.1:1", "consumer_metrics_port": 9464, "consumer_metrics_host": "10.0.0.1"}
    assert consumer_process.run(AuditSettings.model_validate({"kafka": kafka}), StoreSettings()) == 2
    assert asked == [(9464, "10.0.0.1")]
