"""Programs of other people's that tests run, from Debian's packages (`.ci/programs`)."""

import os
import shutil

import pytest


def promtool() -> str:
    """Prometheus' own checker; the test is skipped without it, and fails where CI is set."""
    found = shutil.which("promtool")
    if found is None:
        if os.environ.get("CI"):
            pytest.fail("promtool is not installed")
        pytest.skip("promtool is not installed")
    return found
