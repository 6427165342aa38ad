"""The goals of the data plane, held against a result."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal


@dataclass(frozen=True, slots=True)
class Goal:
    """One number that is promised.

    Attributes:
        what: For people.
        place: Where it stands in a result, keys joined by dots.
        bound: The promise.
        side: Whether the bound is the least or the most.
        unit: Behind the number.
    """

    what: str
    place: str
    bound: float
    side: Literal["at least", "under"]
    unit: str = ""


GOALS: Final = (
    Goal("buffered reads, to Envoy plain", "ratio_to_envoy", 1.2, "at least", "x"),
    Goal("buffered reads, to Envoy with ext_authz", "ratio_to_envoy_ext_authz", 2.5, "at least", "x"),
    Goal("durable writes with Ed25519, to Envoy plain", "writes_ratio_to_envoy", 0.45, "at least", "x"),
    Goal("durable writes with HS256, to Envoy plain", "writes_hs256_ratio_to_envoy", 0.6, "at least", "x"),
    Goal("latency added over nginx plain, p50", "latency_added.p50_ms", 0.3, "under", "ms"),
    Goal("latency added over nginx plain, p99", "latency_added.p99_ms", 3.0, "under", "ms"),
    Goal("decisions that were remembered", "memo_hit_rate", 0.99, "at least"),
    Goal("memory of a worker under load", "memory.worker_peak_mib", 80, "under", "MiB"),
    Goal("memory of an idle keep-alive connection", "memory.idle_kib_each", 20, "under", "KiB"),
    Goal("memory while a large body goes down", "memory.download_growth_mib", 16, "under", "MiB"),
    Goal("memory while a large body goes up", "memory.upload_growth_mib", 16, "under", "MiB"),
)
_APART: Final = Goal("two workers to one, requests a second", "workers.requests_ratio", 1.8, "at least", "x")
_TOGETHER: Final = Goal("two workers to one, processor time a request", "workers.cpu_ratio", 1.1, "under", "x")


def judged(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Every goal whose number was measured: what, value, bound, and whether it is met."""
    workers = _APART if result.get("workers", {}).get("apart") else _TOGETHER
    found = []
    for goal in (*GOALS, workers):
        value: Any = result
        for key in goal.place.split("."):
            value = value.get(key) if isinstance(value, Mapping) else None
        if value is not None:
            met = value >= goal.bound if goal.side == "at least" else value < goal.bound
            found.append(
                {
                    "goal": goal.what,
                    "value": value,
                    "unit": goal.unit,
                    "side": goal.side,
                    "bound": goal.bound,
                    "met": met,
                }
            )
    return found
