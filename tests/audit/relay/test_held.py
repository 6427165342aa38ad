"""`audit.relay.held`: one relay a spool, beside a service on a machine without a gateway."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from audit.errors import SpoolBusy, SpoolUnavailable
from audit.opening import open_producer
from audit.relay.held import held
from tests.builders import command
from tests.builders.callers import Caller
from tests.builders.patience import PATIENCE_S
from tests.builders.private import private
from tests.servers.ports import free_port
from tests.servers.postgres import Logins, Postgres

WITHIN_S = PATIENCE_S


def test_a_spool_is_delivered_without_a_gateway(tmp_path: Path, postgres: Postgres, migrated_database: Logins) -> None:
    """What the service emits is in the store in a moment, also what it emitted before; a signal ends it with 0."""
    login = urlsplit(migrated_database.writer)
    store = {"host": login.hostname, "port": login.port, "database": login.path[1:]}
    store["writer"] = {"user": login.username, "password": login.password}
    file = tmp_path / "lychgate.yaml"
    private(
        file,
        json.dumps(
            {
                "store": store,
                "audit": {"spool": {"folder": str(tmp_path / "spool")}, "relay": {"metrics_port": free_port()}},
            }
        ),
    )
    audit = open_producer("order", spool=tmp_path / "spool", calls=Caller)
    audit.emit("order.order.created", action="order:create", durable=True)
    words = [sys.executable, "-m", "lychgate", "relay", "--config", str(file)]
    relay = subprocess.Popen(words, stderr=subprocess.PIPE)
    try:
        deadline = time.monotonic() + WITHIN_S
        while postgres.sql("SELECT count(*) FROM audit_events", database=login.path[1:]) != "1":
            assert time.monotonic() < deadline
            assert relay.poll() is None
            time.sleep(0.05)
        second = command.run("relay", "--config", str(file))
        assert (second.returncode, "another relay" in second.stderr) == (2, True)
        audit.emit("order.order.paid", action="order:update")
        audit.close()
    finally:
        relay.send_signal(signal.SIGTERM)
        code = relay.wait(PATIENCE_S)
        assert relay.stderr is not None
        relay.stderr.close()
    assert code == 0
    # the last one too: a stop delivers what is on disk
    assert postgres.sql("SELECT count(*) FROM audit_events", database=login.path[1:]) == "2"
    ended = "SELECT bool_and(ended) FROM audit_producers"
    assert postgres.sql(ended, database=login.path[1:]) == "t"


def test_one_relay_a_spool(tmp_path: Path) -> None:
    """Two would move each other's cursors."""
    with held(tmp_path), pytest.raises(SpoolBusy), held(tmp_path):
        raise AssertionError
    with held(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []  # nothing is written for it: the disk may be full
    (tmp_path / "file").write_text("")
    with pytest.raises(SpoolUnavailable), held(tmp_path / "file"):
        raise AssertionError
