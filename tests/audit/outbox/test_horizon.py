"""Until when everything is visible."""

from audit.outbox.horizon import Horizon


def test_nothing_is_said_before_a_moment_is_known_to_be_over() -> None:
    """A transaction that was open then may still commit a row with an earlier id."""
    horizon = Horizon()
    assert horizon.observe(1000, 50, 40) is None
    assert horizon.observe(2000, 60, 50) is None  # the first of our own is not over
    assert horizon.observe(3000, 70, 51) == 1000
    assert horizon.observe(4000, 80, 61) == 2000
    assert horizon.observe(5000, 90, 90) == 4000  # not 5000: our own is open


def test_a_transaction_that_never_ends_costs_no_memory() -> None:
    """And what was known stays so."""
    horizon = Horizon()
    horizon.observe(1, 1, 1)
    for number in range(2, 5000):
        horizon.observe(number, number, 2)
    assert len(horizon._observed) <= 1000
    assert horizon.observe(9000, 9000, 9000) is not None
