"""Plain numbers that a scrape sees as counters and histograms."""

from prometheus_client import CollectorRegistry, Histogram, generate_latest

from gateway.tally import CounterTally, HistogramTally

BOUNDS = (0.1, 0.5, 1.0)


def test_a_histogram_reads_like_the_librarys() -> None:
    """On a bound, between, beyond; buckets, count and sum."""
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    tally = HistogramTally("t_seconds", "Time.", ("service",), BOUNDS, ours)
    library = Histogram("t_seconds", "Time.", ("service",), buckets=BOUNDS, registry=theirs)
    for service, seconds in (("a", 0.1), ("a", 0.3), ("a", 7.0), ("b", 0.0)):
        tally.of((service,)).observe(seconds)
        library.labels(service).observe(seconds)
    plain = [line for line in generate_latest(theirs).decode().splitlines() if "_created" not in line]
    assert generate_latest(ours).decode().splitlines() == plain


def test_a_counter_counts_by_labels() -> None:
    """Each combination for itself."""
    registry = CollectorRegistry()
    tally = CounterTally("t", "Times.", ("code",), registry)
    for code in ("a", "b", "a"):
        tally.add(code)
    assert registry.get_sample_value("t_total", {"code": "a"}) == 2
    assert registry.get_sample_value("t_total", {"code": "b"}) == 1
