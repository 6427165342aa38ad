"""What the decision API costs: run `python load/authzen.py [seconds]`.

The real operations port in a process of its own on one core, wrk on another; policies in force and the fixture of the
AuthZEN certification. Besides requests a second it tells the server's CPU time a request, which a busy neighbour does
not change. ADR 0138 quotes it.
"""

import asyncio
import json
import multiprocessing
import os
import re
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import uvloop

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from gateway.ops.server import OpsServer  # noqa: E402 - after the path
from roles.load import load_catalogue  # noqa: E402
from tests.builders.decisions import OWN, decisions, question  # noqa: E402
from tests.gateway.ops.port import service  # noqa: E402

ROUNDS = 3
CONNECTIONS = 16
FIELDS = {**service(), "content-type": "application/json"}
"""Made before the server's process is, so that both have the issuer's key."""
ROLE = next(role.name for role in load_catalogue((ROOT / "roles" / "roles.toml").read_text(), "").roles if role.offered)
SELLER = ("User", "dev/acme/u-17", {"roles": [ROLE]})
ORDER = ("Order", "1", {"tenant": "acme"})
LIVE = question(SELLER, "order:read", ORDER)
FIXTURE = question(("user", "alice"), "read", ("record", "record-1"))
FIFTY = [{"resource": {"type": "Order", "id": str(number), "properties": {"tenant": "acme"}}} for number in range(50)]
CASES: dict[str, tuple[dict[str, Any], str, dict[str, Any]]] = {
    "one question, remembered": ({}, "evaluation", LIVE),
    "one question, of its own policies": (OWN, "evaluation", FIXTURE),
    "one question, on disk before the answer": ({"durable": True}, "evaluation", LIVE),
    "a batch of 50, remembered": ({}, "evaluations", {**LIVE, "evaluations": FIFTY}),
    "a batch of 50, on disk before the answer": ({"durable": True}, "evaluations", {**LIVE, "evaluations": FIFTY}),
    "subject search, 8 candidates": (OWN, "search/subject", {**FIXTURE, "subject": {"type": "user"}}),
}


def serve(sock: socket.socket, settings: dict[str, Any], folder: str, told: Any, core: int) -> None:
    """Serve until told to stop; then tell how much CPU time it took."""
    os.sched_setaffinity(0, {core})

    async def run() -> None:
        async with decisions(Path(folder), **settings) as api:
            api.emitter.events = Forgetful()
            server = OpsServer(api.client._transport.app)  # type: ignore[attr-defined]  # noqa: SLF001 - the app
            serving = asyncio.ensure_future(server.serve_on(sock))
            before = resource.getrusage(resource.RUSAGE_SELF)
            told.send("ready")
            while not told.poll():  # noqa: ASYNC110 - a pipe of multiprocessing
                await asyncio.sleep(0.05)
            used = resource.getrusage(resource.RUSAGE_SELF)
            told.send(used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime)
            server.stop()
            await serving

    asyncio.Runner(loop_factory=uvloop.new_event_loop).run(run())


class Forgetful(list[Any]):
    """What the tests' emitter remembers, and a load must not."""

    def append(self, _: Any) -> None:
        """Forget."""


def measure(name: str, seconds: int, core: int) -> tuple[float, float]:
    """Requests a second, and the server's CPU microseconds a request."""
    settings, path, body = CASES[name]
    ours, theirs = multiprocessing.Pipe()
    with socket.create_server(("127.0.0.1", 0)) as sock, tempfile.TemporaryDirectory() as folder:
        process = multiprocessing.get_context("fork").Process(target=serve, args=(sock, settings, folder, theirs, core))
        process.start()
        if ours.recv() != "ready":
            raise RuntimeError("the server did not start")
        script = Path(folder) / "ask.lua"
        script.write_text(
            f'wrk.method = "POST"\nwrk.body = [==[{json.dumps(body)}]==]\n'
            + "".join(f'wrk.headers["{key}"] = "{value}"\n' for key, value in FIELDS.items())
        )
        url = f"http://127.0.0.1:{sock.getsockname()[1]}/access/v1/{path}"
        command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-s", str(script), url]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        ours.send("stop")
        used = ours.recv()
        process.join()
    if "Non-2xx" in said:
        raise RuntimeError(said)
    count = int(re.search(r"(\d+) requests in", said)[1])  # type: ignore[index]
    return float(re.search(r"Requests/sec:\s*([\d.]+)", said)[1]), used / count * 1e6  # type: ignore[index]


def main() -> None:
    """Measure every case in interleaved rounds and print the medians."""
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    cores = sorted(os.sched_getaffinity(0))
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in CASES}
    os.sched_setaffinity(0, {cores[-1]})
    for _ in range(ROUNDS):
        for name in CASES:
            found[name].append(measure(name, seconds, cores[0]))
    for name, results in found.items():
        rate, cpu = (statistics.median(column) for column in zip(*results, strict=True))
        print(f"{name:45} {rate:8.0f} requests/s {cpu:8.0f} CPU µs a request")


if __name__ == "__main__":
    main()
