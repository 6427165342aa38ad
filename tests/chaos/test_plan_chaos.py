"""The schedule: the same for the same seed, within the load, and of faults that the stack can bear."""

from tests.chaos.plan import CLOCK, Fault, Form, plan

MANY = 300


def test_the_same_seed_gives_the_same_faults() -> None:
    """Or a round could not be had again; another number or form gives others."""
    assert plan(7, 3, Form.KAFKA, 20) == plan(7, 3, Form.KAFKA, 20)
    assert plan(7, 3, Form.KAFKA, 20) != plan(7, 4, Form.KAFKA, 20)
    assert plan(7, 3, Form.KAFKA, 20) != plan(7, 3, Form.DIRECT, 20)


def test_every_fault_comes_and_within_the_load() -> None:
    """In a few hundred rounds all of them, in order of time; the direct form is spared what it has not."""
    kafka = [strike for number in range(MANY) for strike in plan(1, number, Form.KAFKA, 20)]
    direct = [strike for number in range(MANY) for strike in plan(1, number, Form.DIRECT, 20)]
    assert {strike.fault for strike in kafka} == set(Fault)
    assert {strike.fault for strike in direct} == {
        fault for fault in Fault if fault.target not in {"broker", "consumer"}
    }
    assert all(1.0 <= strike.at_s <= 19.0 and strike.lasts_s <= 14.0 for strike in kafka + direct)
    for number in range(MANY):
        times = [strike.at_s for strike in plan(1, number, Form.KAFKA, 20)]
        assert times == sorted(times)


def test_clocks_go_as_far_as_their_name_says() -> None:
    """Within what the store takes, both ways; or beyond it, ahead. There are rounds in which no clock moves."""
    rounds = [plan(1, number, Form.DIRECT, 20) for number in range(MANY)]
    moves = [strike.amount for strikes in rounds for strike in strikes if strike.fault is Fault.MOVE_CLOCK]
    assert min(moves) < 0 < max(moves)
    assert all(5 <= abs(amount) <= 240 for amount in moves)
    assert all(strike.amount >= 400 for strikes in rounds for strike in strikes if strike.fault is Fault.RUN_AHEAD)
    assert any(not {strike.fault for strike in strikes} & CLOCK for strikes in rounds)


def test_what_a_machine_cannot_do_is_left_out() -> None:
    """No disk of its own, no compiler for the clock."""
    faults = {
        strike.fault for number in range(MANY) for strike in plan(1, number, Form.KAFKA, 20, disk=False, clock=False)
    }
    assert faults == set(Fault) - CLOCK - {Fault.FILL_DISK}
