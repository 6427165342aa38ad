"""Which connection carries a request: least loaded, in turn, the freshest first, the sick left alone."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gateway.forward.breaker import State
from gateway.forward.pool import Place, Pool
from gateway.sources import BreakerSource

RULES = BreakerSource(failures=1, open_s=2.0)


class Conn:
    """What a pool keeps."""

    def __init__(self, name: str = "") -> None:
        self.name = name
        self.until = 0.0


def _pool(*addresses: str, limit: int = 4, idle_s: float = 30.0) -> Pool[Conn]:
    return Pool(addresses, limit, idle_s, RULES)


def _choose(pool: Pool[Conn], now: float = 0.0, avoid: Place[Conn] | None = None) -> Place[Conn]:
    found = pool.choose(now, avoid)
    assert found is not None
    return found


def _fail(place: Place[Conn], kind: str = "connect", now: float = 0.0) -> None:
    assert place.circuit.failed(place.circuit.marks, now, kind)


def test_addresses_take_turns_and_the_least_loaded_is_chosen() -> None:
    """Two equal ones alternate; one that is busy is left out until the other is as busy."""
    pool = _pool("a:1", "b:1")
    first, second = _choose(pool), _choose(pool)
    assert {first.address, second.address} == {"a:1", "b:1"}
    a, b = pool.places
    for place in (a, b, b, a):
        place.busy -= 1
        assert _choose(pool) is place
    assert repr(pool) == "<Pool a:1, b:1: 2 busy, 0 idle>"


def test_turns_are_fair_among_equals() -> None:
    """No address is the first of every round."""
    pool = _pool("a:1", "b:1", "c:1")
    seen = []
    for _ in range(9):
        place = _choose(pool)
        place.busy -= 1
        seen.append(place.address)
    assert sorted(seen) == sorted(pool.addresses * 3)


def test_the_connection_used_last_is_used_first() -> None:
    """So that those nobody needs grow old."""
    pool = _pool("a:1")
    [place] = pool.places
    one, two = Conn(), Conn()
    assert pool.keep(place, one, 1.0) is None
    assert pool.keep(place, two, 2.0) is None
    assert [pool.lend(place, 3.0) for _ in range(3)] == [two, one, None]


def test_what_is_unused_for_too_long_is_handed_out_to_be_closed_and_never_to_be_used() -> None:
    """At its time to the tick."""
    pool = _pool("a:1", "b:1")
    a, b = pool.places
    old, young, other = Conn(), Conn(), Conn()
    pool.keep(a, old, 0.0)
    pool.keep(a, young, 1.0)
    pool.keep(b, other, 0.0)
    assert pool.expired(29.9) == []
    assert pool.expired(30.0) == [old, other]
    assert pool.expired(30.0) == []
    assert pool.lend(a, 31.0) is None
    assert pool.expired(31.0) == [young]


def test_more_than_enough_is_not_kept() -> None:
    """The oldest goes; with a limit of none, nothing is kept."""
    pool = _pool("a:1", limit=2)
    [place] = pool.places
    x, y, z = Conn(), Conn(), Conn()
    assert [pool.keep(place, conn, 0.0) for conn in (x, y, z)] == [None, None, x]
    none = _pool("a:1", limit=0)
    assert none.keep(none.places[0], x, 0.0) is x


def test_an_open_circuit_is_left_out_and_its_first_request_afterwards_is_the_probe() -> None:
    """Before any other address, or a busy fleet would never find out that it is well again."""
    pool = _pool("a:1", "b:1")
    a, b = pool.places
    _fail(a)
    assert repr(pool).endswith("1 shut>")
    assert [_choose(pool, 1.9) for _ in range(3)] == [b, b, b]
    assert _choose(pool, 2.0) is a
    assert a.circuit.state is State.HALF_OPEN
    assert _choose(pool, 2.0) is b, "one probe, not two"
    a.circuit.good()
    assert _choose(pool, 2.0) is a, "the less loaded"


def test_where_no_address_answers_none_is_chosen_and_of_those_that_do_the_one_that_failed_longest_ago() -> None:
    """Silence costs every caller a deadline; a bad answer costs nothing and is the service's own."""
    pool = _pool("a:1", "b:1", "c:1")
    a, b, c = pool.places
    for place in (a, b, c):
        _fail(place)
    assert pool.choose(1.0) is None
    _fail_again = [(b, "status", 1.5), (c, "invalid", 1.2)]
    for place, kind, now in _fail_again:
        place.circuit.failed(place.circuit.marks, now, kind)
    assert _choose(pool, 1.6) is c
    assert _choose(pool, 1.6, avoid=c) is b
    assert a.busy == 0


