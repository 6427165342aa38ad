"""Counters and histograms for the way of a request: plain numbers, given their Prometheus form when they are read.

`prometheus_client` takes a lock for each increment and a call for each bucket: 0.3 us a counter and 0.8 us a histogram,
with the label look-up besides. These cost an addition, and a histogram takes many observations of one value as one. One
thread writes; a scrape may read in between and sees each number as it was at that moment.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector, CollectorRegistry

from audit.metrics.closed import Label


class CounterTally(Collector):
    """A counter with labels.

    Attributes:
        counts: Label values to how often; whoever adds to it answers for the values.
        labels: Their names.
        closed: The labels.
    """

    def __init__(self, name: str, documentation: str, labels: Sequence[Label], registry: CollectorRegistry) -> None:
        self.counts: dict[tuple[str, ...], float] = {}
        self.closed = tuple(labels)
        self.labels = tuple(label.name for label in labels)
        self._name, self._documentation = name, documentation
        registry.register(self)

    def add(self, *values: str) -> None:
        """Count one; each value is folded into its set."""
        folded = tuple(label.fold(value) for label, value in zip(self.closed, values, strict=True))
        self.counts[folded] = self.counts.get(folded, 0) + 1

    def collect(self) -> Iterable[Metric]:
        """As Prometheus reads it."""
        family = CounterMetricFamily(self._name, self._documentation, labels=self.labels)
        for labels, count in list(self.counts.items()):
            family.add_metric(labels, count)
        yield family


class Durations:
    """The observations of one series."""

    __slots__ = ("_bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, seconds: float, times: int = 1) -> None:
        """Count a value that was seen so many times; one on a bound is within it."""
        self.counts[bisect_left(self._bounds, seconds)] += times
        self.total += seconds * times


class HistogramTally(Collector):
    """A histogram with labels.

    Attributes:
        series: Label values to observations.
        labels: Their names.
        closed: The labels.
    """

    def __init__(
        self,
        name: str,
        documentation: str,
        labels: Sequence[Label],
        bounds: tuple[float, ...],
        registry: CollectorRegistry,
    ) -> None:
        self.series: dict[tuple[str, ...], Durations] = {}
        self.closed = tuple(labels)
        self.labels = tuple(label.name for label in labels)
        self._name, self._documentation, self._bounds = name, documentation, bounds
        registry.register(self)

    def of(self, labels: tuple[str, ...]) -> Durations:
        """The series of these label values, each folded into its set."""
        folded = tuple(label.fold(value) for label, value in zip(self.closed, labels, strict=True))
        found = self.series.get(folded)
        if found is None:
            found = self.series[folded] = Durations(self._bounds)
        return found

    def collect(self) -> Iterable[Metric]:
        """As Prometheus reads it: each bucket holds those below it."""
        family = HistogramMetricFamily(self._name, self._documentation, labels=self.labels)
        for labels, durations in list(self.series.items()):
            running, buckets = 0, []
            for bound, count in zip((*self._bounds, float("inf")), durations.counts, strict=True):
                running += count
                buckets.append(("+Inf" if bound == float("inf") else repr(bound), running))
            family.add_metric(labels, buckets, durations.total)
        yield family
