"""Connections that the system has made and nobody has accepted yet."""

import errno
import socket
from collections.abc import Iterator
from typing import Any, Final

FULL: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
"""Out of descriptors or memory: what waits goes on waiting."""


def pending(sock: socket.socket, most: int | None = None) -> Iterator[tuple[socket.socket, Any]]:
    """Accept what waits at this moment, without waiting for more.

    At the end of a worker, right before it closes its listening socket, that is a client's only chance: what is left in
    the backlog is reset, although the client was told that it is connected.

    Args:
        sock: Listening, not blocking.
        most: Connections to accept; None for all.

    Raises:
        OSError: One of `FULL`.
    """
    accepted = 0
    while most is None or accepted < most:
        try:
            found, name = sock.accept()
        except BlockingIOError:
            return
        except OSError as exc:
            if exc.errno in FULL:
                raise
            continue  # it was gone before it was here
        accepted += 1
        found.setblocking(False)
        yield found, name
