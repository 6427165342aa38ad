"""Labels with closed sets of values: whoever comes with another is counted as `other`, so no stranger makes a series.

Every labelled metric of ours is one of these or a tally (`audit.metrics.tally`) with these labels;
`tests/lychgate/reference/test_metrics.py` walks all of them. A counter whose values are known shows all its series at 0
from the start: `increase()` does not see a series that is born at 1.
"""

import itertools
from collections.abc import Iterable, Sequence
from typing import Any, Final, Self

import prometheus_client
from prometheus_client import CollectorRegistry

OTHER: Final = "other"
"""What a label says when its value is outside the closed set."""
_ZEROS_COUNT: Final = 64
"""More series than this are not shown before they count something."""


class Label:
    """A label and the values it may have.

    Args:
        name: The label's.
        values: All of them; or none yet, where they come with the configuration.
        of: What the values are, where `values` does not say.
    """

    __slots__ = ("name", "of", "values")

    def __init__(self, name: str, values: Iterable[str] = (), *, of: str = "") -> None:
        self.name = name
        self.of = of
        self.values: frozenset[str] = frozenset(values)

    def allow(self, values: Iterable[str]) -> None:
        """Say which values there are from now on."""
        self.values = frozenset(values)

    def fold(self, value: object) -> str:
        """The value, or `other`."""
        text = str(value)
        return text if text in self.values else OTHER


class _Guarded:
    """The library's metric, with closed labels."""

    closed: tuple[Label, ...]

    def __init__(
        self,
        name: str,
        documentation: str,
        labelnames: Sequence[Label | str] = (),
        *,
        registry: CollectorRegistry | None = None,
        **rest: Any,
    ) -> None:
        # The library makes the child of each series as another one of us, with the names alone.
        self.closed = tuple(label for label in labelnames if isinstance(label, Label))
        if len(self.closed) < len(labelnames) and "_labelvalues" not in rest:
            raise TypeError(f"{name}: a label without its values")
        names = [label.name if isinstance(label, Label) else label for label in labelnames]
        super().__init__(name, documentation, names, registry=registry, **rest)  # type: ignore[call-arg]  # the library's

    def labels(self, *values: object, **named: object) -> Self:
        """The series of these values, each folded into its set."""
        given = [named[label.name] for label in self.closed] if named else values
        folded = [label.fold(value) for label, value in zip(self.closed, given, strict=True)]
        child: Self = super().labels(*folded)  # type: ignore[misc]  # the library's
        return child


class Counter(_Guarded, prometheus_client.Counter):
    """A counter with closed labels."""

    def __init__(self, name: str, documentation: str, labelnames: Sequence[Label | str] = (), **rest: Any) -> None:
        super().__init__(name, documentation, labelnames, **rest)
        if self.closed:
            self.show_zeros()

    def show_zeros(self) -> None:
        """Show the series of all values that are known now."""
        sets = [sorted(label.values) for label in self.closed]
        combinations = list(itertools.islice(itertools.product(*sets), _ZEROS_COUNT + 1))
        if len(combinations) <= _ZEROS_COUNT:
            for values in combinations:
                self.labels(*values)


class Gauge(_Guarded, prometheus_client.Gauge):
    """A gauge with closed labels."""


class Histogram(_Guarded, prometheus_client.Histogram):
    """A histogram with closed labels."""
