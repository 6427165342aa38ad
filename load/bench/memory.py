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


def idle_bytes(gateway: Lychgate, work: Work, count: int, calm_s: float) -> float:
    """Resident memory for each idle connection that has had an answer.

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
        time.sleep(calm_s)
        before = proc.resident_bytes(gateway.front)
        for n in range(count):
            _answered(stack.enter_context(_connection(gateway.port, n)), request)
        time.sleep(calm_s)
        return (proc.resident_bytes(gateway.front) - before) / count


def download_growth_bytes(gateway: Lychgate, token: str, size: int, calm_s: float) -> int:
    """How much more memory the worker takes at most while a body of this size goes to a client that pauses."""
    with _growth(gateway, calm_s) as grown, _connection(gateway.port, 0) as client:
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
    return grown()


def upload_growth_bytes(gateway: Lychgate, token: str, body: Path, calm_s: float) -> int:
    """How much more memory the worker takes at most while a body goes to a service that pauses."""
    with _growth(gateway, calm_s) as grown, _connection(gateway.port, 0) as client, body.open("rb") as file:
        size = body.stat().st_size
        client.sendall(
            _head("POST", "/products", token, f"Content-Type: application/json\r\nContent-Length: {size}\r\n")
        )
        client.sendfile(file)
        _expect(_until_blank_line(client), b"204")
    return grown()


class _Grown:
    """The peak above the start, once known."""

    def __init__(self) -> None:
        self._value = 0

    def __call__(self) -> int:
        return self._value

    def found(self, value: int) -> None:
        self._value = value


@contextmanager
def _growth(gateway: Lychgate, calm_s: float) -> Iterator[_Grown]:
    grown = _Grown()
    time.sleep(calm_s)
    proc.reset_peak(gateway.front)
    before = proc.resident_bytes(gateway.front)
    yield grown
    grown.found(max(0, proc.peak_bytes(gateway.front) - before))


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
