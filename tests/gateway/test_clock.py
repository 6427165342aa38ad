"""Times as records and policies write them."""

import datetime as dt
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.clock import Clock


@pytest.mark.parametrize(
    ("at", "text"),
    [
        (0.0, "1970-01-01T00:00:00.000000Z"),
        (1_795_000_000.25, "2026-11-18T11:06:40.250000Z"),
        (1_795_000_000.9999999, "2026-11-18T11:06:41.000000Z"),
        (951_782_399.5, "2000-02-28T23:59:59.500000Z"),
        (951_782_400.000001, "2000-02-29T00:00:00.000001Z"),
    ],
)
def test_a_time_is_rfc_3339_in_utc_with_microseconds(at: float, text: str) -> None:
    """Rounded to the nearest, the next second included."""
    assert Clock().text(at) == text


@given(st.lists(st.floats(0, 4_000_000_000), max_size=20))
def test_the_second_that_is_kept_is_never_anothers(times: list[float]) -> None:
    """Forwards, backwards and twice in the same one."""
    clock = Clock()
    for at in [*times, *reversed(times)]:
        whole = dt.datetime.fromtimestamp(0, dt.UTC) + dt.timedelta(microseconds=round(at * 1_000_000))
        assert clock.text(at) == whole.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def test_now_is_the_wall_clock() -> None:
    """Seconds since the epoch."""
    before = time.time()
    assert before <= Clock().now() <= time.time()
