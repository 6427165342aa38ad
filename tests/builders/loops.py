"""Tests that run on both event loops: a worker has uvloop, and what only asyncio's would forgive must not pass."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import uvloop

LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,
}


def on_each_loop(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Run an asynchronous test once on each loop; stands nearest to the function, under its own parameters."""

    def both(loop: str, **given: Any) -> None:
        with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
            runner.run(_awaited(test, given))

    own = inspect.signature(test)
    first = inspect.Parameter("loop", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    both.__signature__ = own.replace(parameters=[first, *own.parameters.values()])  # type: ignore[attr-defined]
    both.__name__, both.__doc__, both.__module__ = test.__name__, test.__doc__, test.__module__
    return pytest.mark.parametrize("loop", LOOPS)(both)


async def _awaited(test: Callable[..., Awaitable[None]], given: dict[str, Any]) -> None:
    await test(**given)
