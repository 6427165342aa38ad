"""When a sink is left alone. Pure: the caller has the clock, the sink and the dice.

    closed     everything goes there
    open       nothing does, until a time
    half_open  one is out to see whether it is back

One failure opens it. A sink's batches come one after another and are sent again until they are taken, so nothing is
lost by waiting a tenth of a second, and with a dead one each attempt costs its whole deadline (ADR 157).
"""

from enum import Enum
from typing import Final

_DOUBLINGS: Final = 16
"""More would only overflow: the pause is bounded long before."""


class State(Enum):
    """Of a breaker; the value is the metric's."""

    CLOSED = 0
    HALF_OPEN = 1
    OPEN = 2


class Breaker:
    """What is known of one sink from how deliveries ended.

    Args:
        first_s: The first pause, which doubles.
        max_s: The longest.

    Attributes:
        state: See the module.
        until: While open, when the next may try.
        failures: In a row.
    """

    def __init__(self, *, first_s: float = 0.1, max_s: float = 5.0) -> None:
        self._first_s = first_s
        self._max_s = max_s
        self.state = State.CLOSED
        self.until = 0.0
        self.failures = 0

    def __repr__(self) -> str:
        """For people."""
        return f"<Breaker {self.state.name.lower()}, {self.failures} failures>"

    def admits(self, now: float) -> bool:
        """Whether one may go there now; if that made it half open, it is the probe, and must tell how it ended."""
        if self.state is State.CLOSED:
            return True
        if self.state is State.HALF_OPEN or now < self.until:
            return False
        self.state = State.HALF_OPEN
        return True

    def wait_s(self, now: float) -> float:
        """How long until it is worth asking again; while a probe is out, nobody knows: the first pause."""
        return self._first_s if self.state is State.HALF_OPEN else max(0.0, self.until - now)

    def succeeded(self) -> None:
        """It took what it was given."""
        self.state = State.CLOSED
        self.failures = 0

    def failed(self, now: float, dice: float) -> None:
        """It did not.

        Args:
            now: The caller's clock.
            dice: From 0 to 1: a fleet does not come back to a broker in one moment.
        """
        pause = min(self._max_s, self._first_s * 2 ** min(self.failures, _DOUBLINGS))
        self.failures += 1
        self.state = State.OPEN
        self.until = now + pause * (0.5 + dice / 2)

    def withdrawn(self) -> None:
        """Who went there left without an answer: if it was the probe, the next may be."""
        if self.state is State.HALF_OPEN:
            self.state = State.OPEN
