"""Values just beside those that a policy names."""

import pytest

from policies.model import Json
from policies.neighbours import argument, decimals, extension, times

NOON = extension("datetime", "2026-03-04T12:00:00.000Z")


def texts(found: list[Json]) -> list[str | None]:
    """What they are written as."""
    return [argument(value, "datetime") for value in found]


def test_a_time_and_its_neighbours_nearest_first() -> None:
    """In UTC, to the millisecond, whatever it is written as."""
    found = texts(times(NOON, [extension("datetime", "2026-03-05"), extension("datetime", "2026-03-04T14:00:00+0100")]))
    assert found == [
        "2026-03-04T12:59:59.999Z",
        "2026-03-04T13:00:00.000Z",
        "2026-03-04T13:00:00.001Z",
        "2026-03-04T23:59:59.999Z",
        "2026-03-05T00:00:00.000Z",
        "2026-03-05T00:00:00.001Z",
    ]


def test_a_duration_is_a_time_of_the_same_day() -> None:
    """`now.toTime() < duration("9h")`; without a day there is none."""
    nine = extension("duration", "9h30m")
    assert texts(times(NOON, [nine]))[1:2] == ["2026-03-04T09:30:00.000Z"]
    assert times(None, [nine]) == []


@pytest.mark.parametrize(
    "value",
    [
        extension("datetime", "nonsense"),
        extension("datetime", "0001-01-01"),
        extension("datetime", "9999-12-31"),
        extension("duration", "400d"),
        extension("duration", "nonsense"),
        extension("duration", ""),
        extension("ip", "::1"),
        "2026-01-01",
        1,
    ],
)
def test_what_is_no_time_has_no_neighbours(value: Json) -> None:
    """Nor has one at an end of the calendar, nor a duration of more than a day."""
    assert times(NOON, [value]) == []


def test_decimals_have_four_digits() -> None:
    """One before, the same, one after."""
    found = list(decimals([extension("decimal", "1.5"), extension("decimal", "no"), 3]))
    assert [argument(value, "decimal") for value in found] == ["1.4999", "1.5000", "1.5001"]


def test_an_argument_is_of_its_function_only() -> None:
    """Nothing else has one."""
    assert argument(NOON, "datetime") == "2026-03-04T12:00:00.000Z"
    assert argument(NOON, "ip") is None
    assert argument("x", "ip") is None
