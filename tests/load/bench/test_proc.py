"""What processes cost, on real ones."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from load.bench import proc
from tests.builders.patience import PATIENCE_S

PARENT = """
import subprocess, sys, time
held = "import time; x = bytearray(64 << 20); print(1, flush=True); time.sleep(60)"
child = subprocess.Popen([sys.executable, "-c", held])
began = time.process_time()
while time.process_time() < began + 0.3: pass
time.sleep(60)
"""


@pytest.fixture
def parent() -> Iterator[int]:
    """A process that used 0.3 s of processor time and has a child that holds 64 MiB."""
    process = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    yield process.pid
    for pid in reversed(proc.tree(process.pid)):
        os.kill(pid, 9)
    process.communicate()


def test_a_tree_costs_what_its_processes_cost(parent: int) -> None:
    """Time of the parent and memory of the child are in the sum; a process that is gone costs nothing."""
    deadline = time.monotonic() + PATIENCE_S
    while proc.cpu_s([parent]) < 0.3 and time.monotonic() < deadline:
        time.sleep(0.05)
    pids = proc.tree(parent)
    assert len(pids) == 2
    assert proc.cpu_s(pids) >= 0.3
    assert proc.resident_bytes(pids) > 64 << 20
    assert proc.peak_bytes(pids) >= proc.resident_bytes(pids[1:])
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    assert proc.cpu_s([gone.pid]) == 0


def test_a_running_process_is_moved(parent: int) -> None:
    """Every thread of it is on the core that was named."""
    core = max(os.sched_getaffinity(0))
    proc.pin(parent, core)
    assert os.sched_getaffinity(parent) == {core}
