"""`make load` from end to end, for a few seconds: the stack, the tokens, locust, and what it makes of an answer."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def temporary() -> Iterator[Path]:
    """Where the run makes its folder; not `tmp_path`, which PostgreSQL's system user could not enter."""
    with tempfile.TemporaryDirectory(prefix="lychgate-shop-test-") as folder:
        Path(folder).chmod(0o711)
        yield Path(folder)


@pytest.mark.timeout(300)
def test_everybody_gets_the_right_answer(temporary: Path) -> None:
    """Sales, look-ups and refunds pass, strangers and those who overstep are refused, and nothing is left behind."""
    if not (ROOT / ".venv-load" / "bin" / "locust").exists() and not os.environ.get("CI"):
        pytest.skip("locust is not installed; run `load/setup`")
    done = subprocess.run(
        [sys.executable, "load/shop.py", "--seconds", "6"],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(temporary)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "every answer was the right one" in done.stdout
    for asked in ("/payments/intents/:id/confirm (200)", "unsigned token (token_invalid)", "/orders/:id (200)"):
        assert asked in done.stdout + done.stderr
    assert list(temporary.iterdir()) == []
