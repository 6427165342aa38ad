"""What is left of old snapshots goes little by little, and all of it."""

import gc
import time
import weakref
from collections.abc import Callable, Iterator

import pytest

from gateway.serve.leavings import Leavings
from gateway.snapshot import Snapshot, build_snapshot
from policies.model import Answer, Effect
from tests.builders import plane
from tests.builders.house import House

_ENTRIES = 50_000
_LONGEST_S = 0.002


@pytest.fixture(autouse=True)
def _uncollected() -> Iterator[None]:
    """Without the collector: what is freed is freed by being let go of."""
    gc.disable()
    yield
    gc.enable()


def _full() -> Snapshot:
    snapshot = build_snapshot(plane.sources(9))
    for number in range(_ENTRIES):
        answer = Answer(Effect.ALLOW, (f"order.{number}",))
        snapshot.decisions.memory[number.to_bytes(300, "big")] = answer
        snapshot.contexts.memory[number.to_bytes(32, "big"), "acme", "order"] = ("x" * 700 + str(number), 1.0)
    return snapshot


def _cpu_s(work: Callable[[], object]) -> float:
    before = time.thread_time()
    work()
    return time.thread_time() - before


def test_a_full_memory_is_freed_in_slices() -> None:
    """None of them takes two milliseconds, where all at once take more; in the end nothing is left."""
    at_once, slices = [], []
    for _ in range(3):
        at_once.append(_freed_at_once_s())
        snapshot = _full()
        gone = weakref.ref(snapshot)
        leavings = Leavings()
        leavings.add(snapshot)
        del snapshot
        assert gone() is None, "a snapshot holds itself"
        worst = 0.0
        while leavings:
            worst = max(worst, _cpu_s(leavings.free))
        slices.append(worst)
        assert repr(leavings) == "Leavings(0 to free, 0 still used)"
    assert min(slices) < _LONGEST_S < min(at_once)


def _freed_at_once_s() -> float:
    kept = [_full()]
    return _cpu_s(kept.clear)


def test_a_snapshot_in_use_answers_on() -> None:
    """Its memory goes at once, what it is made of when its last request is over."""
    leavings = Leavings()
    snapshot = build_snapshot(plane.sources(9))
    snapshot.decisions.memory[b"x"] = Answer(Effect.ALLOW, ("order.x",))
    leavings.add(snapshot)
    while leavings.free():
        pass
    assert not snapshot.decisions.memory
    assert len(snapshot.bundle.policies) > 0
    assert repr(leavings) == "Leavings(0 to free, 1 still used)"
    del snapshot
    while leavings.free():
        pass
    assert not leavings


def test_a_server_that_takes_a_new_snapshot_frees_the_old_one() -> None:
    """With what was remembered of heads; the swap itself holds nobody."""
    house = House()
    old = _full()
    house.server.install(old)
    for number in range(4096):
        rulings = {str(shape): [number] for shape in range(64)}  # as large as they get
        house.server.recall._callers[number.to_bytes(32, "big")] = rulings  # type: ignore[assignment]
    gone = weakref.ref(old)
    del old
    new = build_snapshot(plane.sources(9))
    assert _cpu_s(lambda: house.server.install(new)) < _LONGEST_S
    assert house.server.leavings
    for _ in range(5_000):
        house.loop.now += 0.01
        house.loop.settle()
        house.server.tick()
        if gone() is None and repr(house.server.leavings).startswith("Leavings(0 to free"):
            break
    assert gone() is None
    assert repr(house.server.leavings) == "Leavings(0 to free, 1 still used)"  # the house's own, kept for other tests
