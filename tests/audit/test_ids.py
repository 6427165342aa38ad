"""Tests of `audit.ids`."""

import threading
import uuid

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.ids import EventIds, id_at, id_floor, id_ms


def test_ids_rise_even_when_the_clock_does_not() -> None:
    """Within one millisecond, and after the clock stepped back, every id is later than the one before."""
    times = iter([10**18] * 6000 + [10**18 - 5 * 10**9] * 100 + [10**18 + 10**9] * 10)
    ids = EventIds(lambda: next(times))
    made = [ids.next() for _ in range(6110)]
    assert made == sorted(set(made))


@settings(max_examples=20)
@given(st.lists(st.tuples(st.integers(-(10**13), 10**13), st.integers(1, 5000)), min_size=1, max_size=4))
def test_ids_rise_whatever_the_clock_does(jumps: list[tuple[int, int]]) -> None:
    """Forward and back by hours, standing still for more ids than a millisecond holds: each is later."""
    now = 10**18
    ids = EventIds(lambda: now)
    made = []
    for jump, count in jumps:
        now += jump
        made += [ids.next() for _ in range(count)]
    assert made == sorted(set(made))
    assert all(id_ms(each) >= 10**12 + min(0, jumps[0][0] // 10**6) for each in (made[0], made[-1]))


def test_threads_get_ids_that_rise_for_each_of_them() -> None:
    """Four threads at once: none twice, and each thread's own in order."""
    ids = EventIds()
    made: list[list[str]] = [[] for _ in range(4)]
    threads = [
        threading.Thread(target=lambda mine: mine.extend(ids.next() for _ in range(5000)), args=(mine,))
        for mine in made
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(mine == sorted(mine) for mine in made)
    assert len({each for mine in made for each in mine}) == 20_000


def test_an_id_is_a_uuid_of_version_7_with_its_time() -> None:
    """The standard library agrees on version and variant; the first 48 bits are the time."""
    made = EventIds(lambda: 1_700_000_000_123_456_789).next()
    parsed = uuid.UUID(made)
    assert (parsed.version, parsed.variant, str(parsed)) == (7, uuid.RFC_4122, made)
    assert id_ms(made) == 1_700_000_000_123


@given(st.integers(0, 2**48 - 1), st.binary(min_size=10, max_size=32))
def test_bounds_and_fixed_ids_carry_their_time(ms: int, fill: bytes) -> None:
    """The floor is the least id of its millisecond; a fixed id is the same for the same fact."""
    floor, fixed = id_floor(ms), id_at(ms, fill)
    assert id_ms(floor) == id_ms(fixed) == ms
    assert floor <= fixed
    assert fixed == id_at(ms, fill)


@pytest.mark.parametrize(
    "text",
    ["", "x", str(uuid.UUID(int=0)), "01990000-0000-7000-8000-00000000000G", "0199000000007000800000000000000",
     "01990000-0000-4000-8000-000000000000", "01990000-0000-7000-c000-000000000000",
     "01990000-0000-7000-8000-00000000000A"],
)  # fmt: skip
def test_other_text_is_no_event_id(text: str) -> None:
    """Other versions, variants, upper case and garbage are refused."""
    with pytest.raises(ValueError, match="UUIDv7"):
        id_ms(text)


def test_ids_follow_a_clock_that_was_beyond_belief() -> None:
    """A small step back they do not follow; from 2030 they come back, or the store would take none for years."""
    clock = [1_700_000_000_000]
    ids = EventIds(lambda: clock[0] * 1_000_000)
    first = ids.next()
    clock[0] -= 299_000
    assert ids.next() > first
    clock[0] += 4 * 365 * 86_400_000
    future = ids.next()
    clock[0] = 1_700_000_100_000
    back = [ids.next() for _ in range(5000)]
    assert max(back) < future
    assert back == sorted(set(back))
    assert id_ms(back[0]) == clock[0]
