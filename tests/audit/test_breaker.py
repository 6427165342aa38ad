"""Tests of `audit.breaker`."""

from hypothesis import given
from hypothesis import strategies as st

from audit.breaker import Breaker, State


def test_one_failure_opens_it_and_one_success_closes_it() -> None:
    """Nothing goes there until its time; then one does, and nobody else before that one has told."""
    breaker = Breaker(first_s=1.0, max_s=4.0)
    assert breaker.admits(0)
    breaker.failed(10.0, 1.0)
    assert breaker.state is State.OPEN
    assert not breaker.admits(10.9)
    assert breaker.wait_s(10.5) == 0.5
    assert breaker.admits(11.0)
    assert breaker.state is State.HALF_OPEN
    assert not breaker.admits(99.0)
    assert breaker.wait_s(99.0) == 1.0
    breaker.succeeded()
    assert breaker.state is State.CLOSED
    assert breaker.failures == 0
    assert breaker.admits(99.0)
    assert repr(breaker) == "<Breaker closed, 0 failures>"


def test_pauses_double_up_to_a_bound_and_begin_anew() -> None:
    """Each failed probe doubles the pause; a success forgets them."""
    breaker = Breaker(first_s=1.0, max_s=4.0)
    now, pauses = 0.0, []
    for _ in range(5):
        breaker.failed(now, 1.0)
        pauses.append(breaker.until - now)
        now = breaker.until
        assert breaker.admits(now)
    assert pauses == [1.0, 2.0, 4.0, 4.0, 4.0]
    breaker.succeeded()
    breaker.failed(now, 1.0)
    assert breaker.until - now == 1.0


def test_a_probe_that_was_cancelled_leaves_the_way_to_the_next() -> None:
    """Otherwise nobody would ever go there again."""
    breaker = Breaker()
    breaker.withdrawn()
    assert breaker.state is State.CLOSED
    breaker.failed(0.0, 0.5)
    assert breaker.admits(1.0)
    breaker.withdrawn()
    assert breaker.state is State.OPEN
    assert breaker.admits(1.0)


@given(st.lists(st.tuples(st.sampled_from("fsw"), st.floats(0, 1), st.floats(0, 10))))
def test_never_two_at_once_and_never_for_ever(steps: list[tuple[str, float, float]]) -> None:
    """Whatever happens: one probe at a time, and within the longest pause somebody may go there."""
    breaker, now, out = Breaker(first_s=0.1, max_s=5.0), 0.0, 0
    for end, dice, later in steps:
        now += later
        if breaker.admits(now):
            if breaker.state is State.HALF_OPEN:
                out += 1
                assert not breaker.admits(now)
            if end == "f":
                breaker.failed(now, dice)
            else:
                (breaker.succeeded if end == "s" else breaker.withdrawn)()
        assert 0 <= breaker.wait_s(now) <= 5.0
        assert breaker.state is not State.HALF_OPEN
    assert breaker.admits(now + 5.0)
