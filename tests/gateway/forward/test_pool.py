"""Which connection carries a request: least loaded, in turn, the freshest first, and the old ones closed."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gateway.forward.pool import Pool


def test_addresses_take_turns_and_the_least_loaded_is_chosen() -> None:
    """Two equal ones alternate; one that is busy is left out until the other is as busy."""
    pool: Pool[str] = Pool(("a:1", "b:1"), 4, 30.0)
    first, _, _ = pool.choose(0.0)
    second, _, _ = pool.choose(0.0)
    assert {first, second} == {"a:1", "b:1"}
    for address in ("a:1", "b:1", "b:1", "a:1"):
        pool.release(address)
        assert pool.choose(0.0)[0] == address
    assert repr(pool) == "<Pool a:1, b:1: 2 busy, 0 idle>"


def test_turns_are_fair_among_equals() -> None:
    """No address is the first of every round."""
    pool: Pool[str] = Pool(("a:1", "b:1", "c:1"), 4, 30.0)
    seen = []
    for _ in range(9):
        address, _, _ = pool.choose(0.0)
        pool.release(address)
        seen.append(address)
    assert sorted(seen) == sorted(pool.addresses * 3)


def test_the_connection_used_last_is_used_first() -> None:
    """So that those nobody needs grow old."""
    pool: Pool[str] = Pool(("a:1",), 4, 30.0)
    for name, now in (("one", 1.0), ("two", 2.0)):
        assert pool.keep("a:1", name, now) is None
    assert pool.choose(3.0) == ("a:1", "two", [])
    assert pool.choose(3.0) == ("a:1", "one", [])
    assert pool.choose(3.0) == ("a:1", None, [])


def test_what_is_unused_for_too_long_is_handed_out_to_be_closed_and_never_to_be_used() -> None:
    """At its time to the tick, by a choice as by a sweep."""
    pool: Pool[str] = Pool(("a:1", "b:1"), 4, 30.0)
    pool.keep("a:1", "old", 0.0)
    pool.keep("a:1", "young", 1.0)
    pool.keep("b:1", "other", 0.0)
    assert pool.expired(29.9) == []
    assert sorted(pool.expired(30.0)) == ["old", "other"]
    assert pool.expired(30.0) == []
    chosen = [pool.choose(31.0) for _ in range(2)]
    assert sorted(chosen) == [("a:1", None, ["young"]), ("b:1", None, [])]


def test_more_than_enough_is_not_kept() -> None:
    """The oldest goes; with a limit of none, nothing is kept, nor for an address nobody has."""
    pool: Pool[str] = Pool(("a:1",), 2, 30.0)
    assert [pool.keep("a:1", name, 0.0) for name in "xyz"] == [None, None, "x"]
    assert pool.keep("gone:1", "lost", 0.0) == "lost"
    assert Pool[str](("a:1",), 0, 30.0).keep("a:1", "x", 0.0) == "x"


def test_a_connection_that_is_gone_is_forgotten() -> None:
    """That one and no other; asking about a stranger changes nothing."""
    pool: Pool[str] = Pool(("a:1",), 4, 30.0)
    for name in ("one", "two"):
        pool.keep("a:1", name, 0.0)
    pool.forget("a:1", "one")
    pool.forget("a:1", "three")
    pool.forget("gone:1", "one")
    assert pool.drain() == ["two"]
    assert pool.drain() == []


class PoolMachine(RuleBasedStateMachine):
    """Any order of taking, giving back, closing and waiting."""

    def __init__(self) -> None:
        super().__init__()
        self.pool: Pool[int] = Pool(("a:1", "b:1", "c:1"), 2, 5.0)
        self.now = 0.0
        self.made = 0
        self.out: list[tuple[str, int]] = []
        self.idle: dict[int, tuple[str, float]] = {}

    @rule()
    def take(self) -> None:
        """Take the least loaded address."""
        load = {address: sum(at == address for at, _ in self.out) for address in self.pool.addresses}
        address, conn, old = self.pool.choose(self.now)
        assert load[address] == min(load.values())
        for each in old:
            assert self.idle.pop(each)[1] <= self.now
        if conn is None:
            assert not [name for name, (at, _) in self.idle.items() if at == address]
            self.made += 1
            conn = self.made
        else:
            at, until = self.idle.pop(conn)
            assert (at, until > self.now) == (address, True)
        self.out.append((address, conn))

    @precondition(lambda self: self.out)
    @rule(data=st.data(), reusable=st.booleans())
    def give_back(self, data: st.DataObject, reusable: bool) -> None:
        """Give one back, to be kept or not."""
        address, conn = self.out.pop(data.draw(st.integers(0, len(self.out) - 1)))
        self.pool.release(address)
        if reusable:
            surplus = self.pool.keep(address, conn, self.now)
            self.idle[conn] = (address, self.now + 5.0)
            if surplus is not None:
                assert self.idle.pop(surplus)[0] == address

    @rule(seconds=st.sampled_from([0.5, 3.0, 6.0]), sweep=st.booleans())
    def wait(self, seconds: float, sweep: bool) -> None:
        """Let time pass, and perhaps sweep."""
        self.now += seconds
        if sweep:
            assert {self.idle.pop(each)[1] <= self.now for each in self.pool.expired(self.now)} <= {True}
            assert all(until > self.now for _, until in self.idle.values())

    @invariant()
    def counts_are_right(self) -> None:
        """What is busy and idle is what was taken and given back, and never more than is allowed."""
        assert repr(self.pool).endswith(f": {len(self.out)} busy, {len(self.idle)} idle>")
        assert all(sum(at == address for at, _ in self.idle.values()) <= 2 for address in self.pool.addresses)


PoolMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestPool = PoolMachine.TestCase
