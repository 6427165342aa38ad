"""Sums over processes: nothing is lost, nothing is counted twice, and counters never go down."""

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from gateway.control import Family, Sample
from gateway.metrics import families
from gateway.supervisor.totals import Totals, merged


def _worker(requests: int, connections: int, seconds: float) -> tuple[Family, ...]:
    """What a worker that has done this much says."""
    registry = CollectorRegistry()
    Counter("requests", "Requests.", ["code"], registry=registry).labels("ok").inc(requests)
    Gauge("connections", "Connections.", registry=registry).set(connections)
    Histogram("seconds", "Seconds.", buckets=(1, 10), registry=registry).observe(seconds)
    return families(registry)


def _shown(totals: Totals) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(totals)
    return registry


def test_counters_gauges_and_histograms_are_summed() -> None:
    """Two workers' numbers are one; buckets too."""
    totals = Totals(CollectorRegistry())
    totals.update(0, _worker(3, 5, 0.5))
    totals.update(1, _worker(4, 6, 7.0))
    shown = _shown(totals)
    assert shown.get_sample_value("requests_total", {"code": "ok"}) == 7
    assert shown.get_sample_value("connections") == 11
    assert shown.get_sample_value("seconds_count") == 2
    assert shown.get_sample_value("seconds_sum") == 7.5
    assert shown.get_sample_value("seconds_bucket", {"le": "1.0"}) == 1
    assert shown.get_sample_value("seconds_bucket", {"le": "+Inf"}) == 2


def test_a_report_replaces_the_one_before() -> None:
    """A worker's numbers are its totals, not what came since: asking twice counts once."""
    totals = Totals(CollectorRegistry())
    totals.update(0, _worker(3, 1, 1))
    totals.update(0, _worker(4, 1, 1))
    assert _shown(totals).get_sample_value("requests_total", {"code": "ok"}) == 4


def test_the_dead_leave_their_counters_and_take_their_gauges() -> None:
    """Retired twice or never heard of: still each count once."""
    totals = Totals(CollectorRegistry())
    totals.update(0, _worker(3, 5, 1))
    totals.retire(0)
    totals.retire(0)
    totals.retire(7)
    shown = _shown(totals)
    assert shown.get_sample_value("requests_total", {"code": "ok"}) == 3
    assert shown.get_sample_value("connections") is None
    totals.update(0, _worker(1, 2, 1))
    assert shown.get_sample_value("requests_total", {"code": "ok"}) == 4
    assert shown.get_sample_value("connections") == 2


def test_the_supervisors_own_are_in_it() -> None:
    """What the supervisor counts under the same name is added, and what only it has is shown."""
    own = CollectorRegistry()
    Counter("requests", "Requests.", ["code"], registry=own).labels("ok").inc(10)
    Gauge("workers", "Workers.", registry=own).set(2)
    totals = Totals(own)
    totals.update(0, _worker(3, 5, 1))
    shown = _shown(totals)
    assert shown.get_sample_value("requests_total", {"code": "ok"}) == 13
    assert shown.get_sample_value("workers") == 2


def test_each_family_is_shown_once() -> None:
    """The exposition has one TYPE line for each name, or Prometheus refuses the whole scrape."""
    totals = Totals(CollectorRegistry())
    totals.update(0, _worker(1, 1, 1))
    totals.update(1, _worker(1, 1, 1))
    types = [line for line in generate_latest(_shown(totals)).decode().splitlines() if line.startswith("# TYPE")]
    assert len(types) == len(set(types)) == 3


@given(
    deaths=st.lists(
        st.tuples(st.integers(min_value=0, max_value=3), st.integers(min_value=0, max_value=50), st.booleans()),
        max_size=40,
    )
)
def test_a_counter_never_goes_down(deaths: list[tuple[int, int, bool]]) -> None:
    """Whatever order workers report, die and begin anew in, the total only rises."""
    totals = Totals(CollectorRegistry())
    shown = _shown(totals)
    running = dict.fromkeys(range(4), 0)
    before = 0.0
    for slot, more, dies in deaths:
        running[slot] += more
        totals.update(slot, (Family("n", "N.", "counter", (Sample("n_total", (), float(running[slot])),)),))
        if dies:
            totals.retire(slot)
            running[slot] = 0
        now = shown.get_sample_value("n_total") or 0.0
        assert now >= before
        before = now
    assert before == sum(more for _, more, _ in deaths)


def test_merging_keeps_every_series() -> None:
    """Series that only one side has stay as they are."""
    left = (Family("n", "N.", "counter", (Sample("n_total", (("a", "1"),), 1.0),)),)
    right = (Family("n", "N.", "counter", (Sample("n_total", (("a", "2"),), 2.0),)),)
    (family,) = merged((left, right))
    assert {sample.labels: sample.value for sample in family.samples} == {(("a", "1"),): 1.0, (("a", "2"),): 2.0}


def _gauges(**values: float) -> tuple[Family, ...]:
    return tuple(Family(name, "G.", "gauge", (Sample(name, (), value),)) for name, value in values.items())


def test_what_a_gauge_is_over_processes_its_name_says() -> None:
    """Depths and capacities are summed; of moments, ages, shares and codes the greatest is shown."""
    totals = Totals(CollectorRegistry())
    one = {"queue_depth": 3.0, "oldest_seconds": 5.0, "last_timestamp_seconds": 100.0, "used_ratio": 0.5}
    two = {"queue_depth": 4.0, "oldest_seconds": 2.0, "last_timestamp_seconds": 300.0, "used_ratio": 0.75}
    totals.update(0, _gauges(**one, breaker_state=2.0, queue_capacity_bytes=10.0))
    totals.update(1, _gauges(**two, breaker_state=0.0, queue_capacity_bytes=10.0))
    shown = _shown(totals)
    assert {name: shown.get_sample_value(name) for name in (*one, "breaker_state", "queue_capacity_bytes")} == {
        "queue_depth": 7,
        "oldest_seconds": 5,
        "last_timestamp_seconds": 300,
        "used_ratio": 0.75,
        "breaker_state": 2,
        "queue_capacity_bytes": 20,
    }


def test_a_moment_outlives_the_worker_it_was_in() -> None:
    """When something last happened does not go back in time with a death; an age and a depth go."""
    totals = Totals(CollectorRegistry())
    totals.update(0, _gauges(last_timestamp_seconds=300.0, oldest_seconds=9.0, queue_depth=1.0))
    totals.retire(0)
    totals.update(0, _gauges(last_timestamp_seconds=200.0))
    shown = _shown(totals)
    assert shown.get_sample_value("last_timestamp_seconds") == 300
    assert shown.get_sample_value("oldest_seconds") is None
    assert shown.get_sample_value("queue_depth") is None


def test_a_negative_gauge_is_not_held_against_nothing() -> None:
    """The first process's value stands as it is: a bundle's serial is -1 without one."""
    totals = Totals(CollectorRegistry())
    totals.update(0, _gauges(bundle_serial=-1.0))
    assert _shown(totals).get_sample_value("bundle_serial") == -1
