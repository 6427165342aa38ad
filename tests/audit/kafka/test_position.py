"""Tests of `audit.kafka.position`."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.kafka.position import Misfit, Restart, anchor, misplaced


@pytest.mark.parametrize(
    ("next_offset", "begin", "end", "found"),
    [
        (0, 0, 0, None),
        (5, 0, 5, None),  # everything is read
        (5, 5, 9, None),  # retention stands just before us
        (4, 5, 9, Restart(5, Misfit.EXPIRED, 1)),
        (0, 5, 5, Restart(5, Misfit.EXPIRED, 5)),
        (6, 0, 5, Restart(0, Misfit.RENEWED, 0)),
        (6, 2, 5, Restart(2, Misfit.RENEWED, 0)),
    ],
)
def test_an_offset_fits_or_says_why_not(next_offset: int, begin: int, end: int, found: Restart | None) -> None:
    """From the oldest record to one past the newest it fits; before that records are missing, beyond it is another."""
    assert misplaced(next_offset, begin, end) == found


@given(st.integers(0, 1 << 42), st.binary(max_size=50) | st.none())
def test_an_anchor_fits_the_column(timestamp_ms: int, value: bytes | None) -> None:
    """A positive bigint, the same for the same record."""
    assert 0 <= anchor(timestamp_ms, value) < 1 << 63
    assert anchor(timestamp_ms, value) == anchor(timestamp_ms, value)


def test_an_anchor_tells_records_apart() -> None:
    """By time and by content."""
    assert len({anchor(1, b"a"), anchor(2, b"a"), anchor(1, b"b"), anchor(1, None)}) == 4
