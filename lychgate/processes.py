"""Processes of this machine: who one is, whether it still lives, and how it is stopped.

A pid alone is not an identity, because the system gives it to another process later. `ProcessId` adds the time the
process started, so that what is found in a file from an earlier run is never mistaken for a stranger.
"""

import os
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

_POLL_S = 0.02


class ProcessId(NamedTuple):
    """A process, told apart from a later one with the same pid.

    Attributes:
        pid: Its number.
        started: Its start time in clock ticks since boot (proc(5), field 22); 0 where the system has no /proc.
    """

    pid: int
    started: int

    @property
    def lives(self) -> bool:
        """Whether this very process still runs; a zombie does not."""
        return identity(self.pid) == self


def identity(pid: int) -> ProcessId | None:
    """Who has this pid now; None for nobody, or for a zombie that only waits to be reaped."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None if Path("/proc/self/stat").exists() else _identity_without_proc(pid)
    # The command stands in parentheses and may hold spaces and parentheses itself.
    fields = text.rpartition(")")[2].split()
    state, started = fields[0], int(fields[19])
    return None if state in "ZX" else ProcessId(pid, started)


def _identity_without_proc(pid: int) -> ProcessId | None:
    """On a system without /proc a pid must do."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        return ProcessId(pid, 0)
    return ProcessId(pid, 0)


def command_of(pid: int) -> str | None:
    """The program's name, for a message; None when it cannot be seen."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text().strip() or None
    return None


def stop(process: ProcessId, steps: Sequence[tuple[signal.Signals, float]]) -> bool:
    """Stop a process that is not our child, more firmly with each step.

    Args:
        process: Whom; a later process with the same pid is left alone.
        steps: Signals, each with the seconds it is given to work.

    Returns:
        Whether it is gone.
    """
    for number, within_s in steps:
        if not process.lives:
            return True
        with suppress(ProcessLookupError):
            os.kill(process.pid, number)
        if wait_gone(process, within_s):
            return True
    return not process.lives


def wait_gone(process: ProcessId, within_s: float) -> bool:
    """Wait until a process is gone; False when the time is over first."""
    deadline = time.monotonic() + within_s
    while process.lives:
        if time.monotonic() >= deadline:
            return False
        time.sleep(_POLL_S)
    return True
