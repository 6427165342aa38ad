"""The bounds that hold where nobody sets others."""

import msgspec
import pytest

from gateway.limits import Limits


def test_everything_is_bounded_but_what_is_said_to_be_unbounded() -> None:
    """0 is no limit for request bodies and for whole exchanges; every other bound is a bound."""
    limits = msgspec.structs.asdict(Limits())
    assert {name for name, value in limits.items() if not value} == {"body_bytes", "total_s"}
    assert all(value >= 0 for value in limits.values())


def test_bounds_fit_into_each_other() -> None:
    """A line into its head, and read-ahead into what one client may have waiting."""
    limits = Limits()
    assert limits.request_line_bytes <= limits.header_bytes
    assert limits.pipelined_bytes >= limits.header_bytes


def test_bounds_are_never_changed_in_place() -> None:
    """One value is shared by every connection of a worker."""
    with pytest.raises(AttributeError):
        Limits().header_count = 1  # type: ignore[misc]
