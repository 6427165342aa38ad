"""Interleaved rounds at saturation: requests a second and processor time a request.

Each round measures everybody once, one after the other, so that a busy neighbour on the machine hurts all alike; what
is reported is the median over the rounds, of ratios too: a ratio is taken within a round.
"""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from load.bench import proc
from load.bench.lychgate import Lychgate
from load.bench.machine import BenchError
from load.bench.peers import Peer
from load.bench.work import Script
from load.bench.wrk import saturate

_SHARE_TOLERANCE: Final = 0.02
"""Between the share of refusals that was sent and the one that came back; a round ends inside a lap."""


@dataclass(slots=True)
class Measured:
    """One peer's rounds, element n of each list from round n.

    Attributes:
        peer: Who.
        per_second: Requests a second.
        core_share: Of the measured core's time, what it took; well under 1 and something else was the limit.
        front_us: Processor time a request of the processes clients talk to, microseconds.
        whole_us: Of the whole process tree: with authorizer, or supervisor and relay.
        store_us: Of PostgreSQL, which is not in `whole_us`.
        peak_bytes: The most memory of the front's processes.
        whole_peak_bytes: Of the whole tree's.
    """

    peer: Peer
    per_second: list[float] = field(default_factory=list)
    core_share: list[float] = field(default_factory=list)
    front_us: list[float] = field(default_factory=list)
    whole_us: list[float] = field(default_factory=list)
    store_us: list[float] = field(default_factory=list)
    peak_bytes: list[int] = field(default_factory=list)
    whole_peak_bytes: list[int] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """The median of the requests a second."""
        return statistics.median(self.per_second)


def ratio(ours: Measured, theirs: Measured) -> float:
    """The median over the rounds of ours to theirs, in requests a second."""
    return statistics.median(a / b for a, b in zip(ours.per_second, theirs.per_second, strict=True))


def cpu_ratio(ours: Measured, theirs: Measured) -> float:
    """The median over the rounds of theirs to ours, in processor time a request of those that clients talk to.

    What the first ratio would be if nobody but the measured core were the limit: a busy machine moves it less.
    """
    return statistics.median(b / a for a, b in zip(ours.front_us, theirs.front_us, strict=True))


def measure(
    peers: Sequence[Peer],
    script: Script,
    *,
    connections: int,
    rounds: int,
    seconds: float,
    warm: bool,
    say: Callable[[str], None],
) -> dict[str, Measured]:
    """Run the rounds.

    Args:
        peers: Who.
        script: What is sent.
        connections: With one request in flight on each.
        rounds: How often everybody is measured.
        seconds: How long each time.
        warm: Whether a short round before the first, which is forgotten, fills everybody's caches.
        say: Told how far it is.

    Returns:
        The key of each peer to what was measured, in the given order.

    Raises:
        BenchError: Somebody answered what was not to be expected, or lost a record.
    """
    found = {peer.key: Measured(peer) for peer in peers}
    for peer in peers if warm else ():
        _round(Measured(peer), script, connections, min(seconds, 2.0))
    for number in range(rounds):
        for peer in peers:
            _round(found[peer.key], script, connections, seconds)
            say(f"{script.name} {number + 1}/{rounds}: {peer.name}: {found[peer.key].per_second[-1]:,.0f} a second")
    return found


def _round(measured: Measured, script: Script, connections: int, seconds: float) -> None:
    peer = measured.peer
    ours = peer if isinstance(peer, Lychgate) else None
    proc.reset_peak(peer.whole)
    front, helpers, stored = (proc.cpu_s(pids) for pids in (peer.front, peer.helpers, _store(peer)))
    sent = saturate(peer.port, script, connections=connections, seconds=seconds)
    front = proc.cpu_s(peer.front) - front
    if ours is not None:
        ours.settled()
        if lost := ours.lost():
            raise BenchError(f"{peer.name}: {lost} audit records were lost or refused: this is not the real work")
    helpers, stored = proc.cpu_s(peer.helpers) - helpers, proc.cpu_s(_store(peer)) - stored
    expected = script.refused if peer.authorizes else 0.0
    if abs(sent.refused / sent.requests - expected) > _SHARE_TOLERANCE * (expected > 0):
        raise BenchError(f"{peer.name}, {script.name}: {sent.refused} of {sent.requests} were refused")
    each = 1e6 / sent.requests
    measured.per_second.append(sent.per_second)
    on_core = front if ours is not None else front + helpers
    measured.core_share.append(on_core / sent.seconds)
    measured.front_us.append(front * each)
    measured.whole_us.append((front + helpers) * each)
    measured.store_us.append(stored * each)
    measured.peak_bytes.append(proc.peak_bytes(peer.front))
    measured.whole_peak_bytes.append(proc.peak_bytes(peer.whole))


def _store(peer: Peer) -> tuple[int, ...]:
    """The processes of PostgreSQL now: they come and go, and those that went are in their parent's time."""
    return peer.stored_by if isinstance(peer, Lychgate) else ()
