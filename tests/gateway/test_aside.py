"""Work in a thread that does not hold the loop."""

import asyncio
import gc
import sys

import pytest

from gateway.aside import aside
from gateway.snapshot import build_snapshot
from tests.builders import plane
from tests.builders.holds import Runner, worst_turn_s

_ROUNDS = 9
_LONGEST_S = 0.002


async def _typical_turn_s(run: Runner) -> float:
    """The median of the longest turns while the real policies are built."""
    sources = plane.sources(9)
    return sorted([await worst_turn_s(lambda: build_snapshot(sources), run) for _ in range(_ROUNDS)])[_ROUNDS // 2]


async def test_a_snapshot_is_built_without_holding_the_loop() -> None:
    """Two milliseconds at most, less what the machine holds; and much less than a plain thread would."""
    assert await _typical_turn_s(aside) < _LONGEST_S


async def test_the_measure_would_find_a_loop_that_is_held() -> None:
    """A thread that hands the interpreter over as CPython begins is found out; else the test above says nothing."""
    assert await _typical_turn_s(asyncio.to_thread) > _LONGEST_S


async def test_what_it_returns_and_raises_comes_through() -> None:
    """And the interpreter is as it was, after either."""
    before = sys.getswitchinterval(), gc.isenabled()
    seen: list[tuple[float, bool]] = []

    def work(number: int, *, fails: bool) -> int:
        seen.append((sys.getswitchinterval(), gc.isenabled()))
        if fails:
            raise KeyError(number)
        return number

    assert await aside(work, 3, fails=False) == 3
    assert (sys.getswitchinterval(), gc.isenabled()) == before
    with pytest.raises(KeyError):
        await aside(work, 4, fails=True)
    assert (sys.getswitchinterval(), gc.isenabled()) == before
    assert {collecting for _, collecting in seen} == {False}
    assert all(interval < 0.001 for interval, _ in seen)
