"""Work in a thread that does not hold the loop."""

import asyncio
import gc
import sys
import time
from collections.abc import Callable

import pytest

from gateway.aside import aside
from gateway.snapshot import build_snapshot
from tests.builders import plane
from tests.builders.holds import Runner, longest_call, spin, worst_turn_s

_ROUNDS = 9
_PATIENCE = 25
_LONGEST_S = 0.002


async def _least_turns_s(*variants: tuple[Runner, Callable[[], object]]) -> list[float]:
    """The least of the longest turns of each, in interleaved rounds: what holds the loop does so in each of them."""
    rounds = [[await worst_turn_s(work, run) for run, work in variants] for _ in range(_ROUNDS)]
    return [min(column) for column in zip(*rounds, strict=True)]


async def test_a_snapshot_is_built_without_holding_the_loop() -> None:
    """Two milliseconds at most; on a machine that has other work, not longer than by the smallest steps there are.

    Such a machine gives the loop no turn for longer than that, so it is measured until it shows one moment without.
    """
    sources = plane.sources(9)
    before = time.thread_time()
    build_snapshot(sources)
    costs = time.thread_time() - before
    measured: list[tuple[float, float]] = []
    for _ in range(_PATIENCE):
        built, spun = await _least_turns_s(
            (aside, lambda: build_snapshot(sources)),
            (aside, lambda: spin(costs)),
        )
        if built < _LONGEST_S + 1.5 * spun:
            return
        measured.append((built, spun))
    raise AssertionError(measured)


def test_no_single_call_holds_the_loop() -> None:
    """What no switch interval ends: the longest call into C of all that a snapshot is built by."""
    sources = plane.sources(9)
    calls = (longest_call(lambda: build_snapshot(sources)) for _ in range(_PATIENCE * _ROUNDS))
    assert any(call < (_LONGEST_S, "") for call in calls)


async def test_the_measures_would_find_a_loop_that_is_held() -> None:
    """By a thread that hands the interpreter over as CPython begins, and by a call; else those above say nothing."""
    sources = plane.sources(9)
    [plain] = await _least_turns_s((asyncio.to_thread, lambda: build_snapshot(sources)))
    assert plain > _LONGEST_S
    numbers = list(range(1_000_000))
    seconds, name = longest_call(lambda: sum(numbers))
    assert (seconds > _LONGEST_S, name) == (True, "sum")


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
