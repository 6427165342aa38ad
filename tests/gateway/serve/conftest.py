"""These tests run on the loop that workers run on: its sockets and its TLS are its own."""

from collections.abc import Callable, Mapping

import uvloop


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], uvloop.Loop]]:
    """The one loop of production."""
    return {"uvloop": uvloop.new_event_loop}
