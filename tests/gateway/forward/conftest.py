"""Tests of connections to services run on the workers' own loop: how loops tell the end of a TLS stream differs."""

from collections.abc import Callable, Mapping

import uvloop


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], uvloop.Loop]]:
    """As `gateway.worker` runs."""
    return {"uvloop": uvloop.new_event_loop}
