"""Who else ran on this state folder: one that lives keeps us out, what a killed one left behind is stopped.

The lock is the system's (`flock`): it goes with the process, however that ends. The record beside it lists the children
with their start times, so that a number that now belongs to a stranger is left alone.
"""

import fcntl
import json
import os
import signal
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from lychgate.errors import StateBusy
from lychgate.postgres.place import Say
from lychgate.processes import ProcessId, stop

_STEPS = ((signal.SIGTERM, 10.0), (signal.SIGKILL, 5.0))
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class StateFolder:
    """The state folder while we own it.

    Args:
        folder: For example `.lychgate`; made when missing.
        say: Told what was stopped.
    """

    def __init__(self, folder: Path, say: Say) -> None:
        self.folder = folder
        self._say = say
        self._record = folder / "up.json"
        self._lock = -1

    def __enter__(self) -> Self:
        """Take the folder and stop what a killed predecessor left running.

        Raises:
            StateBusy: Another `lychgate up` runs here, or a left-over process does not stop.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock = os.open(self.folder / "up.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            holder = os.pread(self._lock, 20, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(self._lock)
            raise StateBusy(f"another `lychgate up` (pid {holder}) runs on {self.folder}; stop it first") from exc
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, f"{os.getpid()}\n".encode(), 0)
        try:
            self._stop_left_over()
        except BaseException:
            os.close(self._lock)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let the folder go; nobody is left to be recorded."""
        self._record.unlink(missing_ok=True)
        os.close(self._lock)

    def record(self, children: Mapping[str, ProcessId | None]) -> None:
        """Write down who runs, in one step."""
        known = {name: list(process) for name, process in children.items() if process is not None}
        fresh = self._record.with_suffix(".new")
        fresh.write_text(json.dumps({"boot": _boot(), "children": known}), encoding="utf-8")
        fresh.rename(self._record)

    def _stop_left_over(self) -> None:
        for name, process in _recorded(self._record):
            if not process.lives:
                continue
            if not stop(process, _STEPS):
                raise StateBusy(f"{name} (pid {process.pid}), left over from a killed run, does not stop")
            self._say(f"stopped {name} (pid {process.pid}), left over from a killed run")


def _recorded(file: Path) -> Iterable[tuple[str, ProcessId]]:
    """The children a predecessor wrote down, if the machine has not been started anew since."""
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
        if record["boot"] != _boot():
            return []
        return [(str(name), ProcessId(int(pid), int(at))) for name, (pid, at) in record["children"].items()]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        # Missing, cut short or strange: the tether and the port check still hold.
        return []


def _boot() -> str:
    """Which start of the machine this is; empty where the system does not say."""
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return ""
