"""When an address is left alone: one circuit for each address of a service. Pure; the caller has clock and sockets.

    closed     every request may go there
    open       none may, until a time
    half_open  one is out to see whether it is well again

What opens it is a row of failures with no good answer in between, and a failure counts only when the address has
answered nobody well since that exchange began. Otherwise one caller with five slow requests could close a service to
everybody: they time out together, long after others were served.
"""

from enum import Enum
from typing import Final

from gateway.sources import BreakerSource

_DOUBLINGS: Final = 16
"""More would only overflow: the time is bounded by `open_max_s` long before."""
_ANSWERED: Final = frozenset({"status", "invalid"})


class State(Enum):
    """Of a circuit; the values are metric labels."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Circuit:
    """What is known of an address from how exchanges with it ended.

    Attributes:
        state: Whether requests go there.
        failures: In a row, while closed.
        marks: Counts judgements. An exchange notes it when it begins; a failure whose number is past says nothing.
        until: While open or half open, when the next request may try, by the loop's time.
        kind: What the last failure was, a word of `gateway.metrics.UPSTREAM_KINDS`.
        failed_at: When it was, by the loop's time.
        faults: Statuses that count as failures.
        well: Whether it is closed and the last exchange that said anything was a good one.
    """

    __slots__ = ("_openings", "_rules", "failed_at", "failures", "faults", "kind", "marks", "state", "until", "well")

    def __init__(self, rules: BreakerSource) -> None:
        self._rules = rules
        self._openings = 0  # in a row, without a good answer
        self.faults = frozenset(rules.fault_statuses)
        self.state = State.CLOSED
        self.well = True
        self.failures = 0
        self.marks = 0
        self.until = 0.0
        self.kind = ""
        self.failed_at = 0.0

    def __repr__(self) -> str:
        """For people."""
        return f"<Circuit {self.state.value}, {self.failures} failures>"

    @property
    def answers(self) -> bool:
        """Whether what failed last was an answer: then there is somebody, who says what is wrong better than we can."""
        return self.kind in _ANSWERED

    def admits(self, now: float) -> bool:
        """Whether a request may go there; while it is not closed, that request is the probe: see `probe`."""
        return self.state is State.CLOSED or now >= self.until

    def probe(self, now: float) -> None:
        """A request goes out to see. Should nothing be heard of it, another may go as long after as the first waited.

        An upload can take an hour; nobody else shall wait for its answer.
        """
        self.state = State.HALF_OPEN
        self.until = now + self._rules.open_s

    def withdrawn(self, seen: int) -> None:
        """An exchange ended without a verdict, because its client left; if it was the probe, the next may be."""
        if self.state is State.HALF_OPEN and seen == self.marks:
            self.state = State.OPEN
            self.until = 0.0

    def good(self) -> bool:
        """The address has answered well; returns whether that closed the circuit.

        While it is `well` the caller counts `marks` up itself and spares the call.
        """
        closed = self.state is not State.CLOSED
        self.marks += 1
        self.state = State.CLOSED
        self.well = True
        self.failures = self._openings = 0
        return closed

    def failed(self, seen: int, now: float, kind: str) -> bool:
        """An exchange failed; returns whether that opened the circuit.

        Args:
            seen: `marks` when the exchange began.
            now: The loop's time.
            kind: What happened.
        """
        rules = self._rules
        if seen != self.marks or not rules.failures:
            return False
        self.well = False
        self.kind = kind
        self.failed_at = now
        if self.state is State.OPEN:  # asked because there was nobody else
            return False
        self.failures += 1
        if self.state is State.CLOSED and self.failures < rules.failures:
            return False
        self.state = State.OPEN
        self.until = now + min(rules.open_s * 2 ** min(self._openings, _DOUBLINGS), rules.open_max_s)
        self._openings += 1
        self.marks += 1
        return True
