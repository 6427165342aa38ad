"""Tests of `spikes.measured`: what the studies' verdicts rest on."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from spikes import measured
from tests.builders.studies import PYTHON, ROOT, needed


def test_who_does_not_agree_is_named() -> None:
    """Every difference, a missing answer too; who refused to answer does not disagree."""
    answers = {
        "one": {"a": "1", "b": ["x", 2], "c": None, "d": "4"},
        "two": {"a": "1", "b": ["x", 3], "c": "3"},
    }
    assert measured.settle(answers) == ["b: one ['x', 2], two ['x', 3]", "d: one 4, two nothing"]
    assert measured.settle({"one": answers["one"], "other": answers["one"]}) == []


def test_a_page_keeps_what_is_not_the_scripts() -> None:
    """Only what stands between the markers is new; a page without them, or with two, is refused."""
    start, end = "<!-- a: written by run.py -->", "<!-- /a -->"
    page = f"before\n{start}\nold\n{end}\nafter {start[:8]}"
    made = measured.between(page, "a", "new")
    assert made == f"before\n{start}\n\nnew\n\n{end}\nafter {start[:8]}"
    assert measured.between(made, "a", "new") == made
    for wrong in ("", start, f"{page}{page}"):
        with pytest.raises(ValueError, match="single `a`"):
            measured.between(wrong, "a", "new")


def test_results_stand_beside_the_script(tmp_path: Path) -> None:
    """As JSON, and in the page."""
    (tmp_path / "README.md").write_text("<!-- n: written by run.py --><!-- /n -->")
    measured.write(tmp_path, {"x": 1.5}, {"n": "7"})
    assert json.loads((tmp_path / "results.json").read_text()) == {"x": 1.5}
    assert "\n7\n" in (tmp_path / "README.md").read_text()


def test_percentiles() -> None:
    """Of one value, and at both ends."""
    values = [float(each) for each in range(100, 0, -1)]
    assert [measured.percentile(values, share) for share in (0, 0.5, 0.95, 1)] == [1, 51, 96, 100]
    assert measured.percentile([3.0], 0.95) == 3


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        (0.0, "0"),
        (1234.5, "1,234"),
        (12.345, "12.3"),
        (0.001234, "0.00123"),
        (5000, "5,000"),
        (True, "True"),
        ("a", "a"),
        (None, "refused"),
    ],
)
def test_a_cell(value: object, cell: str) -> None:
    """Three figures; what was refused says so."""
    assert measured.shown(value) == cell


def test_calls_are_repeated_as_often_as_there_is_time() -> None:
    """The least number whatever it takes, the most if there is time, and none after the time is up."""
    seen: list[int] = []
    assert len(measured.repeated(seen.append, most=5, within_s=60)) == 5
    assert seen == [0, 1, 2, 3, 4]
    slow = measured.repeated(lambda _: time.sleep(0.002), most=50, within_s=0, least=3)
    assert len(slow) == 3
    assert min(slow) >= 0.002


def test_a_process_and_its_children_are_sampled() -> None:
    """Processor time and memory of both, of nothing before, and of a child that ended before the last look."""
    needed(None if PYTHON.exists() else "there is no .venv-spikes; run `spikes/setup`")
    inner = "x = bytearray(64 << 20); sum(range(10_000_000))"
    program = f"""
import os, subprocess, sys
from spikes.measured import Sampler
x = bytearray(64 << 20)
sum(range(30_000_000))
with Sampler(os.getpid(), 0.02) as sampler:
    subprocess.run([sys.executable, "-c", {inner!r}], check=True)
with Sampler(os.getpid(), 0.02) as idle:
    pass
print(sampler.cpu_s, sampler.peak_mib, idle.cpu_s, idle.peak_mib)
"""
    done = subprocess.run([str(PYTHON), "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    cpu_s, peak_mib, idle_s, idle_mib = map(float, done.stdout.split())
    assert cpu_s > 0.05
    assert idle_s < cpu_s / 2
    assert peak_mib > 128
    assert idle_mib < peak_mib


def test_the_machine_is_told() -> None:
    """What anybody needs to judge the numbers."""
    box = measured.machine()
    assert box["cores"] >= 1
    assert box["memory_mib"] > 100
    assert box["python"] == ".".join(map(str, sys.version_info[:3]))
    assert f"{box['cores']} cores" in measured.told(box)
