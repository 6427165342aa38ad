"""Ports: free, taken, and by whom."""

import os
import socket
from pathlib import Path

import pytest

from lychgate.errors import PortBusy
from lychgate.ports import free_port, holder, require_free


def test_a_free_port_is_free() -> None:
    """What is given can be bound."""
    port = free_port()
    assert holder(port) is None
    require_free(port, "a test")


def test_a_free_port_is_kept_for_who_binds_it_by_its_number() -> None:
    """Whoever takes any port does not get it; a server does, at once or after one that has gone; nobody answers before.

    More are asked for than are kept: what is kept is bounded.
    """
    before = _descriptors()
    ports = [free_port() for _ in range(200)]
    assert _descriptors() - before < 100
    assert len(set(ports[-50:])) == 50
    port = ports[-1]
    with socket.socket() as anybody, pytest.raises(OSError, match="Address already in use"):
        anybody.bind(("127.0.0.1", port))
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))
    for _ in range(2):
        with (
            socket.create_server(("127.0.0.1", port)),
            socket.create_connection(("127.0.0.1", port)),
            pytest.raises(PortBusy),
        ):
            require_free(port, "a test")
    require_free(port, "a test")


def _descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_a_taken_port_is_named_with_its_holder() -> None:
    """The message says which port, what wanted it, which program has it."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(PortBusy, match=rf"port {port} \(a test\) is already in use by .* \(pid {os.getpid()}\)"):
            require_free(port, "a test")
        with pytest.raises(PortBusy):
            require_free(port, "a test", "0.0.0.0")  # noqa: S104 -- the public address is the point


def test_a_connection_that_only_lingers_takes_no_port() -> None:
    """A port in TIME_WAIT can be listened on, as servers do."""
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        client = socket.create_connection(("127.0.0.1", port))
        accepted, _ = server.accept()
        accepted.close()  # the side that closes first lingers
        client.close()
    require_free(port, "a test")
