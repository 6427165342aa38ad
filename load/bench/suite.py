"""The whole run: who is started, which lines are measured, and what comes out, as plain values."""

import shutil
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from load.bench import goals, latency, memory, profile, report, rounds
from load.bench.latency import Latency
from load.bench.lychgate import Gateways, Lychgate, open_store
from load.bench.machine import BenchError, Processes, facts, listens, other_core, second_core, settle_here
from load.bench.peers import Neighbours, Peer
from load.bench.rounds import Measured
from load.bench.work import Script, Work, prepare
from lychgate.clock import utc_now
from lychgate.ports import free_port
from lychgate.postgres import PostgresServer

LINES: Final = ("reads", "mixed", "writes", "latency", "memory", "workers")
READERS, WRITERS = 64, 256
"""Connections."""
MIB: Final = 1 << 20

Say = Callable[[str], None]
Result = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured.

    Attributes:
        rounds: Interleaved, of each line.
        seconds: Of each peer in a round.
        idle: Idle connections.
        body_bytes: Streamed through.
        calm_s: How long memory has to settle, and how long the reader of a large body pauses in its middle.
        quick: Whether this is a look, not a measurement.
        lines: Of `LINES`; latency needs reads.
    """

    rounds: int = 5
    seconds: float = 5.0
    idle: int = 10_000
    body_bytes: int = 1 << 30
    calm_s: float = 1.0
    quick: bool = False
    lines: tuple[str, ...] = LINES

    def has(self, *lines: str) -> bool:
        """Whether one of these is measured."""
        return any(line in self.lines for line in lines)


QUICK: Final = Plan(
    rounds=1,
    seconds=1.0,
    idle=200,
    body_bytes=16 * MIB,
    calm_s=0.2,
    quick=True,
    lines=tuple(line for line in LINES if line != "workers"),
)


class Suite:
    """Everything that runs, and the measuring of it.

    Args:
        home: A folder that is gone afterwards.
        stack: Stops what was started.
        plan: How much.
        say: Told how far it is.
    """

    def __init__(self, home: Path, stack: ExitStack, plan: Plan, say: Say) -> None:
        self._plan, self._say, self._home = plan, say, home
        self._logs, self._files = home / "logs", home / "files"
        self._logs.mkdir()
        self._files.mkdir(mode=0o755)
        self._body = self._files / "big"
        with self._body.open("wb") as file:
            file.truncate(plan.body_bytes)  # a hole: what is streamed costs no disk
        self.work: Work = prepare(home)
        self._processes = Processes(stack, self._logs)
        self._neighbours = Neighbours(self._processes, home)
        self._upstream = self._neighbours.upstream(self._files)
        server = stack.enter_context(PostgresServer(home / "postgres", elsewhere=home / "elsewhere"))
        self._gateways = Gateways(home, self.work.jwks, open_store(server), server)
        self._sink = free_port()
        self._ours: Lychgate | None = None
        self._peers: dict[str, Peer] = {}

    @property
    def ours(self) -> Lychgate:
        """The gateway with one worker and Ed25519, started when it is first asked for."""
        if self._ours is None:
            self._ours = self._gateways.start(self._processes, "lychgate", self._services)
        return self._ours

    @property
    def _services(self) -> Mapping[str, int]:
        return {"order": self._upstream, "product": self._sink}

    def _peer(self, key: str) -> Peer:
        """A neighbour, started when it is first asked for."""
        if key not in self._peers:
            neighbours, upstream = self._neighbours, self._upstream
            match key:
                case "nginx":
                    peer = neighbours.nginx_plain(upstream)
                case "envoy":
                    peer = neighbours.envoy_plain(upstream)
                case "nginx_auth_request":
                    peer = neighbours.nginx_authorized(upstream, neighbours.authorizer("yes-nginx"))
                case _:
                    peer = neighbours.envoy_authorized(upstream, neighbours.authorizer("yes-envoy"))
            self._peers[key] = peer
        return self._peers[key]

    def run(self) -> Result:
        """Measure every line of the plan."""
        result: Result = {"lines": {}}
        plan = self._plan
        if plan.has("reads", "latency"):
            reads = self._saturate("reads", [*self._everybody(), self.ours])
            times = self._latency(reads) if plan.has("latency") and not plan.quick else {}
            result["lines"]["reads"] = _rows(reads, times)
            result["ratio_to_envoy"] = rounded(rounds.ratio(reads["lychgate"], reads["envoy"]))
            result["cpu_ratio_to_envoy"] = rounded(rounds.cpu_ratio(reads["lychgate"], reads["envoy"]))
            result["ratio_to_envoy_ext_authz"] = rounded(rounds.ratio(reads["lychgate"], reads["envoy_ext_authz"]))
            if plan.has("latency"):
                result["latency_added"] = self._added(reads["lychgate"].rate / 2)
        if plan.has("mixed"):
            others = [] if plan.quick else self._everybody()
            mixed = self._saturate("mixed", [*others, self.ours])
            result["lines"]["mixed"] = _rows(mixed)
            if not plan.quick:
                result["mixed_ratio_to_envoy"] = rounded(rounds.ratio(mixed["lychgate"], mixed["envoy"]))
        if plan.has("writes"):
            result |= self._writes(result["lines"])
        if plan.has("workers"):
            result["workers"] = self._workers()
        if self._ours is not None:
            result["memo_hit_rate"] = rounded(self._ours.memo_hit_rate())
        if plan.has("memory"):
            result["memory"] = self._memory()
        peaks = [row["peak_mib"] for line in result["lines"].values() for key, row in line.items() if "lychgate" in key]
        if peaks:
            result.setdefault("memory", {})["worker_peak_mib"] = max(peaks)
        return result

    def _everybody(self) -> list[Peer]:
        return [self._peer(key) for key in ("nginx", "envoy", "nginx_auth_request", "envoy_ext_authz")]

    def load(self, line: str) -> tuple[Script, int]:
        """What a line at saturation sends, and over how many connections."""
        script = {"reads": self.work.reads, "mixed": self.work.mixed, "writes": self.work.writes}[line]
        return script, WRITERS if line == "writes" else READERS

    def _saturate(self, line: str, peers: Sequence[Peer]) -> dict[str, Measured]:
        script, connections = self.load(line)
        plan = self._plan
        return rounds.measure(
            peers,
            script,
            connections=connections,
            rounds=plan.rounds,
            seconds=plan.seconds,
            warm=not plan.quick,
            say=self._say,
        )

    def _latency(self, reads: Mapping[str, Measured]) -> dict[str, Latency]:
        """Everybody at half of what it can do."""
        peers = [(measured.peer, measured.rate / 2) for measured in reads.values()]
        return dict(zip(reads, self._at_rates(peers), strict=True))

    def _added(self, rate: float) -> Result:
        """What we add over nginx that only proxies, both at the same rate."""
        plain, ours = self._at_rates([(self._peer("nginx"), rate), (self.ours, rate)])
        p50 = [b - a for a, b in zip(plain.p50_ms, ours.p50_ms, strict=True)]
        p99 = [b - a for a, b in zip(plain.p99_ms, ours.p99_ms, strict=True)]
        return {
            "rate": rounded(rate),
            "p50_ms": rounded(statistics.median(p50)),
            "p99_ms": rounded(statistics.median(p99)),
        }

    def _at_rates(self, peers: Sequence[tuple[Peer, float]]) -> list[Latency]:
        plan = self._plan
        return latency.measure(peers, self.work, self._home, rounds=plan.rounds, seconds=plan.seconds, say=self._say)

    def _writes(self, lines: Result) -> Result:
        """Durable writes, with either way of signing."""
        with ExitStack() as stack:
            processes = Processes(stack, self._logs)
            shared = self._gateways.start(processes, "lychgate_hs256", self._services, alg="HS256")
            others = [] if self._plan.quick else [self._peer("nginx")]
            writes = self._saturate("writes", [*others, self._peer("envoy"), self.ours, shared])
        lines["writes"] = _rows(writes)
        return {
            "writes_ratio_to_envoy": rounded(rounds.ratio(writes["lychgate"], writes["envoy"])),
            "writes_hs256_ratio_to_envoy": rounded(rounds.ratio(writes["lychgate_hs256"], writes["envoy"])),
        }

    def _workers(self) -> Result:
        """Two workers against one: where there are cores for it, what they do; else what a request costs."""
        with ExitStack() as stack:
            two = self._gateways.start(Processes(stack, self._logs), "lychgate_two", self._services, workers=2)
            found = self._saturate("reads", [self.ours, two])
        one, both = found["lychgate"], found["lychgate_two"]
        costs = [b / a for a, b in zip(one.front_us, both.front_us, strict=True)]
        return {
            "apart": second_core() is not None,
            "requests_ratio": rounded(rounds.ratio(both, one)),
            "cpu_ratio": rounded(statistics.median(costs)),
        }

    def _memory(self) -> Result:
        plan = self._plan
        with ExitStack() as stack:
            processes = Processes(stack, self._logs)
            processes.start(
                "sink", [sys.executable, "-m", "load.bench.sink", str(self._sink), str(plan.calm_s)], core=other_core()
            )
            processes.await_ready("sink", lambda: listens(self._sink))
            fresh = not plan.quick  # one that has not been through everything above
            ours = self._gateways.start(processes, "lychgate_memory", self._services) if fresh else self.ours
            self._say(f"memory: {plan.body_bytes / MIB:,.0f} MiB down, then up")
            before = memory.resident_bytes(ours, plan.calm_s)
            down = memory.download_peak_bytes(ours, self.work.token, plan.body_bytes, plan.calm_s) - before
            up = memory.upload_peak_bytes(ours, self.work.shop_token, self._body) - before
            self._say(f"memory: {plan.idle:,} idle connections")
            idle = memory.idle_bytes(ours, self.work, plan.idle, plan.calm_s)
        return {
            "idle_connections": plan.idle,
            "idle_kib_each": rounded(idle / 1024),
            "body_mib": plan.body_bytes // MIB,
            "download_growth_mib": rounded(down / MIB),
            "upload_growth_mib": rounded(up / MIB),
        }


def look(line: str, say: Say) -> str:
    """Profile a worker under the load of one line; returns the table, which is kept too.

    Raises:
        BenchError: As `run`; or py-spy cannot look.
    """
    if line not in {"reads", "mixed", "writes"}:
        raise BenchError("a profile is of reads, mixed or writes")
    machine = facts()
    settle_here()
    with _home() as home, ExitStack() as stack:
        suite = Suite(home, stack, Plan(), say)
        script, connections = suite.load(line)
        text = profile.table(profile.profile(suite.ours, script, connections=connections, home=home))
    profile.kept(report.RESULTS, line, {"line": line, "commit": machine["commit"], "cpu": machine["cpu"]}, text)
    return text


def run(plan: Plan, say: Say) -> Result:
    """Start everything, measure, stop everything.

    Raises:
        BenchError: Something is missing, does not start, or answers what it must not.
    """
    if unknown := set(plan.lines) - set(LINES):
        raise BenchError(f"no line is called {min(unknown)}; there are {', '.join(LINES)}")
    machine = facts()
    settle_here()
    with _home() as home, ExitStack() as stack:
        result = Suite(home, stack, plan, say).run()
    how = {"rounds": plan.rounds, "seconds": plan.seconds, "quick": plan.quick}
    result = {"when": utc_now().strftime("%Y-%m-%dT%H:%MZ"), "machine": machine, "how": how, **result}
    result["goals"] = goals.judged(result)
    return result


@contextmanager
def _home() -> Iterator[Path]:
    """A folder of our own. PostgreSQL's system user passes through it, and lists nothing."""
    home = Path(tempfile.mkdtemp(prefix="lychgate-bench-"))
    home.chmod(0o711)
    try:
        yield home
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _rows(measured: Mapping[str, Measured], times: Mapping[str, Latency] | None = None) -> Result:
    """Medians."""
    rows: Result = {}
    for key, one in measured.items():
        rows[key] = {
            "name": one.peer.name,
            "per_second": rounded(one.rate),
            "core_share": rounded(statistics.median(one.core_share)),
            "cpu_us_front": rounded(statistics.median(one.front_us)),
            "cpu_us_whole": rounded(statistics.median(one.whole_us)),
            "cpu_us_store": rounded(statistics.median(one.store_us)),
            "peak_mib": rounded(max(one.peak_bytes) / MIB),
            "peak_mib_whole": rounded(max(one.whole_peak_bytes) / MIB),
        }
        if times and key in times:
            at = times[key]
            rows[key] |= {"at_rate": rounded(at.rate), "p50_ms": rounded(at.p50), "p99_ms": rounded(at.p99)}
    return rows


def rounded(value: float) -> float:
    """Four digits that mean something; the machine is not quieter than that."""
    return float(f"{value:.4g}")
