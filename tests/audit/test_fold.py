"""Tests of `audit.fold`."""

import pytest

from audit.event import AuditEvent
from audit.fold import REST, FoldKey, Folds, network
from tests.builders.audit import make_event

KEY = FoldKey("token_invalid", "10.0.0.0/24", "order.read")


def at(second: int, trace: str = "t") -> AuditEvent:
    """A refusal's record."""
    return make_event(occurred_at=f"2026-11-23T15:00:{second:02d}.000000Z", trace_id=trace)


@pytest.mark.parametrize(
    ("ip", "expected"),
    [("192.0.2.77", "192.0.2.0/24"), ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
     ("::ffff:192.0.2.77", "192.0.2.0/24"), ("fe80::1%eth0", "fe80::/64"), ("unix", "unix")],
)  # fmt: skip
def test_networks(ip: str, expected: str) -> None:
    """The /24 of IPv4, mapped or not, and the /64 of IPv6."""
    assert network(ip) == expected


def test_alike_refusals_are_counted_exactly() -> None:
    """The first lends its record; the fold tells how many, first and last; traces are a sample."""
    folds = Folds()
    assert not folds.count(KEY, "", None)
    folds.open(KEY, at(1, "first"), 100.0)
    for second in range(2, 42):
        assert folds.count(KEY, f"2026-11-23T15:00:{second:02d}.000000Z", f"trace-{second}")
    assert folds.due(100.9) == []
    [event] = folds.due(101.0)
    assert event.aggregate is not None
    assert (event.aggregate.count, event.aggregate.first_at[17:19], event.aggregate.last_at[17:19]) == (41, "01", "41")
    assert event.details == {"trace_ids": ["first", "trace-2", "trace-3", "trace-4", "trace-5"]}
    assert folds.due(200.0) == []
    assert not folds.count(KEY, "", None)


def test_a_single_refusal_is_its_own_record() -> None:
    """Nothing is added to a record that stands for one."""
    folds = Folds()
    event = at(1)
    folds.open(KEY, event, 0.0)
    assert folds.due(0.0, everything=True) == [event]


def test_too_many_folds_share_one_record() -> None:
    """Beyond the limit all go into one, whose record says nothing that holds only for the first of them."""
    folds = Folds(open_limit=3)
    for number in range(10):
        key = FoldKey("token_invalid", f"10.0.{number}.0/24", "")
        if not folds.count(key, "2026-11-23T15:00:09.000000Z", None):
            folds.open(key, at(number), 0.0)
    assert len(folds) == 4
    *_, rest = folds.due(1.0)
    assert rest.aggregate is not None
    assert rest.aggregate.count == 7
    assert (rest.client, rest.request, rest.resource) == (None, None, None)
    assert rest.details is not None
    assert rest.details["folded"] == "rest"
    assert REST.code == ""
