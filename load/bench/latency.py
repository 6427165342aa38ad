"""Latency at a fixed rate: `h2load --h1 --rps`, on the other core.

h2load lets each of its connections send on a beat of its own. Connections that begin together beat together, and what
is measured is the queue of their burst; so they begin one after the other. Each row of its log is one request.
"""

import math
import statistics
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from load.bench.lychgate import Lychgate
from load.bench.machine import BenchError, generator_core, program
from load.bench.peers import Peer
from load.bench.work import Work

CONNECTIONS: Final = 64
_BETWEEN_STARTS_MS: Final = 3
_PATIENCE_S: Final = 20.0
_ENOUGH: Final = 0.8
"""Of the rate that was asked for; below it the queue in front of the peer grows, and latency means nothing."""


@dataclass(slots=True)
class Latency:
    """One peer's rounds at one rate.

    Attributes:
        rate: Requests a second that were asked for.
        p50_ms: The median of each round.
        p99_ms: The 99th percentile of each round.
    """

    rate: float
    p50_ms: list[float] = field(default_factory=list)
    p99_ms: list[float] = field(default_factory=list)

    @property
    def p50(self) -> float:
        """The median over the rounds."""
        return statistics.median(self.p50_ms)

    @property
    def p99(self) -> float:
        """The median over the rounds."""
        return statistics.median(self.p99_ms)


def measure(
    peers: Sequence[tuple[Peer, float]],
    work: Work,
    home: Path,
    *,
    rounds: int,
    seconds: float,
    say: Callable[[str], None],
) -> list[Latency]:
    """Read orders at a fixed rate, allowed, in interleaved rounds.

    Args:
        peers: Who, and how many requests a second.
        work: What.
        home: A folder for h2load's files.
        rounds: How often.
        seconds: How long each time.
        say: Told how far it is.

    Returns:
        For each of `peers`.

    Raises:
        BenchError: An answer was not 2xx, or the rate was not kept.
    """
    uris = home / "h2load.uris"
    uris.write_text("\n".join(work.paths) + "\n", encoding="ascii")
    found = [Latency(rate) for _, rate in peers]
    for number in range(rounds):
        for (peer, rate), latency in zip(peers, found, strict=True):
            times = _round(peer, rate, work, uris, seconds)
            latency.p50_ms.append(percentile(times, 50))
            latency.p99_ms.append(percentile(times, 99))
            say(f"latency {number + 1}/{rounds}: {peer.name}: p50 {latency.p50_ms[-1]:.3f} ms at {rate:,.0f} a second")
            if isinstance(peer, Lychgate):
                peer.settled()
    return found


def percentile(times: Sequence[float], of: float) -> float:
    """The smallest time that `of` per cent of them do not exceed (nearest rank)."""
    return sorted(times)[max(0, math.ceil(len(times) * of / 100) - 1)]


def _round(peer: Peer, rate: float, work: Work, uris: Path, seconds: float) -> list[float]:
    """Returns the milliseconds of each request."""
    log = uris.with_suffix(".log")
    log.unlink(missing_ok=True)
    each = max(1, round(rate / CONNECTIONS))
    count = int(each * CONNECTIONS * seconds)
    command = [program("taskset"), "-c", str(generator_core()), program("h2load"), "--h1", f"-c{CONNECTIONS}"]
    command += ["-r1", f"--rate-period={_BETWEEN_STARTS_MS}ms", f"--rps={each}", f"-n{count}", f"--log-file={log}"]
    command += ["-B", f"http://127.0.0.1:{peer.port}", "-i", str(uris)]
    command += ["-H", f"authorization: Bearer {work.token}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=seconds + _PATIENCE_S)
    except subprocess.TimeoutExpired:
        raise BenchError(f"h2load on {peer.name} did not end at {rate:,.0f} requests a second") from None
    rows = [line.split("\t") for line in log.read_text().splitlines()] if log.exists() else []
    if done.returncode != 0 or not rows or any(row[1] != "200" for row in rows):
        raise BenchError(f"h2load on {peer.name}:\n{done.stdout}{done.stderr}")
    began = [int(row[0]) for row in rows]
    # All connections are there only after a while: what came before is not at the rate.
    begin = min(began) + CONNECTIONS * _BETWEEN_STARTS_MS * 1000
    took_s = (max(began) - begin) / 1e6
    steady = [int(row[2]) / 1e3 for row in rows if int(row[0]) >= begin]
    if not steady or took_s <= 0 or len(steady) / took_s < _ENOUGH * each * CONNECTIONS:
        raise BenchError(f"{peer.name} does not keep up with {rate:,.0f} requests a second")
    return steady
