"""What a request costs outside the sockets: the whole way through one worker's data plane, on transports of memory.

    make bench ARGS=load/path.py
    .venv/bin/python load/path.py --durable     changes, each decision synced before it is forwarded
    .venv/bin/python load/path.py --profile     where it goes

Real: heads, routes, tokens of 1,000 users in 20 tenants, Cedar's answers by the shipped policies, contexts, records in
a synced spool. Not there: the kernel, and the loop's own work for a socket. 64 connections take turns, so that one turn
of the loop carries as much as it does under load.
"""

import argparse
import asyncio
import cProfile
import pstats
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import uvloop  # noqa: E402
from prometheus_client import CollectorRegistry  # noqa: E402

from audit.emit import Emitter  # noqa: E402
from gateway.clock import Clock  # noqa: E402
from gateway.forward.upstream import UpstreamConnection  # noqa: E402
from gateway.forward.upstreams import Upstreams  # noqa: E402
from gateway.limits import Limits  # noqa: E402
from gateway.metrics import GatewayMetrics  # noqa: E402
from gateway.serve.connection import ClientConnection  # noqa: E402
from gateway.serve.server import Server  # noqa: E402
from gateway.snapshot import build_snapshot  # noqa: E402
from roles.load import load_catalogue  # noqa: E402
from tests.builders.plane import sources, token  # noqa: E402

CONNECTIONS, USERS, TENANTS, RESOURCES = 64, 1000, 20, 200
ANSWER = (
    b"HTTP/1.1 200 OK\r\ndate: Wed, 25 Nov 2026 20:00:00 GMT\r\nserver: uvicorn\r\ncontent-length: 12\r\n"
    b'content-type: application/json\r\n\r\n{"data": []}'
)
BODY = b'{"customer_id":"c-1","lines":[{"sku":"A-1","quantity":1}],"note":"%s"}' % (b"x" * 130)


class Pipe:
    """A transport of memory: whoever is to answer it finds it in `asked`."""

    def __init__(self, asked: "list[Pipe] | None" = None) -> None:
        self._asked = asked

    def write(self, data: bytes) -> None:  # noqa: ARG002 - nobody reads it
        """Take bytes."""
        if self._asked is not None and (
            not self._asked or self._asked[-1] is not self
        ):  # head and body are one request
            self._asked.append(self)

    def get_extra_info(self, name: str, default: object = None) -> object:
        """Where the client is."""
        return ("127.0.0.1", 50_000) if name == "peername" else default

    def __getattr__(self, name: str) -> Any:
        """Everything else a transport does is nothing here."""
        return lambda *_, **__: None


class Bench:
    """A data plane between transports of memory.

    Args:
        folder: For the spool.
        durable: Whether requests change something.
    """

    def __init__(self, folder: Path, *, durable: bool) -> None:
        loop = asyncio.get_running_loop()
        limits = Limits(upstream_idle_connections=CONNECTIONS * 2)
        self.faults: list[Exception] = []
        self.sink = Emitter(folder / "spool", "path")
        metrics = GatewayMetrics(CollectorRegistry())
        self.upstreams = Upstreams(limits, loop.create_task, loop, metrics)
        self.server = Server(
            self.sink,
            limits,
            self.upstreams,
            metrics,
            Clock(),
            loop,
            unknown_key=lambda _: None,
            fault=lambda exc, _: self.faults.append(exc),
        )
        routes = (ROOT / "routes.toml").read_text().replace('service = "', 'service = "order" # "')
        self.server.install(build_snapshot(sources(9, routes=routes)))
        self.asked: list[Pipe] = []
        self.behind: dict[Pipe, UpstreamConnection] = {}
        self._fill_pool(limits, loop.time())
        names = load_catalogue((ROOT / "roles" / "roles.toml").read_text(), "roles.toml").offered
        shown = [token(names[0], sub=f"user-{n}", tenant_id=f"tenant-{n % TENANTS}") for n in range(USERS)]
        body = BODY if durable else b""
        self.heads = [_head(shown[n % USERS], n % RESOURCES, body) for n in range(USERS * 2)]
        self.clients = [ClientConnection(self.server) for _ in range(CONNECTIONS)]
        for client in self.clients:
            client.connection_made(Pipe())  # type: ignore[arg-type] # as far as it is used

    def _fill_pool(self, limits: Limits, now: float) -> None:
        """Connections that need no socket."""
        ups = self.upstreams
        pool = ups._services["order"].pool  # noqa: SLF001 - there is no other door for them
        [place] = pool.places
        for _ in range(CONNECTIONS * 2):
            conn, pipe = UpstreamConnection(place, limits, ups, ups._heads, "order"), Pipe(self.asked)  # noqa: SLF001
            conn.pool = pool
            conn.connection_made(pipe)  # type: ignore[arg-type] # as far as it is used
            self.behind[pipe] = conn
            pool.keep(place, conn, now + 1e6)

    async def turns(self, count: int) -> None:
        """Send that many requests, one a connection and turn, and answer them."""
        sent = 0
        while sent < count:
            for client in self.clients:
                client.data_received(self.heads[sent % len(self.heads)])
                sent += 1
            while self.server.inflight:
                await asyncio.sleep(0)
                asked, self.asked[:] = list(self.asked), []
                for pipe in asked:
                    self.behind[pipe].data_received(ANSWER)
            await asyncio.sleep(0)

    def answered(self) -> float:
        """How many requests the service answered."""
        return sum(n for labels, n in self.server.metrics.requests.counts.items() if labels[2] == "2xx")


def _head(shown: str, which: int, body: bytes) -> bytes:
    start = f"GET /orders/o-{which}" if not body else "POST /orders"
    lines = [f"{start} HTTP/1.1", "Host: shop.example", f"Authorization: Bearer {shown}", "Accept: application/json"]
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "User-Agent: till/2.1", "", ""]).encode() + body


async def run(requests: int, *, durable: bool, profile: bool) -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory(prefix="lychgate-path-", dir=ROOT) as folder:
        bench = Bench(Path(folder), durable=durable)
        await bench.turns(USERS * 3)
        before, costs = bench.answered(), []
        if profile:
            profiler = cProfile.Profile()
            profiler.runcall(lambda: None)
            profiler.enable()
            await bench.turns(requests)
            profiler.disable()
            stats = pstats.Stats(profiler)
            print(f"{stats.total_calls / requests:.0f} calls a request")
            stats.sort_stats("tottime").print_stats(45)
        else:
            for _ in range(5):
                began = time.process_time()
                await bench.turns(requests)
                costs.append((time.process_time() - began) / requests * 1e6)
            costs.sort()
            kind = "durable writes" if durable else "buffered reads"
            print(f"{kind}: {costs[2]:.1f} us of processor a request (least {costs[0]:.1f}, most {costs[-1]:.1f})")
        if bench.faults or bench.answered() - before < requests * max(1, len(costs)):
            sys.exit(f"not all were answered; faults: {bench.faults[:3]}")
        bench.server.close()
        await bench.sink.aclose()


def main() -> None:
    """Read the arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=12_800)
    parser.add_argument("--durable", action="store_true")
    parser.add_argument("--profile", action="store_true")
    given = parser.parse_args()
    uvloop.run(run(min(given.requests, 1_000_000), durable=given.durable, profile=given.profile))


if __name__ == "__main__":
    main()
