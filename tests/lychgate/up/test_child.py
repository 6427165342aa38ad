"""A process of the stack: its log, its last words, its end."""

import sys
import time
from pathlib import Path

from lychgate.processes import identity
from lychgate.up.child import Child, ChildSpec
from tests.builders.patience import PATIENCE_S


def child(logs: Path, program: str) -> Child:
    """A Python program as a child."""
    return Child(ChildSpec("it", (sys.executable, "-c", program)), {"PATH": "/usr/bin"}, logs)


def test_the_last_words_are_this_runs_only(tmp_path: Path) -> None:
    """The log is appended to; what an earlier run said is not repeated, and only the end is."""
    (tmp_path / "it.log").write_text("an earlier run\n")
    it = child(tmp_path, "print('\\n'.join(map(str, range(50)))); raise SystemExit(3)")
    assert it.await_end(time.monotonic() + PATIENCE_S)
    assert it.exit_code == 3
    assert it.last_words().splitlines() == [str(number) for number in range(30, 50)]
    assert (tmp_path / "it.log").read_text().startswith("an earlier run\n")


def test_one_that_does_not_want_to_stop_is_killed_with_its_family(tmp_path: Path) -> None:
    """SIGTERM is ignored: after the deadline the whole group goes."""
    program = (
        "import signal, subprocess, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "p = subprocess.Popen(['sleep', '60']); print(p.pid, flush=True); time.sleep(60)"
    )
    it = child(tmp_path, program)
    deadline = time.monotonic() + PATIENCE_S
    while not (words := it.last_words()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    it.ask_to_stop()
    assert not it.await_end(time.monotonic() + 0.2)
    assert it.exit_code == -9
    while identity(int(words)) is not None:
        assert time.monotonic() < deadline
        time.sleep(0.02)
