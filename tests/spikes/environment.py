"""The environment of the studies, and that it is there."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def spikes_python() -> str:
    """Its interpreter; without it a test of a study is skipped, where CI is set it fails."""
    python = ROOT / ".venv-spikes" / "bin" / "python"
    if not python.exists():
        assert not os.environ.get("CI"), "`.venv-spikes` is missing: spikes/setup makes it"
        pytest.skip("`.venv-spikes` is missing: spikes/setup makes it")
    return str(python)
