"""What reading a request's head costs, and what its parts cost: ADR 0002.

    .venv/bin/python load/head.py

Prints microseconds a head, the best of 20 rounds; the parser alone is the peer that the whole is compared with.
"""

import time
from collections.abc import Callable

import httptools

from gateway.limits import Limits
from gateway.wire.chunked import ChunkedDecoder
from gateway.wire.head import HeadReader

HEAD = (
    b"GET /orders/o-1001?expand=lines HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: till/4.2\r\nAccept: */*\r\n"
    b"Accept-Encoding: gzip, br\r\nAuthorization: Bearer " + b"x" * 500 + b"\r\nX-Request-Id: 123456\r\n"
    b"Accept-Language: en\r\nConnection: keep-alive\r\n\r\n"
)
CHUNKS = b"4000\r\n" + b"x" * 0x4000 + b"\r\n0\r\n\r\n"


class Sink:
    """As little as a parser can be told."""

    def __init__(self) -> None:
        self.fields: list[tuple[bytes, bytes]] = []

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep it."""
        self.fields.append((name.lower(), value))


def best(work: Callable[[], object], times: int = 20_000, rounds: int = 20) -> float:
    """Microseconds a call."""
    found = float("inf")
    for _ in range(rounds):
        began = time.perf_counter()
        for _ in range(times):
            work()
        found = min(found, (time.perf_counter() - began) / times)
    return found * 1e6


def main() -> None:
    """Measure and print."""
    sink = Sink()
    kept = httptools.HttpRequestParser(sink)

    def alone() -> None:
        sink.fields.clear()
        kept.feed_data(HEAD)

    def fresh() -> None:
        httptools.HttpRequestParser(Sink()).feed_data(HEAD)

    reader = HeadReader(Limits())
    peer = best(alone)
    for name, work in (
        ("llhttp alone, parser kept", alone),
        ("llhttp alone, fresh parser", fresh),
        ("HeadReader: our rules, llhttp, Head", lambda: reader.read(HEAD)),
    ):
        took = best(work)
        print(f"{name:40} {took:6.2f} us   x {took / peer:.2f}")
    took = best(lambda: ChunkedDecoder().feed(CHUNKS), 5_000)
    print(f"{'ChunkedDecoder, 16 KiB in one chunk':40} {took:6.2f} us")


if __name__ == "__main__":
    main()
