"""The data plane beside nginx, in the same run: requests a second and processor time a request.

    make load                      a small GET, 64 connections, three interleaved rounds of three seconds each
    make load ARGS="--rounds 5"

Needs `wrk` and `nginx` (Debian's packages of these names). One worker of ours, in a process of its own on core 0, with
everything a request passes in production: token, route, Cedar's answer, signed context, and its record in a synced
spool. The peer is nginx as a plain proxy on the same core; both stand in front of the same nginx, which shares core 1
with wrk. Loopback only; it ends by itself. Numbers are for comparing within one run: the machine is shared.
"""

import argparse
import asyncio
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NGINX = """
worker_processes 1; daemon off; master_process off; pid {home}/{name}.pid; error_log {home}/{name}.err;
events {{ worker_connections 1024; }}
http {{
  access_log off; keepalive_requests 100000000;
  upstream service {{ server 127.0.0.1:{service}; keepalive 64; keepalive_requests 100000000; }}
  server {{ listen 127.0.0.1:{port}; location / {{ {what} }} }}
}}
"""
ANSWERS = "default_type application/json; return 200 '{\"data\": []}';"
PROXIES = 'proxy_pass http://service; proxy_http_version 1.1; proxy_set_header Connection "";'
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def nginx(home: Path, name: str, port: int, service: int, what: str, core: int) -> "subprocess.Popen[bytes]":
    """Start one nginx."""
    path = home / f"{name}.conf"
    path.write_text(NGINX.format(home=home, name=name, port=port, service=service, what=what))
    return subprocess.Popen(["taskset", "-c", str(core), "nginx", "-c", str(path)], stderr=subprocess.DEVNULL)


def listening(port: int, within_s: float = 20.0) -> None:
    """Wait until somebody listens."""
    until = time.monotonic() + within_s
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            if time.monotonic() > until:
                sys.exit(f"nobody listens on {port}")
            time.sleep(0.05)
        else:
            return


def cpu_s(pid: int) -> float:
    """Processor time a process has used, all threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / CLOCK_TICKS


def wrk(port: int, script: Path, seconds: int) -> int:
    """Put load on a port; returns how many requests were answered, all of them with 200."""
    command = ["taskset", "-c", "1", "wrk", "-t1", "-c64", f"-d{seconds}s", "-s", str(script)]
    done = subprocess.run([*command, f"http://127.0.0.1:{port}/orders"], capture_output=True, text=True, check=True)
    if "Non-2xx" in done.stdout:
        sys.exit(f"not every answer was a 200:\n{done.stdout}")
    found = re.search(r"(\d+) requests in", done.stdout)
    return int(found[1]) if found else 0


async def serve(home: Path, port: int, service: int) -> None:
    """Be the worker: print a token once it serves, and serve until standard input ends."""
    from tests.builders.plane import plane, token

    async with plane(home) as gate:
        gate.sink.events = _Nowhere()
        gate.server.upstreams.configure({"order": (f"127.0.0.1:{service}",)})
        loop = asyncio.get_running_loop()

        from gateway.serve.connection import ClientConnection

        listener = await loop.create_server(lambda: ClientConnection(gate.server), "127.0.0.1", port, backlog=1024)
        print(token(), flush=True)
        await loop.run_in_executor(None, sys.stdin.read)
        listener.close()


class _Nowhere(list[object]):
    """What the test emitter remembers is forgotten: this is a measurement, not a test."""

    def append(self, item: object, /) -> None:
        """Forget it."""


def measure(rounds: int, seconds: int) -> None:
    """Run and print."""
    with tempfile.TemporaryDirectory(prefix="lychgate-load-", dir=ROOT) as folder:
        home = Path(folder)
        service, peer, ours = free_port(), free_port(), free_port()
        running = [nginx(home, "service", service, service, ANSWERS, 1), nginx(home, "peer", peer, service, PROXIES, 0)]
        words = [sys.executable, str(Path(__file__)), "--serve", str(home), str(ours), str(service)]
        worker = subprocess.Popen(
            ["taskset", "-c", "0", *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, text=True
        )
        running.append(worker)  # type: ignore[arg-type] # both are only stopped
        try:
            token = worker.stdout.readline().strip() if worker.stdout else ""
            script = home / "head.lua"
            script.write_text(f'wrk.headers["Authorization"] = "Bearer {token}"\n')
            for port in (service, peer, ours):
                listening(port)
            places = {"nginx, plain proxy": (peer, running[1].pid), "Lychgate, one worker": (ours, worker.pid)}
            for port, _ in places.values():
                wrk(port, script, 1)
            rates: dict[str, list[float]] = {name: [] for name in places}
            costs: dict[str, list[float]] = {name: [] for name in places}
            for _ in range(rounds):
                for name, (port, pid) in places.items():
                    before = cpu_s(pid)
                    count = wrk(port, script, seconds)
                    rates[name].append(count / seconds)
                    costs[name].append((cpu_s(pid) - before) / count * 1e6)
        finally:
            for process in running:
                process.terminate()
                process.wait()
    base = statistics.median(rates["nginx, plain proxy"])
    print(f"{rounds} interleaved rounds of {seconds} s, 64 connections, small GET; medians")
    for name, measured in rates.items():
        rate, cost = statistics.median(measured), statistics.median(costs[name])
        print(f"{name:24} {rate:10,.0f} requests/s   {cost:7.1f} us of processor a request   x {rate / base:.3f}")


def main() -> None:
    """Read the arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--serve", nargs=3, metavar=("FOLDER", "PORT", "SERVICE"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        import uvloop

        sys.path.insert(0, str(ROOT))
        folder, port, service = given.serve
        uvloop.run(serve(Path(folder), int(port), int(service)))
        return
    if missing := [name for name in ("wrk", "nginx", "taskset") if shutil.which(name) is None]:
        sys.exit(f"needs {', '.join(missing)}: as root, `apt-get install wrk nginx-light util-linux`")
    measure(min(given.rounds, 20), min(given.seconds, 30))


if __name__ == "__main__":
    main()