def test_an_only_address_with_an_open_circuit_is_as_any_other() -> None:
    """Refused, asked because it answers, or probed."""
    pool = _pool("a:1")
    [a] = pool.places
    assert pool.choose(0.0, avoid=a) is None
    _fail(a)
    assert pool.choose(1.0) is None
    a.circuit.failed(a.circuit.marks, 1.0, "status")
    assert _choose(pool, 1.0) is a
    assert a.circuit.state is State.OPEN
    assert _choose(pool, 2.0) is a
    assert a.circuit.state is State.HALF_OPEN


def test_another_address_is_another() -> None:
    """Asked to avoid one, the pool never gives it; nor any that is open."""
    pool = _pool("a:1", "b:1")
    a, b = pool.places
    assert {_choose(pool, 0.0, avoid=a) for _ in range(5)} == {b}
    _fail(b)
    assert pool.choose(0.0, avoid=a) is None


def test_without_addresses_there_is_nothing_to_choose() -> None:
    """Not an error of its own."""
    assert _pool().choose(0.0) is None


def test_new_addresses_keep_what_is_known_of_the_old() -> None:
    """Connections, load and circuit; of those that are gone the connections come back to be closed."""
    pool = _pool("a:1", "b:1")
    a, b = pool.places
    kept, lost = Conn(), Conn()
    pool.keep(a, kept, 0.0)
    pool.keep(b, lost, 0.0)
    _fail(a)
    new = _pool("c:1", "a:1")
    assert new.adopt(pool) == [lost]
    assert [place.address for place in new.places] == ["c:1", "a:1"]
    assert new.places[1] is a
    assert (a.dropped, b.dropped) == (False, True)
    assert new.drop() == [kept]
    assert a.dropped
    assert new.drain() == []


class PoolMachine(RuleBasedStateMachine):
    """Any order of taking, giving back, closing, failing and waiting."""

    def __init__(self) -> None:
        super().__init__()
        self.pool: Pool[Conn] = Pool(("a:1", "b:1", "c:1"), 2, 5.0, RULES)
        self.now = 0.0
        self.out: list[tuple[Place[Conn], Conn]] = []
        self.idle: dict[Conn, Place[Conn]] = {}

    @rule()
    def take(self) -> None:
        """Take an address: the least loaded of the well ones, or one to be tried again."""
        well = [place.busy for place in self.pool.places if place.circuit.state is State.CLOSED]
        due = [p for p in self.pool.places if p.circuit.state is not State.CLOSED and p.circuit.admits(self.now)]
        place = self.pool.choose(self.now)
        if place is None:
            assert not well
            assert not due
            return
        assert place in due if due else place.busy - 1 == min(well)
        conn = self.pool.lend(place, self.now)
        if conn is None:
            assert not [each for each, at in self.idle.items() if at is place and each.until > self.now]
            conn = Conn()
        else:
            assert self.idle.pop(conn) is place
            assert conn.until > self.now
        self.out.append((place, conn))

    @precondition(lambda self: self.out)
    @rule(data=st.data(), how=st.sampled_from(["kept", "closed", "failed"]))
    def give_back(self, data: st.DataObject, how: str) -> None:
        """Give one back, to be kept or not, or as a failure."""
        place, conn = self.out.pop(data.draw(st.integers(0, len(self.out) - 1)))
        place.busy -= 1
        if how == "kept":
            place.circuit.good()
            surplus = self.pool.keep(place, conn, self.now)
            self.idle[conn] = place
            if surplus is not None:
                assert self.idle.pop(surplus) is place
        elif how == "failed":
            place.circuit.failed(place.circuit.marks, self.now, "connect")

    @rule(seconds=st.sampled_from([0.5, 3.0, 6.0]), sweep=st.booleans())
    def wait(self, seconds: float, sweep: bool) -> None:
        """Let time pass, and perhaps sweep."""
        self.now += seconds
        if sweep:
            for old in self.pool.expired(self.now):
                del self.idle[old]
                assert old.until <= self.now
            assert all(conn.until > self.now for conn in self.idle)

    @invariant()
    def counts_are_right(self) -> None:
        """What is busy and idle is what was taken and given back, and never more than is allowed."""
        assert f": {len(self.out)} busy, {len(self.idle)} idle" in repr(self.pool)
        assert all(len(place.kept) <= 2 for place in self.pool.places)


PoolMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestPool = PoolMachine.TestCase
