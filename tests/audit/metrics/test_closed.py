"""Labels that strangers cannot widen."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from audit.metrics.closed import OTHER, Counter, Gauge, Histogram, Label


@given(st.lists(st.text(max_size=8), max_size=50))
def test_whatever_comes_there_are_so_many_series(values: list[str]) -> None:
    """Members count under their name, everything else together; nothing is lost."""
    registry = CollectorRegistry()
    counter = Counter("n", "N.", [Label("what", ("a", "b"))], registry=registry)
    for value in [*values, "a"]:
        counter.labels(value).inc()
    found = {name: registry.get_sample_value("n_total", {"what": name}) for name in ("a", "b", OTHER)}
    assert found["a"] == values.count("a") + 1
    assert sum(count or 0 for count in found.values()) == len(values) + 1
    (family,) = registry.collect()
    assert {sample.labels["what"] for sample in family.samples} <= {"a", "b", OTHER}


def test_all_kinds_fold_by_place_and_by_name() -> None:
    """Counters, gauges and histograms; labels given in order or named."""
    registry = CollectorRegistry()
    labels = [Label("x", "ab"), Label("y", "cd")]
    Counter("n", "N.", labels, registry=registry).labels("a", "?").inc()
    Gauge("g", "G.", labels, registry=registry).labels(y="c", x="?").set(7)
    Histogram("h", "H.", labels, buckets=(1,), registry=registry).labels("a", "c").observe(0.5)
    assert registry.get_sample_value("n_total", {"x": "a", "y": OTHER}) == 1
    assert registry.get_sample_value("g", {"x": OTHER, "y": "c"}) == 7
    assert registry.get_sample_value("h_count", {"x": "a", "y": "c"}) == 1


def test_a_counters_series_are_there_before_they_count() -> None:
    """So that the first time is a rise: known values at once, those of the configuration when they are known."""
    registry = CollectorRegistry()
    late = Label("class", of="the configured classes")
    Counter("known", "N.", [Label("what", ("a", "b"))], registry=registry)
    counter = Counter("late", "N.", [late], registry=registry)
    assert registry.get_sample_value("known_total", {"what": "b"}) == 0
    assert registry.get_sample_value("late_total", {"class": "pii"}) is None
    late.allow(["pii"])
    counter.show_zeros()
    assert registry.get_sample_value("late_total", {"class": "pii"}) == 0
    Counter("many", "N.", [Label("n", map(str, range(65)))], registry=registry)
    assert registry.get_sample_value("many_total", {"n": "1"}) is None


def test_a_label_without_its_values_is_refused() -> None:
    """Where the metric is made, not where it counts."""
    with pytest.raises(TypeError, match="n: a label without its values"):
        Counter("n", "N.", ["tenant"], registry=CollectorRegistry())


def test_a_set_can_change() -> None:
    """What is no longer in it counts as `other` from then on."""
    label = Label("service", ("a",))
    assert label.fold("a") == "a"
    label.allow(("b",))
    assert (label.fold("a"), label.fold("b"), label.fold(7)) == (OTHER, "b", OTHER)
