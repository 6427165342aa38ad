"""When an address is left alone and when it is tried again, by the clock of the test."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from gateway.forward.breaker import Circuit, State
from gateway.sources import BreakerSource

RULES = BreakerSource(failures=3, open_s=2.0, open_max_s=7.0)


def _opened(circuit: Circuit, kind: str = "connect", now: float = 0.0) -> bool:
    """Three failures in a row; whether the last opened it."""
    return [circuit.failed(circuit.marks, now, kind) for _ in range(3)][-1]


def test_failures_in_a_row_open_it_and_one_good_answer_in_between_does_not_let_them() -> None:
    """The third of three; a good one begins the count anew."""
    circuit = Circuit(RULES)
    for _ in range(2):
        assert not circuit.failed(circuit.marks, 0.0, "connect")
    assert not circuit.good()
    for _ in range(2):
        assert not circuit.failed(circuit.marks, 0.0, "connect")
    assert (circuit.state, circuit.admits(0.0)) == (State.CLOSED, True)
    assert circuit.failed(circuit.marks, 1.0, "timeout")
    assert (circuit.state, circuit.kind, circuit.until) == (State.OPEN, "timeout", 3.0)
    assert repr(circuit) == "<Circuit open, 3 failures>"


def test_a_failure_of_an_exchange_that_others_have_overtaken_says_nothing() -> None:
    """Slow requests of one caller time out together, long after others were served: no row of failures."""
    circuit = Circuit(RULES)
    begun = circuit.marks
    circuit.marks += 1  # as a connection does for a good answer without trouble
    assert [circuit.failed(begun, 60.0, "timeout") for _ in range(9)] == [False] * 9
    assert (circuit.failures, circuit.state) == (0, State.CLOSED)


def test_one_probe_goes_out_when_the_time_is_over_and_closes_it() -> None:
    """Nobody else may meanwhile."""
    circuit = Circuit(RULES)
    assert _opened(circuit)
    assert not circuit.admits(1.9)
    assert circuit.admits(2.0)
    circuit.probe(2.0)
    assert (circuit.state, circuit.admits(3.9)) == (State.HALF_OPEN, False)
    assert circuit.good()
    assert (circuit.state, circuit.failures, circuit.admits(3.9)) == (State.CLOSED, 0, True)


def test_each_probe_that_fails_doubles_the_time_up_to_the_most() -> None:
    """2, 4, 7 and 7 seconds; after a good answer it begins with 2 again."""
    circuit = Circuit(RULES)
    assert _opened(circuit)
    waits, now = [circuit.until], circuit.until
    for _ in range(30):
        circuit.probe(now)
        assert circuit.failed(circuit.marks, now, "connect")
        waits.append(circuit.until - now)
        now = circuit.until
    assert waits == [2.0, 4.0] + [7.0] * 29
    circuit.good()
    assert _opened(circuit, now=0.0)
    assert circuit.until == 2.0


def test_a_probe_whose_client_left_gives_its_turn_to_the_next_request() -> None:
    """One of before it does not."""
    circuit = Circuit(RULES)
    before = circuit.marks
    assert _opened(circuit)
    circuit.probe(2.0)
    circuit.withdrawn(before)
    assert not circuit.admits(2.1)
    circuit.withdrawn(circuit.marks)
    assert circuit.admits(2.1)
    circuit.good()
    circuit.withdrawn(circuit.marks)
    assert circuit.state is State.CLOSED


def test_a_probe_that_takes_for_ever_is_not_waited_for() -> None:
    """After `open_s` another may go; the first of the two to fail decides, the second changes nothing."""
    circuit = Circuit(RULES)
    assert _opened(circuit)
    circuit.probe(2.0)
    seen = circuit.marks
    assert circuit.admits(4.0)
    circuit.probe(4.0)
    assert circuit.failed(seen, 5.0, "timeout")
    assert not circuit.failed(seen, 6.0, "timeout")
    assert circuit.until == 9.0


def test_who_answers_badly_answers() -> None:
    """A status or nonsense, and not silence; asked while open, it is not opened again."""
    for kind, answers in (("status", True), ("invalid", True), ("connect", False), ("timeout", False), ("tls", False)):
        circuit = Circuit(RULES)
        assert not circuit.answers
        assert _opened(circuit, kind)
        assert circuit.answers is answers
        until = circuit.until
        assert not circuit.failed(circuit.marks, 1.0, "connect")
        assert (circuit.until, circuit.failed_at, circuit.answers) == (until, 1.0, False)


def test_it_can_be_switched_off() -> None:
    """With 0 failures nothing ever opens it."""
    circuit = Circuit(BreakerSource(failures=0))
    assert not any(circuit.failed(circuit.marks, 0.0, "connect") for _ in range(1000))
    assert circuit.state is State.CLOSED


class CircuitMachine(RuleBasedStateMachine):
    """Any order of exchanges that begin, end well, fail, or are left."""

    def __init__(self) -> None:
        super().__init__()
        self.circuit = Circuit(RULES)
        self.now = 0.0
        self.out: list[int] = []

    @rule(seconds=st.sampled_from([0.1, 2.0, 8.0]))
    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds

    @rule()
    def begin(self) -> None:
        """Send a request if it is let through."""
        circuit = self.circuit
        if circuit.state is State.CLOSED:
            self.out.append(circuit.marks)
        elif circuit.admits(self.now):
            circuit.probe(self.now)
            assert not circuit.admits(self.now)
            self.out.append(circuit.marks)

    @rule(which=st.integers(0, 99), how=st.sampled_from(["good", "fail", "leave"]))
    def end(self, which: int, how: str) -> None:
        """End one of those that are out."""
        if not self.out:
            return
        seen = self.out.pop(which % len(self.out))
        before = self.circuit.state
        if how == "good":
            assert self.circuit.good() is (before is not State.CLOSED)
        elif how == "leave":
            self.circuit.withdrawn(seen)
        elif self.circuit.failed(seen, self.now, "closed"):
            assert self.circuit.state is State.OPEN
            assert not self.circuit.admits(self.now)

    @invariant()
    def never_shut_for_longer_than_it_may(self) -> None:
        """Whatever happened, at the latest after the longest time a request is let through."""
        assert self.circuit.admits(self.now + 7.0)
        assert self.circuit.state is not State.CLOSED or self.circuit.failures < 3


CircuitMachine.TestCase.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)
TestCircuit = CircuitMachine.TestCase
