"""Work beside the loop: in a thread that gives the interpreter back often, and that nobody collects garbage for.

A thread that computes in Python hands the interpreter over only when another has waited for the switch interval: with
the 5 ms that CPython begins with, each turn of a busy loop waits that long while a snapshot is built. And the collector
stops everybody while it goes through all that was ever kept, 12 ms with a full memo (ADR 0110).
"""

import asyncio
import gc
import sys
from collections.abc import Callable
from typing import Final, ParamSpec, TypeVar

_SWITCH_S: Final = 0.0002
"""An order of magnitude below what the loop may be held for: it may have to ask more than once."""

_Given = ParamSpec("_Given")
_Made = TypeVar("_Made")


async def aside(work: Callable[_Given, _Made], *args: _Given.args, **kwargs: _Given.kwargs) -> _Made:
    """Do something in a thread, so that the loop waits for it less than a millisecond at a time.

    One at a time in a process: the switch interval and the collector are the process's own.

    Args:
        work: What to do. A single call into C that keeps the interpreter is still waited for.
        args: For it.
        kwargs: For it.

    Returns:
        What it returns. What was made counts as made for good: the collector does not look through it, so cycles in it
        would never be freed.
    """
    interval, collecting = sys.getswitchinterval(), gc.isenabled()
    sys.setswitchinterval(min(interval, _SWITCH_S))
    gc.disable()
    try:
        return await asyncio.to_thread(work, *args, **kwargs)
    finally:
        gc.freeze()  # else the first collection goes through all of it, on the loop
        sys.setswitchinterval(interval)
        if collecting:
            gc.enable()
