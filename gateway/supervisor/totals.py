"""The numbers of all processes as one: what `/internal/metrics` shows. Pure, but for reading our own registry.

Each process counts for itself. Here counters and histograms are summed over the supervisor, the workers that live, and
the workers that have died: a counter that went down would look like a restart of everything. What a gauge is over those
that live, its name says (`joined`). No series carries a process: how many workers there are is a matter of
configuration, and a sum that is taken here cannot be taken twice.
"""

from collections.abc import Callable, Iterable, Mapping
from operator import add
from typing import Final, TypeAlias

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.registry import Collector

from gateway.control import Family, Sample
from gateway.metrics import families

_Series: TypeAlias = dict[tuple[str, tuple[tuple[str, str], ...]], float]

_GAUGE: Final = "gauge"
_MOMENT: Final = "_timestamp_seconds"
_GREATEST: Final = ("_seconds", "_ratio", "_state", "_serial")
"""Moments, ages, shares and codes: two of them are not one of twice the size, and the greatest is what matters: the
most recent moment, the oldest record, the fullest queue."""


def joined(kind: str, name: str) -> Callable[[float, float], float]:
    """How the same series of two processes is one: the greater of the two, or their sum.

    Args:
        kind: Of the metric.
        name: Of the metric; a gauge's end says what it is.
    """
    return max if kind == _GAUGE and name.endswith(_GREATEST) else add


class Totals(Collector):
    """Sums families by slot; a collector for the registry that is shown.

    Args:
        own: The supervisor's registry, read at each collection.
    """

    def __init__(self, own: CollectorRegistry) -> None:
        self._own = own
        self._live: dict[int, tuple[Family, ...]] = {}
        self._retired: tuple[Family, ...] = ()

    def update(self, slot: int, reported: tuple[Family, ...]) -> None:
        """Take what a slot's living worker has counted since it started; replaces what it said before."""
        self._live[slot] = reported

    def retire(self, slot: int) -> None:
        """Keep for ever what a slot's worker counted last; it is gone. What it counted since is lost with it.

        Of its gauges only moments stay: that something happened then is as true after its death.
        """
        last = self._live.pop(slot, ())
        kept = tuple(family for family in last if family.kind != _GAUGE or family.name.endswith(_MOMENT))
        self._retired = tuple(merged((self._retired, kept)))

    def collect(self) -> Iterable[Metric]:
        """As `prometheus_client` asks of a collector."""
        for family in merged((families(self._own), self._retired, *self._live.values())):
            metric = Metric(family.name, family.documentation, family.kind)
            for sample in family.samples:
                metric.add_sample(sample.name, dict(sample.labels), sample.value)
            yield metric

    def describe(self) -> Iterable[Metric]:
        """Nothing before collection: registering must not read the workers."""
        return ()


def merged(parts: Iterable[tuple[Family, ...]]) -> list[Family]:
    """Join families of the same name, sample by sample; order is that of first sight."""
    seen: dict[str, Family] = {}
    joins: dict[str, _Series] = {}
    for family in (family for part in parts for family in part):
        seen.setdefault(family.name, family)
        series = joins.setdefault(family.name, {})
        join = joined(family.kind, family.name)
        for sample in family.samples:
            key = (sample.name, sample.labels)
            series[key] = join(series[key], sample.value) if key in series else sample.value
    return [_with_series(family, joins[name]) for name, family in seen.items()]


def _with_series(family: Family, series: Mapping[tuple[str, tuple[tuple[str, str], ...]], float]) -> Family:
    """The family with other samples."""
    samples = tuple(Sample(name, labels, value) for (name, labels), value in series.items())
    return Family(family.name, family.documentation, family.kind, samples)
