"""Tests of `lychgate audit spool stat | verify | dump`, as somebody at a terminal sees them."""

import json
import os
from pathlib import Path

from audit.emit import Emitter
from tests.audit.test_relay import stamped
from tests.builders.command import run as lychgate


def test_what_a_folder_in_use_looks_like(tmp_path: Path) -> None:
    """Its owner lives, nothing was delivered, the oldest record has an age; sound, and not open to others."""
    emitter = Emitter(tmp_path / "gateway-w0", "gateway-w0")
    for tenant in ("acme", "globex"):
        emitter.emit_and_wait(stamped(emitter, tenant_id=tenant))
    [row] = json.loads(lychgate("audit", "spool", "stat", "--folder", str(tmp_path), "--json").stdout)
    assert row["owner"] == f"pid {os.getpid()}"
    assert row["backlog_bytes"] == {"-": row["bytes"]}
    assert 0 <= row["oldest_seconds"] < 600
    assert row["free_bytes"] > 0
    assert "pid " in lychgate("audit", "spool", "stat", "--folder", str(tmp_path)).stdout
    verified = lychgate("audit", "spool", "verify", "--folder", str(tmp_path), "--json")
    assert (verified.returncode, json.loads(verified.stdout)) == (0, [])
    dumped = lychgate("audit", "spool", "dump", "--folder", str(tmp_path), "--tenant", "globex", "--since", "1h")
    assert [json.loads(line)["tenant_id"] for line in dumped.stdout.splitlines()] == ["globex"]
    array = lychgate("audit", "spool", "dump", "--folder", str(tmp_path / "gateway-w0"), "--json")
    assert len(json.loads(array.stdout)) == 2
    emitter.close()


def test_a_folder_that_lets_others_in_is_a_finding(tmp_path: Path) -> None:
    """The mode that is there is left alone and said."""
    folder = tmp_path / "p"
    folder.mkdir(mode=0o750)
    Emitter(folder, "p").close()
    found = lychgate("audit", "spool", "verify", "--folder", str(tmp_path), "--json")
    assert found.returncode == 1
    [finding] = json.loads(found.stdout)
    assert (finding["trouble"], finding["file"]) == ("open", "")
    assert "0750" in finding["what"]


def test_a_file_of_another_format_ends_the_command_in_words(tmp_path: Path) -> None:
    """Exit code 2 and the reason, not a trace; the same for a time that is none."""
    Emitter(tmp_path / "p", "p").close()
    from audit.spool import frame

    file = tmp_path / "p" / "00000007-000001.seg"
    file.write_bytes(frame.pack(b'{"producer":"p","epoch":7,"n":1,"seen":[],"format":99}', frame.HEADER))
    dumped = lychgate("audit", "spool", "dump", "--folder", str(tmp_path))
    assert dumped.returncode == 2
    assert "format 99" in dumped.stderr
    assert "Traceback" not in dumped.stderr
    assert lychgate("audit", "spool", "dump", "--folder", str(tmp_path), "--since", "soon").returncode == 2
