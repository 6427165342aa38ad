"""What a tethered program is told when its parent dies, and who it runs as."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lychgate.processes import identity, wait_gone
from lychgate.tether import tethered
from tests.builders.patience import PATIENCE_S

ROOT = Path(__file__).parents[2]

PARENT = """
import signal, subprocess, sys, time
from lychgate.tether import tethered
child = subprocess.Popen(tethered(["/bin/sleep", "60"], on_parent_death=signal.SIGTERM), start_new_session=True)
print(child.pid, flush=True)
time.sleep(60)
"""


def test_the_program_ends_when_its_parent_is_killed() -> None:
    """SIGKILL of the parent reaches the child as the chosen signal."""
    parent = subprocess.Popen([sys.executable, "-c", PARENT], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    child = identity(pid)
    assert child is not None
    _until_it_is_sleep(pid)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert wait_gone(child, 5)


def _until_it_is_sleep(pid: int) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while Path(f"/proc/{pid}/comm").read_text().strip() != "sleep":
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_parent_that_died_before_the_tether_held_is_noticed() -> None:
    """The program is not even started."""
    command = tethered(["/bin/echo", "started"], on_parent_death=signal.SIGTERM)
    command[command.index(str(os.getpid()))] = "1999999999"
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_program_takes_the_launchers_place() -> None:
    """The same pid, its own exit code, its arguments as they are."""
    process = subprocess.Popen(
        tethered(["/bin/sh", "-c", 'echo $$; echo "$1"; exit 7', "sh", "a b"], on_parent_death=signal.SIGTERM),
        stdout=subprocess.PIPE,
        text=True,
    )
    output, _ = process.communicate()
    assert output.splitlines() == [str(process.pid), "a b"]
    assert process.returncode == 7


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may start a program as somebody else")
def test_as_another_user_the_tether_still_holds() -> None:
    """A change of user clears the kernel's setting, so it is made afterwards; no group of ours goes along."""
    done = subprocess.run(
        tethered(["/usr/bin/id"], on_parent_death=signal.SIGTERM, account=(65534, 65534)),
        capture_output=True,
        text=True,
        check=True,
    )
    assert "uid=65534" in done.stdout
    assert "groups=65534" in done.stdout
    assert "root" not in done.stdout
