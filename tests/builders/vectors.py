"""Other people's conformance cases, where they are: beside the checkout, not in it."""

import os
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[3] / "shared" / "vectors"


def vectors(*parts: str) -> Path:
    """A file of vectors. Where it is missing the test is skipped with the reason, and fails where `CI` is set."""
    path = FOLDER.joinpath(*parts)
    if not path.exists():
        if os.environ.get("CI"):
            pytest.fail(f"{path} is missing")
        pytest.skip(f"{path} is not on this machine")
    return path
