"""The command line's clock."""

from datetime import UTC, datetime, timedelta, timezone

from lychgate.clock import stamp, utc_now


def test_the_stamp_is_utc_whatever_the_zone() -> None:
    """What is set aside at once in two zones has one name."""
    east = timezone(timedelta(hours=2))
    assert stamp(datetime(2026, 11, 23, 17, 0, tzinfo=east)) == stamp(datetime(2026, 11, 23, 15, 0, tzinfo=UTC))
    assert stamp(datetime(2026, 11, 23, 15, 0, tzinfo=UTC)) == "20261123T150000Z"
    assert utc_now().tzinfo is UTC
