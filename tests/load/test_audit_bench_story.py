"""`make bench-audit` in its short form: it measures, and leaves nothing behind."""

import json
import os
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).parents[2]


def running_in(folder: str) -> list[bytes]:
    """The command lines that name the folder."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # it ended meanwhile
            found.append(entry.read_bytes())
    return [command for command in found if folder.encode() in command]


def test_a_short_run_measures_each_part_and_leaves_nothing() -> None:
    """Five thousand events become visible, what each process took is told, and folder and processes are gone."""
    with tempfile.TemporaryDirectory(prefix="lychgate-bench-audit-test-") as folder:
        Path(folder).chmod(0o711)
        done = subprocess.run(
            [sys.executable, "-m", "load.audit", "--only", "direct", "--events", "5000", "--json"],
            cwd=ROOT,
            env={**os.environ, "TMPDIR": folder},
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        line = json.loads(done.stdout)["direct"]
        assert min(line[name] for name in ("events_per_s", "emit_us", "relay_us", "postgres_us")) > 0
        assert list(Path(folder).iterdir()) == []
        assert not running_in(folder)
