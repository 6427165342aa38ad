"""One owner of a state folder at a time, and what a killed one leaves."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from lychgate.errors import StateBusy
from lychgate.processes import ProcessId, identity
from lychgate.up.predecessor import StateFolder
from tests.builders.patience import PATIENCE_S


def test_a_second_owner_is_refused_with_the_first_ones_pid(tmp_path: Path) -> None:
    """Until the first one leaves."""
    with StateFolder(tmp_path, [].append), pytest.raises(StateBusy, match=f"pid {os.getpid()}"):
        StateFolder(tmp_path, [].append).__enter__()
    with StateFolder(tmp_path, [].append):
        pass


def test_what_a_killed_owner_left_running_is_stopped_and_said(tmp_path: Path) -> None:
    """The record of an owner that never left names its children."""
    child = subprocess.Popen(["sleep", "60"])
    said: list[str] = []
    killed = StateFolder(tmp_path, said.append)
    killed.__enter__()
    killed.record({"query": identity(child.pid)})
    os.close(killed._lock)  # the system lets the lock go; nothing else happens when one is killed
    with StateFolder(tmp_path, said.append):
        pass
    assert child.wait(PATIENCE_S) == -15
    assert said == [f"stopped query (pid {child.pid}), left over from a killed run"]


def test_a_stranger_with_an_old_number_is_left_alone(tmp_path: Path) -> None:
    """Another start time, or another boot of the machine: not ours."""
    stranger = subprocess.Popen(["sleep", "60"])
    found = identity(stranger.pid)
    assert found is not None
    for boot, started in (("another boot", found.started), (_boot(), found.started - 1)):
        record = {"boot": boot, "children": {"query": ProcessId(stranger.pid, started)}}
        (tmp_path / "up.json").write_text(json.dumps(record))
        with StateFolder(tmp_path, [].append):
            assert stranger.poll() is None
    stranger.kill()
    stranger.wait()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"boot": 1}', '{"boot": null, "children": {"a": 7}}'])
def test_a_record_that_cannot_be_read_is_no_obstacle(tmp_path: Path, text: str) -> None:
    """Cut short by a crash or written by something else."""
    (tmp_path / "up.json").write_text(text)
    with StateFolder(tmp_path, [].append):
        pass


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
