"""`make bench` from end to end, in its short form: everything starts, is measured, and is gone afterwards."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from load.bench.goals import GOALS
from load.bench.machine import BenchError, cores, envoy, program
from load.bench.suite import QUICK

ROOT = Path(__file__).parents[2]


@pytest.fixture
def temporary() -> Iterator[Path]:
    """Where the run makes its folder; not `tmp_path`, which PostgreSQL's system user could not enter."""
    with tempfile.TemporaryDirectory(prefix="lychgate-bench-test-") as folder:
        Path(folder).chmod(0o711)
        yield Path(folder)


@pytest.fixture(autouse=True)
def _everything_is_installed() -> None:
    """What `load/setup` brings; it may be missing on a developer's machine, never where CI is set."""
    try:
        for name in ("nginx", "wrk", "h2load", "taskset"):
            program(name)
        envoy()
        cores()
    except BenchError as exc:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(exc))


def started(temporary: Path, *arguments: str) -> "subprocess.Popen[str]":
    """The program, as `make bench` starts it."""
    return subprocess.Popen(
        [sys.executable, "-m", "load.bench", *arguments],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(temporary)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def family(temporary: Path) -> list[str]:
    """Every process that runs on something in the folder."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = entry.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(temporary) in command:
            found.append(command)
    return found


@pytest.mark.timeout(300)
def test_the_short_form_measures_every_line(temporary: Path) -> None:
    """One line of JSON with everything in it and the headline first; nothing is left, nothing else is written."""
    before = {file: file.stat().st_mtime_ns for file in (ROOT / "load").rglob("*") if "__pycache__" not in file.parts}
    process = started(temporary, "--quick", "--json")
    out, errors = process.communicate()
    assert process.returncode == 0, errors
    lines = out.splitlines()
    assert len(lines) == 1
    result = json.loads(lines[0])
    assert next(iter(result)) == "ratio_to_envoy"
    assert result["ratio_to_envoy"] > 0
    assert set(result["lines"]) == {"reads", "mixed", "writes"}
    assert set(result["lines"]["reads"]) == {"nginx", "envoy", "nginx_auth_request", "envoy_ext_authz", "lychgate"}
    ours = result["lines"]["reads"]["lychgate"]
    assert ours["cpu_us_whole"] > ours["cpu_us_front"] > 0
    assert ours["cpu_us_store"] > 0
    assert result["latency_added"]["rate"] > 0
    assert result["memory"]["idle_connections"] == QUICK.idle
    assert {goal["goal"] for goal in result["goals"]} == {goal.what for goal in GOALS}
    assert result["machine"]["envoy"][0].isdigit()
    assert family(temporary) == []
    assert list(temporary.iterdir()) == []
    after = {file: file.stat().st_mtime_ns for file in (ROOT / "load").rglob("*") if "__pycache__" not in file.parts}
    assert after == before


@pytest.mark.timeout(300)
def test_ctrl_c_leaves_nothing(temporary: Path) -> None:
    """An interrupt in the middle stops every process and removes the folder."""
    process = started(temporary, "--only", "reads", "--rounds", "1", "--seconds", "30")
    deadline = time.monotonic() + 60
    while not any("/wrk" in command for command in family(temporary)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert any("/envoy" in command for command in family(temporary)), process.communicate()[1]
    process.send_signal(signal.SIGINT)
    process.communicate()
    assert process.returncode == 130
    assert family(temporary) == []
    assert list(temporary.iterdir()) == []


def test_an_unknown_line_is_named() -> None:
    """A typing error measures nothing and says what there is."""
    done = subprocess.run(
        [sys.executable, "-m", "load.bench", "--only", "raeds"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "no line is called raeds" in done.stderr
    assert "reads" in done.stderr
