"""Percentiles by nearest rank."""

import pytest

from load.bench.latency import percentile


@pytest.mark.parametrize(("of", "expected"), [(50, 50), (99, 99), (100, 100), (0, 1)])
def test_percentiles_of_a_hundred(of: float, expected: float) -> None:
    """Of 1 to 100, in any order, each percentile is its own number."""
    assert percentile(list(range(100, 0, -1)), of) == expected


def test_of_few_the_99th_is_the_largest() -> None:
    """A percentile is a time that was measured, never one in between."""
    assert percentile([0.2, 7.0, 0.1], 99) == 7.0
