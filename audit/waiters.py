"""Who waits for a record to be on disk, and how they are told: all of a group with one call into each loop."""

import asyncio
import concurrent.futures
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

from audit.errors import SpoolUnavailable


class Callback(NamedTuple):
    """Who is called in a loop: with whether the record is kept. A future costs its loop a turn of its own besides."""

    loop: asyncio.AbstractEventLoop
    then: Callable[[bool], None]


Waiter: TypeAlias = asyncio.Future[None] | concurrent.futures.Future[None] | Callback


def release_all(waiters: Sequence[Waiter], failure: str | None) -> None:
    """Let those go who wait; `failure` says why their records are not kept, None that they are."""
    by_loop: dict[asyncio.AbstractEventLoop, list[asyncio.Future[None] | Callback]] = {}
    for waiter in waiters:
        if isinstance(waiter, Callback):
            by_loop.setdefault(waiter.loop, []).append(waiter)
        elif isinstance(waiter, concurrent.futures.Future):
            _settle(waiter, failure)
        else:
            by_loop.setdefault(waiter.get_loop(), []).append(waiter)
    for loop, futures in by_loop.items():
        try:
            loop.call_soon_threadsafe(_settle_all, futures, failure)
        except RuntimeError:  # the loop is closed: nobody waits any more
            continue


def _settle_all(waiters: Sequence[asyncio.Future[None] | Callback], failure: str | None) -> None:
    """In the waiters' loop."""
    for waiter in waiters:
        if not isinstance(waiter, Callback):
            _settle(waiter, failure)
            continue
        try:
            waiter.then(failure is None)
        except Exception as exc:  # noqa: BLE001  # one waiter's fault must not keep the others waiting
            waiter.loop.call_exception_handler({"message": "a waiter for a record failed", "exception": exc})


def _settle(future: asyncio.Future[None] | concurrent.futures.Future[None], failure: str | None) -> None:
    if future.done():  # its task was cancelled; the record stands all the same
        return
    if failure is None:
        future.set_result(None)
    else:
        future.set_exception(SpoolUnavailable(failure))
