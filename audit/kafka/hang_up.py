"""Ending a connection at once, whatever its other end does.

aiokafka closes politely: what is in the buffer is to be sent first, and under TLS the other end is to say goodbye, for
which half a minute is given to a silent one. So long the socket is open, and nobody holds it.
"""

import socket
import struct
from typing import Any, Final

_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)  # SO_LINGER of no seconds: what the kernel has not sent is dropped


def hang_up(connection: Any) -> None:
    """Close an aiokafka connection without sending what is still in its buffers; also one that is being closed."""
    protocol = connection._protocol  # noqa: SLF001  # the writer is forgotten by `close()`
    transport = protocol._transport if protocol is not None else None  # noqa: SLF001
    if transport is not None:
        sock = transport.get_extra_info("socket")
        if sock is not None and sock.fileno() >= 0:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        transport.abort()
    connection.close()
