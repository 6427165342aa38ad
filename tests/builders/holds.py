"""For how long work in a thread holds a loop, told from what the machine does to both."""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from types import FrameType
from typing import Any

Runner = Callable[[Callable[[], Any]], Awaitable[Any]]

FREEING = frozenset({"validate_policies", "from_str", "from_json_str", "read", "stat"})
"""Calls into C that hand the interpreter over meanwhile; Cedar's do when they are told to."""


async def worst_turn_s(work: Callable[[], Any], run: Runner) -> float:
    """The longest turn of a loop that never sleeps, while work is done in a thread.

    A busy machine makes turns long, too: compare with `spin`, round by round.

    Args:
        work: What is done.
        run: Does it in a thread.

    Returns:
        Seconds.
    """
    task = asyncio.ensure_future(run(work))
    worst = 0.0
    before = time.perf_counter()
    while not task.done():
        await asyncio.sleep(0)
        now = time.perf_counter()
        worst, before = max(worst, now - before), now
    await task
    return worst


def spin(seconds: float) -> None:
    """Compute in small steps, for so much processor time: no thread can hold a loop less."""
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


def longest_call(work: Callable[[], Any]) -> tuple[float, str]:
    """The longest call into C that keeps the interpreter, in processor time: it is what no switch interval ends.

    Returns:
        Seconds, and the function's name.
    """
    longest = (0.0, "")
    called = 0.0

    def profile(_: FrameType, event: str, function: Any) -> None:
        nonlocal longest, called
        now = time.thread_time()
        if event == "c_return" and called and function.__name__ not in FREEING:
            longest = max(longest, (now - called, function.__name__))
        called = time.thread_time() if event == "c_call" else 0.0  # what a call calls in Python counts by itself

    sys.setprofile(profile)
    try:
        work()
    finally:
        sys.setprofile(None)
    return longest
