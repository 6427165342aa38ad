"""How far files and what is in force are apart, over a clock that is moved by hand."""

from prometheus_client import CollectorRegistry

from gateway.clock import Clock
from gateway.freshness_metrics import FreshnessMetrics
from gateway.metrics import SupervisorMetrics
from gateway.supervisor.freshness import Freshness


class Hand(Clock):
    """A clock that stands still."""

    at = 1_000.0

    def now(self) -> float:
        """What the hand says."""
        return self.at


def standing(stale_after_s: float) -> tuple[Freshness, Hand, CollectorRegistry]:
    """One that has just started."""
    registry, clock = CollectorRegistry(), Hand()
    return Freshness(FreshnessMetrics(registry), SupervisorMetrics(registry), clock, stale_after_s), clock, registry


def test_stale_is_what_differs_for_too_long() -> None:
    """From the first refusal on, until what the files hold is in force, by whatever way."""
    found, clock, registry = standing(10)
    assert found.status() == {"last_reload": None, "files_differ_s": 0.0, "stale": False}
    found.refused("policies", "why", "v1")
    clock.at += 6
    found.refused("configuration", "why else", "v1")
    assert not found.stale
    clock.at += 6
    assert found.stale
    found.refresh_metrics(None)
    assert registry.get_sample_value("lychgate_policies_differ_seconds") == 12
    assert registry.get_sample_value("lychgate_policy_bundle_serial") == -1
    assert registry.get_sample_value("lychgate_reload_last_success_timestamp_seconds") == 1_000
    found.installed("configuration")
    assert not found.stale
    assert registry.get_sample_value("lychgate_reload_last_success_timestamp_seconds") == 1_012
    found.refused("policies", "why", "v1")
    clock.at += 11
    found.same()
    assert not found.stale
    found.refresh_metrics(7)
    assert registry.get_sample_value("lychgate_policies_differ_seconds") == 0
    assert registry.get_sample_value("lychgate_policy_bundle_serial") == 7


def test_certificates_make_no_policies_stale() -> None:
    """Nor does a good certificate make bad policies good."""
    found, clock, registry = standing(10)
    found.refused("certificates", "why", "v1", rules=False)
    clock.at += 11
    assert not found.stale
    found.refused("policies", "why", "v1")
    found.installed("certificates", rules=False)
    clock.at += 11
    assert found.stale
    assert registry.get_sample_value("lychgate_reload_last_success_timestamp_seconds") == 1_000


def test_without_a_limit_nothing_is_stale() -> None:
    """But it is shown for how long the files have differed, and why."""
    found, clock, _ = standing(0)
    found.refused("policies", "order.cedar:1: why", "v1")
    clock.at += 1e6
    assert found.status() == {
        "last_reload": {
            "at": "1970-01-01T00:16:40.000000Z",
            "what": "policies",
            "installed": False,
            "reason": "order.cedar:1: why",
        },
        "files_differ_s": 1e6,
        "stale": False,
    }
