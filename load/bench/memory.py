"""Memory of a worker: for an idle connection, and while a large body goes through.

Connections come from many loopback addresses, as they do from many clients.
"""

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from load.bench import proc
from load.bench.lychgate import Lychgate
from load.bench.machine import BenchError
from load.bench.work import HOST, Work

_CHUNK: Final = 256 * 1024
_ADDRESSES: Final = 200
_COUNTED_S: Final = 5.0
"""A worker says on its tick how many connections it has."""


def idle_bytes(gateway: Lychgate, work: Work, count: int, calm_s: float) -> float:
    """Resident memory for each idle connection that has had an answer, of the second half of them.

    The first half fills what the process had free already; the larger of the two answers is given.

    Args:
        gateway: Whose worker.
        work: For a request that is allowed.
        count: How many connections.
        calm_s: How long buffers have to be written and freed, before and after.
    """
    request = _head("GET", work.paths[0], work.token)
    with ExitStack() as stack:
        for n in range(min(count // 10 + 1, 100)):  # whatever is made once is made now
            _answered(stack.enter_context(_connection(gateway.port, n)), request)
        resident = []
        for half in (0, count // 2, count - count // 2):
            for n in range(half):
                _answered(stack.enter_context(_connection(gateway.port, n)), request)
            time.sleep(calm_s)
            resident.append(proc.resident_bytes(gateway.front))
        until = time.monotonic() + _COUNTED_S
        while (kept := gateway.metrics()["lychgate_connections"]) < count:
            if time.monotonic() > until:
                raise BenchError(f"of {count} idle connections the worker has kept {kept:.0f}")
            time.sleep(0.1)
        start, middle, end = resident
        return max((end - start) / count, (end - middle) / (count - count // 2))


def resident_bytes(gateway: Lychgate, calm_s: float) -> int:
    """Of the workers, when nothing happens; what the growth of the next two is above."""
    time.sleep(calm_s)
    return proc.resident_bytes(gateway.front)


def download_peak_bytes(gateway: Lychgate, token: str, size: int, calm_s: float) -> int:
    """The most memory while a body of this size goes to a client that pauses in its middle."""
    proc.reset_peak(gateway.front)
    with _connection(gateway.port, 0) as client:
        client.sendall(_head("GET", "/orders/big", token))
        head, _, rest = _until_blank_line(client).partition(b"\r\n\r\n")
        _expect(head, b"200")
        left, paused, room = size - len(rest), False, bytearray(_CHUNK)
        while left > 0:
            if not paused and left < size // 2:
                paused = True
                time.sleep(calm_s)
            count = client.recv_into(room)
            if not count:
                raise BenchError(f"{left} bytes of a body of {size} did not come")
            left -= count
    return proc.peak_bytes(gateway.front)


def upload_peak_bytes(gateway: Lychgate, token: str, body: Path) -> int:
    """The most memory while a body goes to a service that pauses in its middle."""
    proc.reset_peak(gateway.front)
    with _connection(gateway.port, 0) as client, body.open("rb") as file:
        size = body.stat().st_size
        client.sendall(
            _head("POST", "/products", token, f"Content-Type: application/json\r\nContent-Length: {size}\r\n")
        )
        client.sendfile(file)
        _expect(_until_blank_line(client), b"204")
    return proc.peak_bytes(gateway.front)


@contextmanager
def _connection(port: int, number: int) -> Iterator[socket.socket]:
    with socket.socket() as client:
        client.settimeout(60.0)
        client.bind((f"127.0.1.{number % _ADDRESSES + 1}", 0))
        client.connect(("127.0.0.1", port))
        yield client


def _head(method: str, path: str, token: str, more: str = "") -> bytes:
    return (f"{method} {path} HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Bearer {token}\r\n{more}\r\n").encode("ascii")


def _answered(client: socket.socket, request: bytes) -> None:
    """Send a request and take the answer, which is small, whole."""
    client.sendall(request)
    head, _, rest = _until_blank_line(client).partition(b"\r\n\r\n")
    _expect(head, b"200")
    length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    left = int(length.partition(b":")[2]) - len(rest)
    while left > 0:
        left -= len(client.recv(left))


def _until_blank_line(client: socket.socket) -> bytes:
    received = bytearray()
    while b"\r\n\r\n" not in received:
        chunk = client.recv(_CHUNK)
        if not chunk:
            raise BenchError(f"the connection ended within a head: {bytes(received)!r}")
        received += chunk
    return bytes(received)


def _expect(head: bytes, status: bytes) -> None:
    if head.split(b" ", 2)[1] != status:
        raise BenchError(f"{status.decode()} was expected: {head[:300]!r}")
