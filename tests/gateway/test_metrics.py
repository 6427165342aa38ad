"""What is counted, and that strangers cannot make series."""

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest

from audit.metrics.closed import OTHER
from gateway.errors import Code
from gateway.metrics import (
    CIRCUIT_STATES,
    METHODS,
    STATUS_CLASSES,
    GatewayMetrics,
    SupervisorMetrics,
    families,
)


def _value(registry: CollectorRegistry, name: str, **labels: str) -> float | None:
    return registry.get_sample_value(name, labels)


def test_an_answered_request_is_counted_and_timed() -> None:
    """By service, method and class of status; the time by service."""
    registry = CollectorRegistry()
    metrics = GatewayMetrics(registry, ["order"])
    metrics.answered("order", b"GET", 204, 0.003)
    metrics.answered("order", b"GET", 200, 0.003)
    metrics.answered(None, b"GET", 404, 0.001)
    assert _value(registry, "lychgate_requests_total", service="order", method="GET", status="2xx") == 2
    assert _value(registry, "lychgate_requests_total", service=OTHER, method="GET", status="4xx") == 1
    assert _value(registry, "lychgate_request_duration_seconds_count", service="order") == 2
    assert _value(registry, "lychgate_request_duration_seconds_bucket", service="order", le="0.0025") == 0
    assert _value(registry, "lychgate_request_duration_seconds_bucket", service="order", le="0.005") == 2


def test_a_remembered_decision_is_counted_but_not_timed() -> None:
    """The duration is Cedar's alone."""
    registry = CollectorRegistry()
    metrics = GatewayMetrics(registry)
    metrics.decided("allow", None)
    metrics.decided("deny", 0.0001)
    assert _value(registry, "lychgate_decisions_total", effect="allow", source="memo") == 1
    assert _value(registry, "lychgate_decisions_total", effect="deny", source="evaluated") == 1
    assert _value(registry, "lychgate_decision_duration_seconds_count") == 1


def test_every_code_has_its_series_from_the_start() -> None:
    """A code that has not happened shows as 0, so that its first time is a rise."""
    registry = CollectorRegistry()
    metrics = GatewayMetrics(registry)
    metrics.refused(Code.FORBIDDEN)
    values = {code: _value(registry, "lychgate_refusals_total", code=code.word) for code in Code}
    assert values == {code: float(code is Code.FORBIDDEN) for code in Code}


def test_services_change_with_the_snapshot() -> None:
    """A service that has just been configured counts under its name; one that was taken out, as `other`."""
    registry = CollectorRegistry()
    metrics = GatewayMetrics(registry, ["order"])
    metrics.answered("order", b"GET", 200, 0.1)
    metrics.serve(["payment"])
    metrics.answered("payment", b"GET", 200, 0.1)
    metrics.answered("order", b"GET", 200, 0.1)
    assert _value(registry, "lychgate_requests_total", service="payment", method="GET", status="2xx") == 1
    assert _value(registry, "lychgate_requests_total", service="order", method="GET", status="2xx") == 1
    assert _value(registry, "lychgate_requests_total", service=OTHER, method="GET", status="2xx") == 1


@given(
    service=st.text(),
    method=st.text(),
    status=st.integers(min_value=0, max_value=9999),
    kind=st.text(),
    effect=st.text(),
)
def test_whatever_comes_no_series_is_made(service: str, method: str, status: int, kind: str, effect: str) -> None:
    """Label values stay inside the closed sets for any input."""
    registry = CollectorRegistry()
    metrics = GatewayMetrics(registry, ["order"])
    metrics.answered(service, method.encode("utf-8", "surrogatepass"), status, 0.1)
    metrics.upstream_failed(service, kind)
    metrics.policy_failed(effect)
    SupervisorMetrics(supervisor := CollectorRegistry()).ops_answered(kind, status)
    for family in (*families(registry), *families(supervisor)):
        for sample in family.samples:
            labels = dict(sample.labels)
            assert labels.get("service", OTHER) in {"order", OTHER}
            assert labels.get("method", OTHER) in {*METHODS, OTHER}
            assert labels.get("status", OTHER) in {*STATUS_CLASSES, OTHER}


def test_what_lasts_is_counted_by_kind_and_end() -> None:
    """Words of the gateway's own; any other is `other`."""
    registry = CollectorRegistry()
    metrics = GatewayMetrics(registry)
    metrics.lasting_over("tunnel", "idle")
    metrics.lasting_over("tunnel", "because")
    assert _value(registry, "lychgate_lasting_ended_total", kind="tunnel", why="idle") == 1
    assert _value(registry, "lychgate_lasting_ended_total", kind="tunnel", why=OTHER) == 1


def test_strangers_cannot_fill_the_memory() -> None:
    """What is kept for speed is bounded by the closed sets, whatever methods and statuses come."""
    metrics = GatewayMetrics(CollectorRegistry(), ["order"])
    for n in range(500):
        metrics.answered("order", b"M%d" % n, 200, 0.1)
        metrics.answered(f"s{n}", b"GET", 200, 0.1)
    assert metrics._requests == {}
    assert set(metrics.request_duration.series) == {("order",), (OTHER,)}


def test_families_are_what_the_registry_shows() -> None:
    """Reading a registry into values loses nothing but the times of creation."""
    registry = CollectorRegistry()
    metrics = GatewayMetrics(registry, ["order"])
    metrics.answered("order", b"GET", 200, 0.1)
    found = {(sample.name, sample.labels): sample.value for family in families(registry) for sample in family.samples}
    assert found["lychgate_requests_total", (("method", "GET"), ("service", "order"), ("status", "2xx"))] == 1
    assert not [name for name, _ in found if name.endswith("_created")]
    lines = [
        line
        for line in generate_latest(registry).decode().splitlines()
        if not line.startswith("#") and "_created" not in line
    ]
    assert len(lines) == len(found)


def test_names_follow_one_scheme() -> None:
    """Every name begins with the product's, says its unit, and is explained."""
    registry = CollectorRegistry()
    GatewayMetrics(registry)
    SupervisorMetrics(registry)
    for family in families(registry):
        assert family.name.startswith("lychgate")
        assert family.documentation.endswith(".")
        if family.kind == "histogram":
            assert family.name.endswith("_seconds")


def test_circuits_and_retries_are_counted_for_configured_services_only() -> None:
    """By state and kind; a service that has gone leaves no gauge behind."""
    registry = CollectorRegistry()
    metrics = GatewayMetrics(registry, ["order"])
    metrics.circuits("order", ["closed", "open", "closed"])
    metrics.circuits("stranger", ["open"])
    found = {
        state: _value(registry, "lychgate_upstream_circuits", service="order", state=state) for state in CIRCUIT_STATES
    }
    assert found == {"closed": 2, "open": 1, "half_open": 0}
    assert _value(registry, "lychgate_upstream_circuits", service="stranger", state="open") is None
    metrics.upstream_retried("order", "stale")
    metrics.upstream_retried("stranger", "whatever")
    assert _value(registry, "lychgate_upstream_retries_total", service="order", kind="stale") == 1
    assert _value(registry, "lychgate_upstream_retries_total", service=OTHER, kind=OTHER) == 1
    metrics.circuit_opened("order", "timeout")
    metrics.circuit_opened("stranger", "x")
    assert _value(registry, "lychgate_upstream_circuits_opened_total", service="order", kind="timeout") == 1
    assert _value(registry, "lychgate_upstream_circuits_opened_total", service=OTHER, kind=OTHER) == 1
    metrics.serve(["payment"])
    assert _value(registry, "lychgate_upstream_circuits", service="order", state="closed") is None
