"""Plain numbers that a scrape sees as counters and histograms."""

from prometheus_client import CollectorRegistry, Histogram, generate_latest

from audit.metrics.closed import Label
from audit.metrics.tally import CounterTally, HistogramTally

BOUNDS = (0.1, 0.5, 1.0)
SERVICE = Label("service", ("a", "b"))
CODE = Label("code", ("a", "b"))


def test_a_histogram_reads_like_the_librarys() -> None:
    """On a bound, between, beyond; buckets, count and sum."""
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    tally = HistogramTally("t_seconds", "Time.", (SERVICE,), BOUNDS, ours)
    library = Histogram("t_seconds", "Time.", ("service",), buckets=BOUNDS, registry=theirs)
    for service, seconds in (("a", 0.1), ("a", 0.3), ("a", 7.0), ("b", 0.0)):
        tally.of((service,)).observe(seconds)
        library.labels(service).observe(seconds)
    plain = [line for line in generate_latest(theirs).decode().splitlines() if "_created" not in line]
    assert generate_latest(ours).decode().splitlines() == plain


def test_a_counter_counts_by_labels() -> None:
    """Each combination for itself."""
    registry = CollectorRegistry()
    tally = CounterTally("t", "Times.", (CODE,), registry)
    for code in ("a", "b", "a", "whatever"):
        tally.add(code)
    assert registry.get_sample_value("t_total", {"code": "a"}) == 2
    assert registry.get_sample_value("t_total", {"code": "b"}) == 1
    assert registry.get_sample_value("t_total", {"code": "other"}) == 1


def test_many_of_one_value_are_one_addition() -> None:
    """A weight counts as so many observations, in bucket, count and sum."""
    registry = CollectorRegistry()
    tally = HistogramTally("t_seconds", "Time.", (SERVICE,), BOUNDS, registry)
    tally.of(("a",)).observe(0.3, 7)
    tally.of(("stranger",)).observe(0.3)
    assert registry.get_sample_value("t_seconds_count", {"service": "a"}) == 7
    assert registry.get_sample_value("t_seconds_sum", {"service": "a"}) == 0.3 * 7
    assert registry.get_sample_value("t_seconds_bucket", {"service": "a", "le": "0.1"}) == 0
    assert registry.get_sample_value("t_seconds_bucket", {"service": "a", "le": "0.5"}) == 7
    assert registry.get_sample_value("t_seconds_count", {"service": "other"}) == 1
