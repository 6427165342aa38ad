"""Processes that are to be killed: each with its own pid, its family found in /proc, its output in a file."""

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from lychgate.tether import tethered

ROOT = Path(__file__).resolve().parents[2]
_POLL_S = 0.01
_STOPPED_WITHIN_S = 0.5
_GONE_WITHIN_S = 15.0


class NotStarted(Exception):
    """A part of the stack did not come up; the message ends with its last words."""


def parents() -> dict[int, int]:
    """Every process's parent, as /proc says now; zombies are left out."""
    found: dict[int, int] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
            if state not in "ZX":
                found[int(entry.name)] = int(parent)
    return found


def family(pid: int) -> list[int]:
    """A process and all that descend from it, itself first; empty when it is gone."""
    known = parents()
    if pid not in known:
        return []
    found = [pid]
    for member in found:  # grows meanwhile
        found += [child for child, parent in known.items() if parent == member]
    return found


def state_of(pid: int) -> str:
    """The letter of proc(5); `X` for one that is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "X"


def tell(pids: Sequence[int], number: signal.Signals) -> None:
    """Send a signal to those that are still there."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


async def hold(pids: Sequence[int]) -> None:
    """SIGSTOP, and wait until they stand still."""
    tell(pids, signal.SIGSTOP)
    deadline = time.monotonic() + _STOPPED_WITHIN_S
    while any(state_of(pid) not in "TtZX" for pid in pids) and time.monotonic() < deadline:  # noqa: ASYNC110 - as /proc is
        await asyncio.sleep(_POLL_S)


async def gone(pids: Sequence[int], within_s: float = _GONE_WITHIN_S) -> bool:
    """Whether all of them end within that time."""
    deadline = time.monotonic() + within_s
    while any(state_of(pid) not in "ZX" for pid in pids):
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(_POLL_S)
    return True


class Process:
    """One of our own commands, as production runs it.

    Args:
        name: In messages and in the log's name.
        command: Program and arguments.
        environment: All of its variables.
        log: Where its output goes, on top of what is there.
    """

    def __init__(self, name: str, command: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        self.name = name
        self.environment = dict(environment)
        self._command = command
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """While it runs."""
        running = self._process is not None and self._process.poll() is None
        return self._process.pid if running and self._process is not None else None

    @property
    def pids(self) -> list[int]:
        """It and its descendants."""
        return family(self.pid) if self.pid is not None else []

    def start(self) -> None:
        """Start it; nothing is waited for."""
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(
                tethered(list(self._command), on_parent_death=signal.SIGTERM),
                cwd=ROOT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # a terminal's Ctrl-C is for us
            )

    async def kill(self) -> None:
        """SIGKILL to all of its family at once."""
        pids = self.pids
        await hold(pids)
        tell(pids, signal.SIGKILL)
        await gone(pids)
        if self._process is not None:
            self._process.poll()

    async def end(self, within_s: float = 30.0) -> int | None:
        """SIGTERM, as an operator stops it; its exit code, or None where it had to be killed."""
        pids = self.pids
        if self._process is None or self.pid is None:
            return None
        tell(pids, signal.SIGCONT)
        self._process.terminate()
        if not await gone([self._process.pid], within_s):
            await self.kill()
            return None
        await gone(pids)
        return self._process.wait()

    def last_words(self) -> str:
        """The end of its log."""
        text = self._log.read_text(encoding="utf-8", errors="replace") if self._log.exists() else ""
        return "\n".join(text.rstrip().splitlines()[-15:])
