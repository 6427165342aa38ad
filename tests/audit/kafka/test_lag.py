"""Tests of `audit.kafka.lag`."""

from audit.kafka.lag import Lag


class Clock:
    """Turned by hand."""

    now = 1000.0

    def __call__(self) -> float:
        """Seconds."""
        return self.now


def test_idle_is_nought_however_old_the_last_record_is() -> None:
    """What is stored is not behind."""
    clock = Clock()
    lag = Lag(clock)
    lag.hold(0, 0)
    lag.look(0, 1)
    lag.took(0, 999.0)
    lag.stored(0, 1)
    clock.now += 3600
    lag.look(0, 1)
    assert lag.seconds() == 0
    assert lag.events() == {0: 0}


def test_it_grows_while_a_batch_is_not_taken() -> None:
    """The record in hand is the oldest that is not stored, and its own time counts."""
    clock = Clock()
    lag = Lag(clock)
    lag.hold(0, 10)
    lag.took(0, 940.0)
    lag.look(0, 12)
    assert (lag.seconds(), lag.events()) == (60, {0: 2})
    clock.now += 30
    assert lag.seconds() == 90


def test_it_grows_while_nothing_is_fetched() -> None:
    """It counts from the first look that saw a record which is not stored, not from the last."""
    clock = Clock()
    lag = Lag(clock)
    lag.hold(0, 5)
    lag.look(0, 5)
    assert lag.seconds() == 0
    for end in (7, 8, 9):
        clock.now += 10
        lag.look(0, end)
    assert lag.seconds() == 20
    lag.stored(0, 7)  # the eighth was first seen ten seconds ago
    assert lag.seconds() == 10
    lag.stored(0, 9)
    assert lag.seconds() == 0


def test_the_furthest_behind_counts_and_what_is_gone_does_not() -> None:
    """Over all partitions that are held."""
    clock = Clock()
    lag = Lag(clock)
    for partition, first_s in ((0, 990.0), (1, 900.0)):
        lag.hold(partition, 0)
        lag.took(partition, first_s)
    assert lag.seconds() == 100
    lag.forget(1)
    assert (lag.seconds(), set(lag.events())) == (10, {0})
    lag.took(1, 0.0)
    lag.look(1, 5)
    lag.stored(1, 5)
    assert lag.seconds() == 10


def test_memory_is_bounded_and_the_oldest_look_is_kept() -> None:
    """A consumer that is stuck for hours knows since when."""
    clock = Clock()
    lag = Lag(clock)
    lag.hold(0, 0)
    for end in range(1, 10_001):
        lag.look(0, end)
        clock.now += 1
    assert lag.seconds() == 10_000
    assert len(lag._partitions[0].looks) <= 4097  # what this is about
