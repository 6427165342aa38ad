"""What is counted at the doors for other proxies: the home of these metric names."""

from typing import Final

from prometheus_client import CollectorRegistry

from audit.metrics.closed import Gauge, Label
from audit.metrics.tally import CounterTally, HistogramTally
from gateway.doors.asked import DOORS
from gateway.errors import Code
from gateway.metrics import CODES

ALLOWED: Final = "allowed"
RESULTS: Final = (ALLOWED, *CODES)
CHECK_BUCKETS: Final = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1.0)
"""Seconds. Envoy gives up after 0.2 unless told otherwise."""


class DoorMetrics:
    """What proxies ask at the doors of the decision API.

    Args:
        registry: Where the collectors are registered.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        door = Label("door", DOORS)
        self.checks = CounterTally(
            "lychgate_door_checks",
            "Requests that other proxies asked about, by what they were told: `allowed`, or a code.",
            (door, Label("result", RESULTS)),
            registry,
        )
        self.check_duration = HistogramTally(
            "lychgate_door_check_duration_seconds",
            "From a proxy's question to its answer, the record included.",
            (door,),
            CHECK_BUCKETS,
            registry,
        )
        self.inflight = Gauge("lychgate_door_inflight", "Questions of other proxies in hand.", registry=registry)

    def checked(self, door: str, code: Code | None, seconds: float) -> None:
        """Count an answered question; `door` is one of `DOORS`, `code` None for an allow."""
        self.checks.add(door, code.word if code is not None else ALLOWED)
        self.check_duration.of((door,)).observe(seconds)
