"""What the system has connected and nobody has accepted."""

import contextlib
import errno
import os
import resource
import socket
from collections.abc import Iterator

import pytest

from gateway.serve.backlog import FULL, pending


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    """A socket that listens and does not block."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        sock.setblocking(False)
        yield sock


def dial(sock: socket.socket, count: int) -> list[socket.socket]:
    """So many connections to it."""
    return [socket.create_connection(sock.getsockname()) for _ in range(count)]


def test_all_that_wait_are_taken_and_no_more(listening: socket.socket) -> None:
    """In order, with their addresses, without blocking; none when nobody waits."""
    assert list(pending(listening)) == []
    clients = dial(listening, 3)
    found = list(pending(listening))
    assert [name for _, name in found] == [client.getsockname() for client in clients]
    assert not any(sock.getblocking() for sock, _ in found)
    assert list(pending(listening)) == []
    for sock in (*clients, *(sock for sock, _ in found)):
        sock.close()


def test_no_more_than_wanted_at_once(listening: socket.socket) -> None:
    """The rest goes on waiting."""
    clients = dial(listening, 3)
    first = list(pending(listening, 2))
    assert len(first) == 2
    rest = list(pending(listening, 2))
    assert len(rest) == 1
    for sock in (*clients, *(sock for sock, _ in first + rest)):
        sock.close()


def test_without_descriptors_it_is_said(listening: socket.socket) -> None:
    """Who waits is not lost: with descriptors again, it is there."""
    [client] = dial(listening, 1)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (client.fileno() + 1, hard))
    taken: list[int] = []
    try:
        with contextlib.suppress(OSError):
            while True:  # every number below the limit
                taken.append(os.dup(client.fileno()))
        with pytest.raises(OSError, match="open files") as refused:
            list(pending(listening))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for number in taken:
            os.close(number)
    assert refused.value.errno == errno.EMFILE
    assert refused.value.errno in FULL
    [(found, _)] = pending(listening)
    found.close()
    client.close()
