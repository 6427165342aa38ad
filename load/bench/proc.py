"""What processes cost, from proc(5): processor time and memory, of one or of a whole tree."""

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PEAK_RESET: Final = "5"
"""proc(5), /proc/pid/clear_refs: sets the peak resident size back to the present one."""

_NICE: Final = 10
"""Against somebody who is not nice: a tenth of the core (sched(7))."""


def _stat(pid: int) -> list[str]:
    """The fields after the name, which may hold anything; field 3 of proc(5) is the first."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def tree(root: int) -> list[int]:
    """A process and all that descend from it."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it ended meanwhile
            children.setdefault(int(_stat(int(entry.name))[1]), []).append(int(entry.name))
    found, new = [root], [root]
    while new:
        new = [child for pid in new for child in children.get(pid, [])]
        found += new
    return found


def command(pid: int) -> str:
    """What a process was started with."""
    return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")


def cpu_s(pids: Iterable[int]) -> float:
    """Processor time used so far by processes that live, all threads, user and system.

    Children that ended count with the parent that waited for them.
    """
    total = 0
    for pid in pids:
        with suppress(OSError):  # it ended; its parent has it
            fields = _stat(pid)
            total += sum(int(fields[n]) for n in (11, 12, 13, 14))
    return total / _TICKS


def _status_kib(pid: int, name: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1])
    return 0


def resident_bytes(pids: Iterable[int]) -> int:
    """Resident memory now, summed; pages shared between processes count in each."""
    return sum(_status_kib(pid, "VmRSS") for pid in pids) * 1024


def peak_bytes(pids: Iterable[int]) -> int:
    """The most resident memory since `reset_peak`, of each, summed."""
    return sum(_status_kib(pid, "VmHWM") for pid in pids) * 1024


def reset_peak(pids: Iterable[int]) -> None:
    """Begin to look for a new peak; without the right to, the peak stays the process's own."""
    for pid in pids:
        with suppress(OSError):
            Path(f"/proc/{pid}/clear_refs").write_text(_PEAK_RESET)


def _threads(pid: int) -> list[int]:
    """Of a running process; none when it has ended."""
    with suppress(OSError):
        return [int(task.name) for task in Path(f"/proc/{pid}/task").iterdir()]
    return []


def pin(pid: int, core: int) -> None:
    """Move a running process, every thread of it, to one core."""
    for thread in _threads(pid):
        with suppress(ProcessLookupError):
            os.sched_setaffinity(thread, {core})


def yield_to_others(pid: int) -> None:
    """Let a running process, every thread of it, stand back behind whoever else wants its core."""
    for thread in _threads(pid):
        with suppress(ProcessLookupError):
            os.setpriority(os.PRIO_PROCESS, thread, _NICE)
