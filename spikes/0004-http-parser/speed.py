"""How fast each reads what a gateway is sent, with everything it says taken out of it; and what a connection weighs."""

import gc
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h11
import httptools
import zttp
from readers import ROOT, WIRE

from gateway.limits import Limits
from gateway.wire.framing import BodyReader
from gateway.wire.head import END, HeadReader

SMALL = (
    b"GET /orders/o-1001 HTTP/1.1\r\nHost: shop.example\r\nAccept: application/json\r\n"
    b"Authorization: Bearer " + b"x" * 340 + b"\r\nUser-Agent: till/7\r\n\r\n"
)
BROWSER = (
    b"GET /orders?limit=50 HTTP/1.1\r\nHost: shop.example\r\nAuthorization: Bearer " + b"x" * 340 + b"\r\n"
    + b"".join(b"X-Field-%02d: a value of some thirty letters\r\n" % n for n in range(20)) + b"\r\n"
)  # fmt: skip
BODY = b"POST /orders HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 4096\r\n\r\n" + b"b" * 4096
CHUNKS = (
    b"POST /products/import HTTP/1.1\r\nHost: shop.example\r\nTransfer-Encoding: chunked\r\n\r\n"
    + (b"400\r\n" + b"c" * 1024 + b"\r\n") * 64
    + b"0\r\n\r\n"
)
WORK: dict[str, tuple[bytes, int]] = {
    "small GET, 4 fields": (SMALL, 1),
    "browser's GET, 22 fields": (BROWSER, 1),
    "POST, 4 KiB": (BODY, 1),
    "64 KiB in 64 chunks": (CHUNKS, 1),
    "16 small GETs at once": (SMALL * 16, 16),
}
CONNECTIONS = 2_000


class _Collected:
    """What httptools calls back: everything is kept, as a server would."""

    def __init__(self) -> None:
        self.fields: list[tuple[bytes, bytes]] = []
        self.target = b""
        self.size = 0
        self.done = 0

    def on_message_begin(self) -> None:
        self.fields = []
        self.target = b""

    def on_url(self, url: bytes) -> None:
        self.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.fields.append((name.lower(), value))

    def on_body(self, body: bytes) -> None:
        self.size += len(body)

    def on_message_complete(self) -> None:
        self.done += 1


def by_httptools() -> Callable[[bytes], int]:
    """One connection."""
    calls = _Collected()
    parser = httptools.HttpRequestParser(calls)

    def read(data: bytes) -> int:
        before = calls.done
        parser.feed_data(data)
        return calls.done - before

    return read


def by_zttp() -> Callable[[bytes], int]:
    """One connection."""
    parser = zttp.Connection(zttp.SERVER)
    request, body, end = zttp.Request, zttp.Data, zttp.EndOfMessage

    def read(data: bytes) -> int:
        done, size = 0, 0
        parser.receive_data(data)
        while True:
            event = parser.next_event()
            kind = type(event)
            if kind is request:
                _ = event.method, event.target, [(name.lower(), value) for name, value in event.headers]
                if event.end_stream:
                    done += 1
                    parser.start_next_cycle()
            elif kind is body:
                size += len(event.data)
            elif kind is end:
                done += 1
                parser.start_next_cycle()
            else:
                return done

    return read


def by_h11() -> Callable[[bytes], int]:
    """One connection; it demands an answer between two requests."""
    parser = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
    answer, end = h11.Response(status_code=204, headers=[]), h11.EndOfMessage()

    def read(data: bytes) -> int:
        done, size = 0, 0
        parser.receive_data(data)
        while True:
            event = parser.next_event()
            if isinstance(event, h11.Request):
                _ = event.method, event.target, list(event.headers)
            elif isinstance(event, h11.Data):
                size += len(event.data)
            elif isinstance(event, h11.EndOfMessage):
                done += 1
                parser.send(answer)
                parser.send(end)
                parser.start_next_cycle()
            else:
                return done

    return read


def by_wire() -> Callable[[bytes], int]:
    """One connection of the gateway: its rules, llhttp for heads, its own chunked coding."""
    reader = HeadReader(Limits())

    def read(data: bytes) -> int:
        done = 0
        while data:
            end = data.find(END) + len(END)
            head = reader.read(data[:end])
            body = BodyReader(head.framing)
            _, data = body.take(data[end:])
            done += body.done
        return done

    return read


READERS: dict[str, Callable[[], Callable[[bytes], int]]] = {
    "httptools": by_httptools,
    "zttp": by_zttp,
    "h11": by_h11,
    WIRE: by_wire,
}


def microseconds(name: str, work: str, budget_s: float) -> float:
    """Of the processor for one request, on a connection that is kept: others' work on the machine does not count."""
    data, requests = WORK[work]
    read = READERS[name]()
    if read(data) != requests:
        raise AssertionError(f"{name}: {work}: not read")
    gc.disable()
    try:
        done, started = 0, time.thread_time()
        while (took := time.thread_time() - started) < budget_s:
            for _ in range(8):
                done += read(data)
    finally:
        gc.enable()
    return took / done * 1e6


def weight(name: str) -> float:
    """KiB of a connection that has read a request and waits in the middle of the next head; in a process of its own."""
    command = [sys.executable, str(Path(__file__)), name]
    return float(subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout)


def _weigh(name: str) -> None:
    def resident() -> int:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))

    warm = [READERS[name]() for _ in range(50)]
    for read in warm:
        read(SMALL)
    gc.collect()
    before = resident()
    held = []
    for _ in range(CONNECTIONS):
        read = READERS[name]()
        read(SMALL)
        if name != WIRE:  # whoever asks the gateway's reader holds the half head itself
            read(SMALL[:200])
        held.append(read)
    gc.collect()
    sys.stdout.write(f"{(resident() - before) / CONNECTIONS}\n")


def two_threads(name: str, budget_s: float) -> float:
    """How much two threads read, times what one does: above one, something lets others run meanwhile."""
    data, _ = WORK["64 KiB in 64 chunks"]

    def run(results: list[int]) -> None:
        read, done, started = READERS[name](), 0, time.perf_counter()
        while time.perf_counter() - started < budget_s:
            done += read(data)
        results.append(done)

    one: list[int] = []
    run(one)
    both: list[int] = []
    threads = [threading.Thread(target=run, args=(both,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(both) / one[0]


def figures(*, quick: bool) -> dict[str, Any]:
    """Everything that is a number."""
    import kept

    rounds, budget_s = (2, 0.01) if quick else (15, 0.1)
    speeds = {}
    for work in WORK:
        runs = {name: (lambda name=name, work=work: microseconds(name, work, budget_s)) for name in READERS}
        speeds[work] = kept.interleaved(runs, rounds)
    return {
        "us_a_request": speeds,
        "kib_a_connection": {name: weight(name) for name in READERS},
        "two_threads_times": kept.interleaved(
            {name: (lambda name=name: two_threads(name, budget_s * 2)) for name in READERS}, rounds // 2
        ),
    }


if __name__ == "__main__":
    _weigh(sys.argv[1])
