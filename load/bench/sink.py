"""A service that takes a body of any size, reads it to its end, and only then answers.

`python -m load.bench.sink PORT PAUSE_S`. It stops reading for a moment in the middle: what waits then must wait in the
sender, not in the gateway's memory.
"""

import re
import socket
import sys
import time
from typing import Final

_CHUNK: Final = 256 * 1024


def serve(port: int, pause_s: float) -> None:
    """One connection after the other, for ever."""
    with socket.create_server(("127.0.0.1", port)) as listener:
        while True:
            connection, _ = listener.accept()
            with connection:
                _answer(connection, pause_s)


def _answer(connection: socket.socket, pause_s: float) -> None:
    buffer = bytearray()
    while b"\r\n\r\n" not in buffer:
        received = connection.recv(_CHUNK)
        if not received:
            return
        buffer += received
    head, _, rest = bytes(buffer).partition(b"\r\n\r\n")
    found = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
    size = int(found[1]) if found else 0
    left, paused = size - len(rest), False
    room = bytearray(_CHUNK)
    while left > 0:
        if not paused and left < size // 2:
            paused = True
            time.sleep(pause_s)
        received_count = connection.recv_into(room)
        if not received_count:
            return
        left -= received_count
    connection.sendall(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")


if __name__ == "__main__":
    serve(int(sys.argv[1]), float(sys.argv[2]))
