"""One process of the stack: started on a tether, its output in a file, watched, stopped."""

import os
import signal
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from lychgate.processes import ProcessId, identity
from lychgate.tether import tethered

_TAIL = 20
_KILLED_WITHIN_S = 10.0


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """What to run, and how to see that it is ready.

    Attributes:
        name: In messages and in the name of its log.
        command: Program and arguments.
        ready_urls: All answer 2xx when it is ready.
        needs_store: Whether it is started only when the store is there.
        stops_first: Whether the others must still be there while it stops.
    """

    name: str
    command: tuple[str, ...]
    ready_urls: tuple[str, ...] = ()
    needs_store: bool = False
    stops_first: bool = False


class Child:
    """A running process.

    Args:
        spec: What to run.
        environment: All of its variables.
        logs: The folder of log files; this one's is `<name>.log`.
    """

    def __init__(self, spec: ChildSpec, environment: Mapping[str, str], logs: Path) -> None:
        self.spec = spec
        self.log = logs / f"{spec.name}.log"
        descriptor = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            self._begin = os.fstat(descriptor).st_size
            self._process = subprocess.Popen(  # noqa: S603 -- our own program
                tethered(list(spec.command), on_parent_death=signal.SIGTERM),
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=descriptor,
                stderr=descriptor,
                start_new_session=True,  # Ctrl-C is for `up`, which stops its children in their order
            )
        finally:
            os.close(descriptor)
        self.id: ProcessId | None = identity(self._process.pid)

    @property
    def exit_code(self) -> int | None:
        """How it ended; None while it runs."""
        return self._process.poll()

    def ask_to_stop(self) -> None:
        """SIGTERM: finish what is in hand and leave."""
        with suppress(ProcessLookupError):
            self._process.terminate()

    def await_end(self, deadline: float) -> bool:
        """Wait until a time of `time.monotonic`, then kill; whether it left by itself."""
        try:
            self._process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.kill()
            return False
        return True

    def kill(self) -> None:
        """SIGKILL it and all it started: it leads a session of its own, so its process group is its family."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_KILLED_WITHIN_S)

    def last_words(self) -> str:
        """The end of what this run wrote."""
        with self.log.open("rb") as stream:
            stream.seek(self._begin)
            text = stream.read().decode("utf-8", "replace")
        return "\n".join(text.rstrip().splitlines()[-_TAIL:])
