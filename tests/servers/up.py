"""`lychgate up` as something to be started, killed and counted; tests that only use a stack take `servers/stack.py`."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
ENDS_WITHIN_S = 90.0


@dataclass
class Up:
    """A run of `lychgate up`.

    Attributes:
        state: Its state folder.
        process: The command.
        errors: Where its standard error goes.
        facts: The JSON line, once `await_ready` has seen it.
    """

    state: Path
    process: "subprocess.Popen[str]"
    errors: Path
    facts: dict[str, Any]

    @property
    def gateway(self) -> str:
        """The public door's URL."""
        return str(self.facts["urls"]["gateway"])

    @property
    def ops(self) -> str:
        """The operations port's URL."""
        return str(self.facts["urls"]["ops"])

    @property
    def query(self) -> str:
        """The query API's own URL."""
        return str(self.facts["urls"]["query"])

    def bearer(self, role: str) -> dict[str, str]:
        """The header with a role's token."""
        return {"authorization": f"Bearer {self.facts['tokens'][role]}"}

    def said(self) -> str:
        """What it wrote to standard error."""
        return self.errors.read_text()

    def await_ready(self) -> None:
        """Wait for the JSON line; fails with everything that was said."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()  # ends with the process, which has a deadline of its own
        if not line:
            raise AssertionError(f"lychgate up ended with {self.process.wait()}:\n{self.said()}")
        self.facts = json.loads(line)

    def await_refusal(self) -> int:
        """Wait for a run that is not to come up; returns its exit code."""
        try:
            return self.process.wait(ENDS_WITHIN_S)
        finally:
            self.close()

    def end(self, number: signal.Signals) -> int:
        """Send a signal, wait, return the exit code."""
        self.process.send_signal(number)
        return self.process.wait(ENDS_WITHIN_S)

    def close(self) -> None:
        """Stop it if it still runs, and let the pipe go."""
        if self.process.poll() is None:
            self.end(signal.SIGTERM)
        if self.process.stdout is not None:
            self.process.stdout.close()

    def family(self) -> dict[int, str]:
        """Every live process but `up` itself that runs on this state folder: a variable or an argument names it."""
        found: dict[int, str] = {}
        for entry in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):  # gone meanwhile, or somebody else's
                state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
                command = (entry / "cmdline").read_bytes()
                mine = os.fsencode(self.state) in (entry / "environ").read_bytes() + command
                if mine and state not in "ZX" and int(entry.name) not in {os.getpid(), self.process.pid}:
                    found[int(entry.name)] = command.replace(b"\0", b" ").decode(errors="replace")
        return found

    def await_nobody(self, within_s: float) -> dict[int, str]:
        """Wait until nothing runs on the state folder; returns what is left at the end."""
        deadline = time.monotonic() + within_s
        while (left := self.family()) and time.monotonic() < deadline:
            time.sleep(0.1)
        return left


def launch(state: Path, *arguments: str, cwd: Path = ROOT, **variables: str) -> Up:
    """Start `lychgate up --json` on a state folder, on free ports if nothing else is said; does not wait."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LYCHGATE_")}
    environment |= {"LYCHGATE_UP__STATE_FOLDER": str(state), "LYCHGATE_GATEWAY__WORKERS": "1", **variables}
    descriptor, errors = tempfile.mkstemp(prefix="up-", suffix=".stderr", dir=state.parent)
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "lychgate", "up", "--json", *(arguments or ("--free-ports",))],
            cwd=cwd,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=descriptor,
            text=True,
        )
    finally:
        os.close(descriptor)
    return Up(state, process, Path(errors), {})


@contextmanager
def state_folder() -> Iterator[Path]:
    """A place for a state folder, gone afterwards. Not under pytest's `tmp_path`, which only root could enter."""
    home = Path(tempfile.mkdtemp(prefix="lychgate-up-"))
    home.chmod(0o711)
    try:
        yield home / "state"
    finally:
        shutil.rmtree(home, ignore_errors=True)


@contextmanager
def running(state: Path) -> Iterator[Up]:
    """A ready stack, stopped at the end however that comes."""
    up = launch(state)
    try:
        up.await_ready()
        yield up
    finally:
        up.close()
