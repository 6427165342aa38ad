"""Which faults a round has, and when: drawn from its seed, so that a round can be had again. Pure."""

import random
from dataclasses import dataclass
from enum import StrEnum


class Form(StrEnum):
    """How events reach the store."""

    DIRECT = "direct"
    KAFKA = "kafka"


class Fault(StrEnum):
    """What is done to the stack."""

    KILL_GATEWAY = "kill gateway"
    KILL_SUPERVISOR = "kill supervisor"
    KILL_WORKER = "kill worker"
    STOP_GATEWAY = "stop gateway"
    STOP_WORKER = "stop worker"
    KILL_SERVICES = "kill services"
    KILL_POSTGRES = "kill postgres"
    STOP_POSTGRES = "stop postgres"
    KILL_BROKER = "kill broker"
    STOP_BROKER = "stop broker"
    KILL_CONSUMER = "kill consumer"
    STOP_CONSUMER = "stop consumer"
    FILL_DISK = "fill disk"
    MOVE_CLOCK = "move clock"
    RUN_AHEAD = "run ahead"
    """The clock beyond what the store takes; ends with a gateway that is killed, for its ids stay where they were."""

    @property
    def target(self) -> str:
        """To what: two faults of one target come one after the other."""
        return "clock" if self in CLOCK else self.value.rpartition(" ")[2]


@dataclass(frozen=True)
class Strike:
    """One fault.

    Attributes:
        at_s: When, from the beginning of the load.
        fault: What.
        lasts_s: How long until it is mended.
        amount: Of a clock, by how many seconds it jumps; else a number that picks one of several.
    """

    at_s: float
    fault: Fault
    lasts_s: float
    amount: int

    def __str__(self) -> str:
        clock = f" {self.amount:+d} s" if self.fault in CLOCK else ""
        return f"{self.at_s:5.1f} s  {self.fault}{clock}, {self.lasts_s:.1f} s"


CLOCK = frozenset({Fault.MOVE_CLOCK, Fault.RUN_AHEAD})
GATEWAY = frozenset(
    {
        Fault.KILL_GATEWAY,
        Fault.KILL_SUPERVISOR,
        Fault.KILL_WORKER,
        Fault.STOP_GATEWAY,
        Fault.STOP_WORKER,
        Fault.FILL_DISK,
        *CLOCK,
    }
)
"""Those that can cost a record of the gateway's."""

_WEIGHTS = {
    Fault.KILL_GATEWAY: 3,
    Fault.KILL_SUPERVISOR: 1,
    Fault.KILL_WORKER: 4,
    Fault.STOP_GATEWAY: 1,
    Fault.STOP_WORKER: 2,
    Fault.KILL_SERVICES: 1,
    Fault.KILL_POSTGRES: 3,
    Fault.STOP_POSTGRES: 2,
    Fault.FILL_DISK: 2,
    Fault.KILL_BROKER: 3,
    Fault.STOP_BROKER: 2,
    Fault.KILL_CONSUMER: 4,
    Fault.STOP_CONSUMER: 2,
}
_BROKER = frozenset({Fault.KILL_BROKER, Fault.STOP_BROKER, Fault.KILL_CONSUMER, Fault.STOP_CONSUMER})
_LASTS_S = {
    Fault.STOP_CONSUMER: (1.0, 14.0),  # longer than the group waits for a member: it comes back as a zombie
    Fault.STOP_POSTGRES: (0.5, 6.0),
    Fault.STOP_BROKER: (0.5, 8.0),
    Fault.FILL_DISK: (1.0, 4.0),
    Fault.MOVE_CLOCK: (1.5, 6.0),
    Fault.RUN_AHEAD: (1.5, 3.0),
}
_CLOCK_SHARE, _AHEAD_SHARE = 0.35, 0.4
_QUIET_S = 1.0
"""Before the first fault: there is something to lose by then."""
_WITHIN_S, _AHEAD_S = 240, (400, 3600)
"""By how much a clock moves within what the store takes, which is five minutes, and beyond it."""


def plan(
    seed: int, number: int, form: Form, seconds: float, *, disk: bool = True, clock: bool = True, every_s: float = 2.0
) -> list[Strike]:
    """The faults of a round, in the order of their times.

    Args:
        seed: Of the run.
        number: Of the round.
        form: Whether there are a broker and consumers.
        seconds: How long the load lasts.
        disk: Whether the spool's disk is one that can be filled.
        clock: Whether the gateway's clock can be moved.
        every_s: One fault in so many seconds, about.
    """
    dice = random.Random(f"{seed}:{number}:{form}:{seconds}")
    chosen = {
        fault: weight
        for fault, weight in _WEIGHTS.items()
        if (disk or fault is not Fault.FILL_DISK) and (form is Form.KAFKA or fault not in _BROKER)
    }
    count = max(1, round((seconds - _QUIET_S) / every_s))
    faults = dice.choices(list(chosen), list(chosen.values()), k=count)
    moves, ahead = dice.random() < _CLOCK_SHARE, dice.random() < _AHEAD_SHARE
    if moves and clock:
        faults[0] = Fault.MOVE_CLOCK
        if ahead and count > 1:
            faults[1] = Fault.RUN_AHEAD
    found = []
    for fault in faults:
        low, high = _LASTS_S.get(fault, (0.2, 2.0))
        lasts_s = round(dice.uniform(low, high), 1)
        at_s = round(dice.uniform(_QUIET_S, max(_QUIET_S, seconds - 1.0)), 1)
        amount = (
            dice.choice((-1, 1)) * dice.randint(5, _WITHIN_S) if fault is Fault.MOVE_CLOCK else dice.randint(*_AHEAD_S)
        )
        found.append(Strike(at_s, fault, lasts_s, amount))
    return sorted(found, key=lambda strike: strike.at_s)
