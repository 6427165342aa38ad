"""This machine: its cores, its programs, and processes that are pinned and never outlive the run."""

import os
import platform
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Final

from lychgate.tether import tethered

ROOT: Final = Path(__file__).parents[2]
TOOLS: Final = ROOT / ".venv-load"
"""Where `load/setup` puts Envoy and locust."""

_STOP_S: Final = 40.0
_SYSTEM_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class BenchError(Exception):
    """The run cannot go on; the text says why, for people."""


def program(name: str) -> str:
    """Where a program of the system is, sbin folders included: Debian does not give them to everybody.

    Raises:
        BenchError: It is not installed.
    """
    found = shutil.which(name) or shutil.which(name, path=_SYSTEM_PATH)
    if found is None:
        raise BenchError(f"{name} is not installed; `load/setup` says what is missing and, as root, installs it")
    return found


def envoy() -> str:
    """The Envoy of the wheel.

    Raises:
        BenchError: It is not installed.
    """
    for found in TOOLS.glob("lib/python*/site-packages/envoy/_bin/envoy"):
        return str(found)
    raise BenchError(f"there is no Envoy in {TOOLS}; run `load/setup`")


@cache
def cores() -> tuple[int, ...]:
    """The cores we may use; asked once, before we pin ourselves.

    Raises:
        BenchError: There is only one.
    """
    found = tuple(sorted(os.sched_getaffinity(0)))
    if len(found) < 2:
        raise BenchError("two cores are needed: one for what is measured, one for who measures")
    return found


def measured_core() -> int:
    """What is measured runs here, and nothing else of ours."""
    return cores()[0]


def other_core() -> int:
    """The upstream and helper processes run here."""
    return cores()[1]


def second_core() -> int | None:
    """A second worker runs here, where the load generator has a core of its own as well; none on a small machine."""
    return cores()[2] if len(cores()) >= 4 else None


def generator_core() -> int:
    """The load generator runs here."""
    return cores()[3] if len(cores()) >= 4 else other_core()


def settle_here() -> None:
    """Leave the measured core, and be allowed as many files as anybody may give us."""
    os.sched_setaffinity(0, {other_core()})
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


class Processes:
    """Everything a run starts. Each is on a tether: if we are killed, the kernel stops it.

    Args:
        stack: Stops them in reverse when it ends.
        logs: The folder for what they say.
    """

    def __init__(self, stack: ExitStack, logs: Path) -> None:
        self._stack = stack
        self._logs = logs
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, command: Sequence[str], *, core: int, env: dict[str, str] | None = None) -> int:
        """Start a program on one core; returns its pid.

        Args:
            name: Of its log.
            command: An absolute path, and arguments.
            core: Where it runs.
            env: Its environment; ours when not given.
        """
        pinned = [program("taskset"), "-c", str(core), *command]
        with (self._logs / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                tethered(pinned, on_parent_death=signal.SIGTERM),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=ROOT,
                env=env,
                start_new_session=True,  # a terminal's Ctrl-C is for us: we stop them in order
            )
        self._stack.callback(_stop, process)
        self._running[name] = process
        return process.pid

    def await_ready(self, name: str, ready: Callable[[], bool], within_s: float = 60.0) -> None:
        """Wait until what was started is ready.

        Raises:
            BenchError: It ended, or is not ready in time; with its last words.
        """

        def ready_or_ended() -> bool:
            return self._running[name].poll() is not None or ready()

        wait_for(f"{name} is ready", ready_or_ended, within_s, said=lambda: self._said(name))
        if self._running[name].poll() is not None:
            raise BenchError(f"{name} ended at once:\n{self._said(name)}")

    def _said(self, name: str) -> str:
        """The end of what one wrote, for a message."""
        text = (self._logs / f"{name}.log").read_text(encoding="utf-8", errors="replace")
        return "\n".join(text.splitlines()[-20:])


def _stop(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def wait_for(what: str, ready: Callable[[], bool], within_s: float = 30.0, said: Callable[[], str] = str) -> None:
    """Poll until something holds.

    Raises:
        BenchError: Not within the time; with what `said` returns.
    """
    until = time.monotonic() + within_s
    while not ready():
        if time.monotonic() > until:
            raise BenchError(f"{what}: not within {within_s:g} s\n{said()}".rstrip())
        time.sleep(0.05)


def listens(port: int) -> bool:
    """Whether somebody takes connections."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def facts() -> dict[str, str | int]:
    """What a number depends on: processor, kernel, versions, commit."""

    def first_line(*command: str) -> str:
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
        lines = (done.stdout or done.stderr).strip().splitlines()
        return lines[0] if lines else "unknown"

    names = [line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")]
    changed = first_line("git", "status", "--porcelain", "--untracked-files=no") != "unknown"
    return {
        "cpu": names[0] if names else platform.machine(),
        "cores": os.cpu_count() or 0,
        "kernel": platform.release(),
        "python": sys.version.split()[0],
        "commit": first_line("git", "rev-parse", "--short=12", "HEAD") + ("+changes" if changed else ""),
        "nginx": first_line(program("nginx"), "-v").rpartition("/")[2],
        "envoy": first_line(envoy(), "--version").rpartition("version:")[2].split("/")[1],
        "wrk": first_line(program("wrk"), "-v").split()[1],
        "h2load": first_line(program("h2load"), "--version").rpartition("/")[2],
    }


def _lines(file: str) -> list[str]:
    return Path(file).read_text().splitlines()
