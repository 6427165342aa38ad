"""Programs of other people's that tests run, from Debian's packages or built by Go (`.ci/programs`)."""

import os
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def promtool() -> str:
    """Prometheus' own checker; the test is skipped without it, and fails where CI is set."""
    found = shutil.which("promtool")
    if found is None:
        if os.environ.get("CI"):
            pytest.fail("promtool is not installed")
        pytest.skip("promtool is not installed")
    return found


def built(name: str) -> str:
    """A program that `.ci/programs` has Go build; the test is skipped without it, and fails where CI is set."""
    found = ROOT / ".lychgate" / "bin" / name
    if not found.exists():
        missing = f"{name} is not built: .ci/programs does that, with Go"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    return str(found)
