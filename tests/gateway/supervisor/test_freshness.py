"""How far files and what is in force are apart, over a clock that is moved by hand."""

import msgspec
from prometheus_client import CollectorRegistry

from gateway.clock import Clock
from gateway.freshness_metrics import FreshnessMetrics
from gateway.metrics import RELOADS, SupervisorMetrics
from gateway.sources import FrontTls, SourceFile, Sources
from gateway.supervisor.freshness import Freshness
from tests.builders import plane

SOURCES = plane.sources(1)


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
    found.refresh_metrics(SOURCES)
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
    found.refresh_metrics(msgspec.structs.replace(SOURCES, bundle_serial=7))
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


def test_what_was_refused_last_is_shown_until_it_is_well() -> None:
    """By kind: another kind that goes well says nothing of it; a reload of everything reads all of them."""
    found, _, registry = standing(0)

    def refused() -> set[str]:
        shown = {what: registry.get_sample_value("lychgate_reload_successful", {"what": what}) for what in RELOADS}
        assert set(shown.values()) <= {0, 1}
        return {what for what, well in shown.items() if not well}

    assert refused() == set()
    for what in RELOADS:
        found.refused(what, "why", "v1", rules=what in {"configuration", "policies"})
    assert refused() == set(RELOADS)
    found.installed("certificates", rules=False)
    assert refused() == {"configuration", "policies", "context_keys"}
    found.same()  # the edit was taken back
    assert refused() == {"configuration", "context_keys"}
    found.well("context_keys")
    assert refused() == {"configuration"}
    found.refused("certificates", "why", "v1", rules=False)
    found.installed("configuration")
    assert refused() == set()


def test_gateways_that_decide_alike_show_the_same_number() -> None:
    """Of what is edited alone: their keys and certificates are their own."""
    found, _, registry = standing(0)

    def shown(sources: Sources) -> float | None:
        found.refresh_metrics(sources)
        return registry.get_sample_value("lychgate_rules_hash")

    own = msgspec.structs.replace(SOURCES, keys=(), tls=FrontTls(certificate="a", private_key="b"))
    routes = SourceFile(SOURCES.routes.name, SOURCES.routes.text + "\n")
    assert shown(own) == shown(SOURCES) == SOURCES.rules_hash
    assert shown(msgspec.structs.replace(SOURCES, routes=routes)) != SOURCES.rules_hash
    assert shown(msgspec.structs.replace(SOURCES, strict=not SOURCES.strict)) != SOURCES.rules_hash
    assert 0 <= SOURCES.rules_hash < 2**53
