"""Who a process is, and that a stranger with an old number is left alone."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from lychgate.processes import ProcessId, command_of, identity, stop, wait_gone

STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('on', flush=True); time.sleep(60)"


@pytest.fixture
def sleeper() -> Iterator["subprocess.Popen[bytes]"]:
    """A process that waits."""
    process = subprocess.Popen(["sleep", "60"])
    yield process
    process.kill()
    process.wait()


def test_a_live_process_is_itself_and_a_later_one_is_not(sleeper: "subprocess.Popen[bytes]") -> None:
    """The start time is part of who it is."""
    found = identity(sleeper.pid)
    assert found is not None
    assert found.lives
    assert not ProcessId(found.pid, found.started - 1).lives
    assert command_of(sleeper.pid) == "sleep"


def test_a_zombie_and_nobody_do_not_live(sleeper: "subprocess.Popen[bytes]") -> None:
    """A process that has ended and waits to be reaped is gone."""
    found = identity(sleeper.pid)
    assert found is not None
    sleeper.kill()
    assert wait_gone(found, 5)
    assert identity(sleeper.pid) is None
    sleeper.wait()
    assert identity(sleeper.pid) is None
    assert command_of(2**22 + 1) is None


def test_stop_goes_on_to_the_next_signal_when_one_is_ignored() -> None:
    """SIGTERM is ignored, SIGKILL is not."""
    process = subprocess.Popen([sys.executable, "-c", STUBBORN], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    found = identity(process.pid)
    assert found is not None
    assert not stop(found, ((signal.SIGTERM, 0.2),))
    assert stop(found, ((signal.SIGTERM, 0.2), (signal.SIGKILL, 5.0)))
    assert process.wait() == -signal.SIGKILL
    process.stdout.close()


def test_stop_leaves_a_stranger_alone(sleeper: "subprocess.Popen[bytes]") -> None:
    """The number is somebody else's now: no signal is sent."""
    found = identity(sleeper.pid)
    assert found is not None
    assert stop(ProcessId(found.pid, found.started + 1), ((signal.SIGKILL, 1.0),))
    time.sleep(0.05)
    assert sleeper.poll() is None


def test_our_own_process_is_known() -> None:
    """This process lives."""
    found = identity(os.getpid())
    assert found is not None
    assert found.lives
