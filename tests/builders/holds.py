"""For how long work in a thread holds a loop, told from what the machine does to both."""

import asyncio
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from types import FrameType
from typing import Any

Runner = Callable[[Callable[[], Any]], Awaitable[Any]]

FREEING = frozenset({"validate_policies", "from_str", "from_json_str", "read", "stat"})
"""Calls into C that hand the interpreter over meanwhile; Cedar's do when they are told to."""


async def worst_turn_s(work: Callable[[], Any], run: Runner) -> float:
    """What the thread has computed in the longest turn of a loop that never sleeps, while it does its work.

    Processor time of the thread, so that turns in which the machine lets neither compute are not long. In those in
    which it lets only the thread compute they are: compare with `spin`, and take the best of some rounds.

    Args:
        work: What is done.
        run: Does it in a thread, one that outlives the work.

    Returns:
        Seconds.
    """
    clocks: list[int] = []

    def timed() -> Any:
        clocks.append(time.pthread_getcpuclockid(threading.get_ident()))
        return work()

    task = asyncio.ensure_future(run(timed))
    worst = before = 0.0
    while not task.done():
        await asyncio.sleep(0)
        if clocks:
            now = time.clock_gettime(clocks[0])
            worst, before = max(worst, now - (before or now)), now
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
