"""Tests of `lychgate audit spool drain`: a dead gateway's disk is emptied into a real PostgreSQL, and let go."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from audit.emit import Emitter
from audit.spool.segment import segments
from tests.audit.test_relay import stamped
from tests.builders.command import run as lychgate
from tests.lychgate.commands.audit.test_replay import DYING, ROOT, config, fetch  # noqa: F401  # a fixture
from tests.servers.postgres import Logins


def killed(folder: Path) -> None:
    """A producer's folder, left by a SIGKILL: fifty records written, three numbers taken and nothing written."""
    dying = DYING.replace('"child"', f'"{folder.name}"')
    child = subprocess.Popen([sys.executable, "-c", dying, str(folder)], stdout=subprocess.PIPE, cwd=ROOT)
    assert child.stdout is not None
    assert child.stdout.readline() == b"taken\n"
    os.kill(child.pid, signal.SIGKILL)
    child.communicate()


def drain(config: Path, root: Path, *words: str) -> tuple[int, list[dict[str, Any]], str]:  # noqa: F811
    """Run it; exit code, its rows, and what it complained of."""
    done = lychgate("audit", "spool", "drain", "--config", str(config), "--from", str(root), "--json", *words)
    return done.returncode, json.loads(done.stdout) if done.stdout else [], done.stderr


def test_a_disk_is_emptied_once_and_nobody_waits_for_it(
    tmp_path: Path,
    config: Path,  # noqa: F811
    migrated_database: Logins,
) -> None:
    """Every record once, the missing numbers named, the producer ended; doing it again changes nothing."""
    root = tmp_path / "old"
    killed(root / "child")
    killed(root / "other")
    code, rows, _ = drain(config, root)
    assert code == 0
    assert [(row["producer"], row["ended"], row["left_bytes"], row["clear"]) for row in rows] == [
        ("child", True, 0, True),
        ("other", True, 0, True),
    ]
    count = "SELECT count(*) AS n FROM audit_events"
    of_each = "SELECT producer_id, count(*) AS n FROM audit_events WHERE event_type <> 'audit.loss' GROUP BY 1"
    assert fetch(migrated_database, count)[0]["n"] == 102  # 50 of each, and each one's loss
    assert [row["n"] for row in fetch(migrated_database, of_each)] == [50, 50]
    states = fetch(migrated_database, "SELECT DISTINCT state FROM audit_producer_states()")
    assert [row["state"] for row in states] == ["ended"]
    assert fetch(migrated_database, "SELECT count(*) AS n FROM audit_conflicts")[0]["n"] == 0
    assert drain(config, root)[0] == 0
    assert fetch(migrated_database, count)[0]["n"] == 102


def test_somebody_who_records_is_left_alone(tmp_path: Path, config: Path, migrated_database: Logins) -> None:  # noqa: F811
    """Refused with the name of who lives there; nothing of its neighbours is delivered or ended either."""
    root = tmp_path / "old"
    killed(root / "child")
    emitter = Emitter(root / "living", "living")
    try:
        emitter.emit_and_wait(stamped(emitter))
        code, rows, said = drain(config, root)
    finally:
        emitter.close()
    assert (code, rows) == (1, [])
    assert "living still records there" in said
    assert fetch(migrated_database, "SELECT count(*) AS n FROM audit_events")[0]["n"] == 0


def test_what_must_be_looked_at_is_said(tmp_path: Path, config: Path, migrated_database: Logins) -> None:  # noqa: F811
    """A damaged segment is set aside: what can be read is delivered, and the disk is not called clear."""
    root = tmp_path / "old"
    killed(root / "child")
    file = root / "child" / segments(root / "child")[0].text()
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 0xFF
    file.write_bytes(data)
    code, rows, _ = drain(config, root)
    assert code == 1
    assert not rows[0]["clear"]
    assert "set aside as damaged" in rows[0]["trouble"] or "cannot be read" in rows[0]["trouble"]
    assert fetch(migrated_database, "SELECT count(*) AS n FROM audit_events")[0]["n"] >= 40


def test_without_a_store_nothing_is_called_clear(
    tmp_path: Path,
    config: Path,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The time is over, the bytes are still there, and the exit code says so."""
    root = tmp_path / "old"
    killed(root / "child")
    monkeypatch.setenv("LYCHGATE_STORE__PORT", "1")
    code, rows, _ = drain(config, root, "--within-s", "1")
    assert code == 1
    assert rows[0]["left_bytes"] > 0
    assert not rows[0]["clear"]


def test_a_folder_above_the_spool_is_not_an_empty_one(
    tmp_path: Path,
    config: Path,  # noqa: F811
    migrated_database: Logins,
) -> None:
    """Whoever names the disk instead of the spool on it is not told that the disk may go."""
    killed(tmp_path / "disk" / "spool" / "child")
    code, rows, said = drain(config, tmp_path / "disk")
    assert (code, rows) == (1, [])
    assert f"{tmp_path / 'disk' / 'spool' / 'child'}: not drained" in said
    assert drain(config, tmp_path / "disk" / "spool")[0] == 0
    assert drain(config, tmp_path / "disk")[0] == 0  # nothing is left below it


def test_there_must_be_a_folder(tmp_path: Path, config: Path) -> None:  # noqa: F811
    """A claim that is not mounted is not an empty one."""
    assert drain(config, tmp_path / "nowhere")[0] == 2


@pytest.mark.parametrize("seconds", ["0", "-1"])
def test_it_takes_some_time(tmp_path: Path, config: Path, seconds: str) -> None:  # noqa: F811
    """No time at all is a mistake."""
    assert drain(config, tmp_path, "--within-s", seconds)[0] == 2
