"""The services' clock."""

from datetime import UTC, timedelta

from services.clock import utc_now


def test_the_time_is_in_utc_and_goes_on() -> None:
    """Two readings have a zone, the same one, and do not go back by more than a step of the machine's clock."""
    first, second = utc_now(), utc_now()
    assert first.tzinfo is UTC
    assert second - first > timedelta(seconds=-1)
