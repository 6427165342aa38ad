"""Ports for servers that are told where to listen and begin to do so a while later.

Port 0 is better, where a server can say what it was given. A port of the range that the system gives out by itself may
be another test's before the server has started: as the port 0 of somebody else, or as the near end of a connection.
These are below it. Each process of the tests has a block of them that no other takes: it holds the block's name, an
abstract socket, which the system lets go with the process.
"""

import random
import socket
from collections.abc import Iterator

_RANGE = range(10_000, 20_000)
_BLOCK = 100


def free_port(host: str = "127.0.0.1") -> int:
    """A port nobody listens on, and nobody else is told to."""
    for _ in range(len(_RANGE)):
        port = next(_ports)
        with socket.socket() as probe:
            try:
                probe.bind((host, port))
            except OSError:  # somebody listens there, or a connection of a server that is gone lingers
                continue
        return port
    raise AssertionError("no port is free")


def _blocks() -> Iterator[int]:
    """The ports of our block, round and round. Another test follows a hundred ports later at the earliest."""
    blocks = list(range(_RANGE.start, _RANGE.stop, _BLOCK))
    random.shuffle(blocks)
    for first in blocks:
        with socket.socket(socket.AF_UNIX) as name:
            try:
                name.bind(f"\0lychgate-tests-{first}")
            except OSError:
                continue
            while True:
                yield from range(first, first + _BLOCK)
    raise AssertionError("every block of ports is taken")


_ports = _blocks()
