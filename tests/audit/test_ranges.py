"""Tests of `audit.ranges`."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.ranges import RangeSet

SPANS = st.lists(st.tuples(st.integers(1, 60), st.integers(0, 6)).map(lambda pair: (pair[0], pair[0] + pair[1])))


def plain(ranges: RangeSet) -> set[int]:
    """The numbers one by one."""
    return {number for first, last in ranges for number in range(first, last + 1)}


@given(SPANS, SPANS)
def test_it_behaves_like_a_set(one: list[tuple[int, int]], two: list[tuple[int, int]]) -> None:
    """Adding, difference, membership and count agree with a plain set; ranges stay sorted, disjoint, not touching."""
    left, right = RangeSet(one), RangeSet(two)
    mine = {number for first, last in one for number in range(first, last + 1)}
    theirs = {number for first, last in two for number in range(first, last + 1)}
    assert plain(left) == mine
    assert plain(left.without(right)) == mine - theirs
    assert left.count == len(mine)
    assert left.last == max(mine, default=0)
    assert bool(left) == bool(mine)
    assert all((number in left) == (number in mine) for number in range(70))
    spans = list(left)
    assert all(before[1] + 1 < after[0] for before, after in pairwise(spans))
    left.update(two)
    assert left == RangeSet([*two, *one])


def test_a_sequence_stays_one_range() -> None:
    """Numbers in order take no more than one range."""
    ranges = RangeSet()
    for number in range(1, 1000):
        ranges.add(number)
    assert repr(ranges) == "RangeSet([(1, 999)])"


def test_a_range_that_ends_before_it_begins_is_refused() -> None:
    """A mistake in the caller is not kept."""
    with pytest.raises(ValueError, match="ends before"):
        RangeSet([(3, 2)])
