"""Tests of `audit.usage`."""

from hypothesis import given
from hypothesis import strategies as st

from audit.limits import SpoolLimits
from audit.spool.segment import SegmentName
from audit.usage import Usage

LIMITS = SpoolLimits(max_bytes=1000)


def test_buffered_records_stop_before_durable_ones() -> None:
    """The last fifth is for durable records."""
    usage = Usage(LIMITS)
    for tenant in ("a", "b", "c", "d"):
        usage.add(tenant, 200)
    assert usage.admit("e", 10, durable=False) == "full"
    assert usage.admit("e", 200, durable=True) is None
    assert usage.admit("e", 201, durable=True) == "full"


def test_a_tenant_stops_at_half() -> None:
    """Only the tenant that has filled its half is refused, durable or not."""
    usage = Usage(LIMITS)
    usage.add("a", 500)
    assert usage.admit("a", 1, durable=True) == "tenant_share"
    assert usage.admit("b", 300, durable=False) is None


def test_space_comes_back_with_its_segment() -> None:
    """When a segment is gone its bytes are given back to those whose they were."""
    usage = Usage(LIMITS)
    old, first, second = SegmentName(1, 1), SegmentName(2, 1), SegmentName(2, 2)
    usage.inherit(old, 100)
    usage.add("a", 400)
    usage.place(first, {"a": 300})
    usage.place(second, {"a": 100})
    usage.keep({old, second})
    assert usage.total == 200
    assert usage.admit("a", 400, durable=True) is None
    usage.drop({"a": 400})
    usage.keep(set())
    assert usage.total == 0


def test_the_disk_of_everybody_else_is_not_filled() -> None:
    """Below twice what stays free only durable records are taken, below it none; and all of them when it is back."""
    usage = Usage(SpoolLimits(max_bytes=1000, min_free_bytes=100))
    for free, buffered, durable in ((200, None, None), (199, "min_free", None), (99, "min_free", "min_free")):
        usage.see_free(free)
        assert (usage.admit("a", 1, durable=False), usage.admit("a", 1, durable=True)) == (buffered, durable)
    usage.see_free(200)
    assert usage.admit("a", 1, durable=False) is None
    assert usage.total == 4  # what was refused is not in the books


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 50), st.integers(0, 3))))
def test_the_books_always_balance(records: list[tuple[str, int, int]]) -> None:
    """Whatever is taken and placed, dropping every segment leaves nothing."""
    usage = Usage(LIMITS)
    for tenant, size, segment in records:
        usage.add(tenant, size)
        usage.place(SegmentName(1, segment), {tenant: size})
    usage.keep(set())
    assert usage.total == 0
    assert usage.admit("a", 500, durable=True) is None
