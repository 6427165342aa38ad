"""Tests of `tests.servers.ports`."""

import socket
import subprocess
import sys
from pathlib import Path

from tests.servers.ports import free_port

ROOT = Path(__file__).parents[2]
TAKING = "from tests.servers.ports import free_port; print(*[free_port() for _ in range(3)], flush=True); input()"


def test_processes_take_different_ports_and_none_that_the_system_gives_out() -> None:
    """Of three at a time, for as long as they live; and never one where somebody listens."""
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    words = [sys.executable, "-c", TAKING]
    taken = [free_port(), free_port()]
    with socket.create_server(("127.0.0.1", free_port())) as server:
        taken += [free_port() for _ in range(100)]
        assert server.getsockname()[1] not in taken
    others = [subprocess.Popen(words, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(2)]
    theirs: list[int] = []
    for other in others:
        assert other.stdout is not None
        theirs += map(int, other.stdout.readline().split())
    for other in others:
        other.communicate(b"\n")
    assert len({*theirs}) == 6
    assert not {*theirs} & {*taken}
    assert max(*theirs, *taken) < lowest
