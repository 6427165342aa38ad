"""`lychgate audit dead-letters`, as somebody runs it, on a real store."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from audit.codec import encode
from audit.ids import EventIds
from audit.store import Store
from tests.builders.audit import make_event
from tests.builders.private import private
from tests.servers.postgres import Logins

Run = Callable[..., "subprocess.CompletedProcess[bytes]"]
HOSTILE = b"\x1b]0;owned\x07 \xff hunter2"


@pytest.fixture
def run(migrated_database: Logins, tmp_path: Path) -> Run:
    """Runs the command with a configuration of this store."""
    to = urlsplit(migrated_database.keeper)
    private(
        file := tmp_path / "lychgate.yaml",
        json.dumps({
            "store": {
                "host": to.hostname, "port": to.port, "database": to.path[1:],
                "keeper": {"user": to.username, "password": to.password},
            }
        })
    )  # fmt: skip

    def run(*words: str) -> "subprocess.CompletedProcess[bytes]":
        command = [sys.executable, "-m", "lychgate", "audit", "dead-letters", *words, "--config", str(file)]
        wide = {**os.environ, "COLUMNS": "200"}
        return subprocess.run(command, capture_output=True, check=False, timeout=60, env=wide)

    return run


async def test_list_show_replay(migrated_database: Logins, run: Run) -> None:
    """What an operator does about poison and a clock that was ahead."""
    ahead = EventIds(lambda: 4_000_000_000_000_000_000)
    store = Store(migrated_database.writer)
    await store.write([HOSTILE, encode(make_event(event_id=ahead.next())), b"{}"])
    await store.close()

    listed = run("list")
    assert listed.returncode == 0
    assert b"malformed" in listed.stdout
    assert b"hunter2" not in listed.stdout
    found = json.loads(run("list", "--json", "--reason", "malformed").stdout)
    assert [(row["reason"], row["error"], row["size_bytes"]) for row in found] == [
        ("malformed", "JSON is malformed at byte 0", len(HOSTILE))
    ]
    of_id = str(found[0]["id"])

    shown = run("show", of_id)
    assert shown.returncode == 0
    assert b"hunter2" not in shown.stdout
    assert b"\x1b" not in shown.stdout
    assert json.loads(run("show", of_id, "--json").stdout)["reason"] == "malformed"
    assert run("show", of_id, "--payload").stdout == HOSTILE
    assert run("show", "999").returncode == 1

    tried = run("replay", "--all", "--dry-run", "--json")
    assert tried.returncode == 1
    assert json.loads(tried.stdout)["counts"] == {
        "replayed": 0, "duplicate": 0, "conflict": 0, "expired": 0, "pending": 3,
    }  # fmt: skip
    assert json.loads(run("list", "--json").stdout)[0]["attempts"] == 0
    assert run("replay", of_id).returncode == 1
    absent = run("replay", "999", "--json")
    assert (absent.returncode, json.loads(absent.stdout)["not_pending"]) == (1, [999])
    dismissed = run("dismiss", of_id, "998", "--why", "a test", "--json")
    assert (dismissed.returncode, json.loads(dismissed.stdout)) == (
        1, {"dismissed": [int(of_id)], "not_pending": [998]},
    )  # fmt: skip
    assert b"dismissed" in run("list", "--ended").stdout
    nothing = run("replay", "--reason", "refused")
    assert nothing.returncode == 0
    assert b"0 replayed" in nothing.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("replay",), b"say which: ids, --reason or --all"),
        (("replay", "--all", "1"), b"say which: ids, --reason or --all"),
        (("list", "--reason", "sad"), b"'sad' is none of malformed, schema, out_of_range, refused"),
        (("list", "--newest", "0"), b"--newest"),
        (("dismiss", "1"), b"--why"),
        (("dismiss", "1", "--why", " "), b"--why is a reason"),
    ],
)
def test_what_is_not_clear_is_refused(run: Run, words: tuple[str, ...], said: bytes) -> None:
    """Exit code 2, and what is wrong."""
    done = run(*words)
    assert done.returncode == 2
    assert said in done.stderr


def test_a_store_that_is_not_there_is_an_error_with_its_place(tmp_path: Path) -> None:
    """And not a traceback, and without the password."""
    private(file := tmp_path / "lychgate.yaml", '{"store": {"port": 1, "keeper": {"password": "hunter2"}}}')
    command = [sys.executable, "-m", "lychgate", "audit", "dead-letters", "list", "--config", str(file)]
    done = subprocess.run(command, capture_output=True, check=False, timeout=60)
    assert done.returncode == 2
    assert b"the store 127.0.0.1:1/lychgate cannot be asked: ConnectionRefusedError" in done.stderr
    assert b"hunter2" not in done.stderr
    assert b"Traceback" not in done.stderr
