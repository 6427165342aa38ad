"""For how long work in a thread holds a loop, less what the machine has to do with it."""

import asyncio
import os
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from typing import Any

Runner = Callable[[Callable[[], Any]], Awaitable[Any]]


class Queued:
    """How long a thread of this process has waited for a processor: Linux' `schedstat`, second number, nanoseconds."""

    def __init__(self, stack: ExitStack, thread: int) -> None:
        self._file = os.open(f"/proc/self/task/{thread}/schedstat", os.O_RDONLY)
        stack.callback(os.close, self._file)

    def s(self) -> float:
        """Seconds so far."""
        return int(os.pread(self._file, 100, 0).split()[1]) / 1e9


async def worst_turn_s(work: Callable[[], Any], run: Runner) -> float:
    """The longest turn of a loop that never sleeps, while work is done in a thread.

    The time for which either thread could have run and was given no processor is taken off: what is left is the time
    for which the one had no interpreter because the other had it.

    Args:
        work: What is done.
        run: Does it in a thread.

    Returns:
        Seconds.
    """
    with ExitStack() as stack:
        queues = [Queued(stack, threading.get_native_id())]
        begin, end = threading.Event(), threading.Event()

        def watched() -> None:
            queues.append(Queued(stack, threading.get_native_id()))
            begin.set()
            try:
                work()
            finally:
                end.set()

        task = asyncio.ensure_future(run(watched))
        while not begin.is_set():  # noqa: ASYNC110 - the loop must never sleep
            await asyncio.sleep(0)
        worst = 0.0
        before, queued = time.perf_counter(), sum(queue.s() for queue in queues)
        while not end.is_set():
            await asyncio.sleep(0)
            now, waited = time.perf_counter(), sum(queue.s() for queue in queues)
            worst = max(worst, now - before - (waited - queued))
            before, queued = now, waited
        await task
        return worst
