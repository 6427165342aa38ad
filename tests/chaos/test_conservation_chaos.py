"""The conservation test in short: a round of each form, as `make chaos` runs them."""

import random
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.chaos.shop import ENOUGH
from tests.servers.kafka.server import unavailable

ROOT = Path(__file__).resolve().parents[2]
FIXED = 102
"""Fills the disk, and kills a worker, the gateway and PostgreSQL."""
_NOT_STARTED = 2
_PATIENCE_S = 240
"""A round takes 25 seconds directly and 40 with the broker; five times that on a machine that does much else."""

pytestmark = pytest.mark.timeout(_PATIENCE_S)


def run(*arguments: str) -> str:
    """Run `python -m tests.chaos`; returns what it printed. Fails with all of it where a promise was broken."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.chaos", "--rounds", "1", "--seconds", "8", "--every", "2", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=_PATIENCE_S - 20,
    )
    sys.stdout.write(done.stdout)
    if done.returncode == _NOT_STARTED:
        unavailable(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def requests(said: str) -> int:
    """How many requests the clients made: a round in which nothing happened proves nothing."""
    found = re.search(r"([\d,]+) requests, as the clients saw them", said)
    assert found is not None, said
    return int(found[1].replace(",", ""))


def test_the_direct_form_loses_nothing_and_tells_nothing_twice() -> None:
    """The same faults each time."""
    said = run("--form", "direct", "--seed", str(FIXED))
    assert "0 violations" in said
    assert requests(said) > ENOUGH
    assert "kept:" not in said


def test_with_a_broker_nothing_is_lost_and_nothing_told_twice() -> None:
    """Other faults each time; the seed is printed, and the round can be had again."""
    said = run("--form", "kafka", "--seed", str(random.SystemRandom().randrange(10_000)))
    assert "0 violations" in said
    assert requests(said) > ENOUGH
