"""`complete_through`, as the store answers it: against a model under random interleavings, and case by case."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from audit.keeper.completeness import completeness_job
from audit.keeper.jobs import Keeper, opened
from audit.keeper.retire import openings, retire
from audit.metrics import CompletenessMetrics
from audit.spool.epoch import OPENINGS
from audit.store import Store
from tests.builders.aged import ask, now_ms
from tests.servers.postgres import Logins

PRODUCERS = ("a", "b", "c")
LANES = 2


@pytest.fixture
async def store(migrated_database: Logins) -> AsyncIterator[Store]:
    """A writer."""
    made = Store(migrated_database.writer)
    yield made
    await made.close()


async def through(logins: Logins) -> float | None:
    """What readers are told, seconds since the epoch."""
    connection = await asyncpg.connect(logins.reader)
    try:
        answer: float | None = await connection.fetchval("SELECT extract(epoch FROM audit_complete_through())::float8")
        return answer
    finally:
        await connection.close()


async def states(logins: Logins) -> dict[str, tuple[str, bool]]:
    """Producer to its state, and whether it holds."""
    rows = await ask(logins.keeper, "SELECT producer, state, holds FROM audit_producer_states()")
    return {row["producer"]: (row["state"], row["holds"]) for row in rows}


async def test_a_folder_made_anew_does_not_answer_for_the_one_that_was_lost(
    migrated_database: Logins, store: Store
) -> None:
    """The same name on an empty disk is another life: what the first left undelivered still holds readers back."""
    first, second = 1000 * OPENINGS + 3, 2000 * OPENINGS + 1
    await store.report([("p", first, -1, 1, 5_000, False)])
    await store.report([("p", second, -1, 1, 9_000, False)])
    assert await through(migrated_database) == 5
    await store.report([("p", first + 1, -1, 1, 8_000, False)])  # its own successor answers for it
    assert await through(migrated_database) == 8
    await store.report([("p", first + 1, -1, 1, 8_000, True)])
    assert await through(migrated_database) == 9


async def test_a_clock_in_2030_pushes_nobody_and_poisons_nothing(migrated_database: Logins, store: Store) -> None:
    """Its watermark is not believed, the others' go on, and when its clock is right again it counts again."""
    future_ms = now_ms() + 4 * 365 * 86_400_000
    await store.report([("good", 1, -1, 1, 5_000, False), ("bad", 1, -1, 1, future_ms, False)])
    assert await through(migrated_database) == 5
    assert (await states(migrated_database))["bad"] == ("ahead", False)
    await store.report([("good", 1, -1, 1, 9_000, False), ("bad", 1, -1, 1, future_ms + 1000, False)])
    assert await through(migrated_database) == 9
    await store.report([("bad", 1, -1, 1, 9_500, False), ("good", 1, -1, 1, 20_000, False)])
    assert (await states(migrated_database))["bad"] == ("reporting", True)
    assert await through(migrated_database) == 9.5
    await store.report([("bad", 1, -1, 1, future_ms, True)])
    assert await through(migrated_database) == 20


async def test_alone_in_2030_it_moves_nothing(migrated_database: Logins, store: Store) -> None:
    """Not even where there is nobody else."""
    await store.report([("bad", 1, -1, 1, now_ms() + 10**11, False)])
    assert await through(migrated_database) == 0


async def test_a_clock_a_little_ahead_is_held_to_the_stores(migrated_database: Logins, store: Store) -> None:
    """Nothing is complete beyond now."""
    await store.report([("p", 1, -1, 1, now_ms() + 60_000, False)])
    answer = await through(migrated_database)
    assert answer is not None
    assert answer <= time.time()


async def test_the_writer_cannot_move_it_by_hand(migrated_database: Logins) -> None:
    """It reports and no more."""
    connection = await asyncpg.connect(migrated_database.writer)
    for attempt in (
        "UPDATE audit_producers SET watermark = now()",
        "INSERT INTO audit_producers (producer_id, producer_epoch, lane, watermark) VALUES ('x', 1, 1, now())",
        "UPDATE audit_completeness SET through = now()",
        "SELECT * FROM audit_holds()",
        "SELECT audit_retire('a', 1, NULL)",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(attempt)
    await connection.close()


@pytest.mark.parametrize("at_ms", [float("-inf"), float("nan"), float("inf"), 1e17])
async def test_what_is_no_time_is_shown_and_can_be_given_up(migrated_database: Logins, at_ms: float) -> None:
    """Whoever reports it, `lychgate audit producers` shows it and `spool retire` ends it."""
    await ask(migrated_database.writer, "SELECT audit_report('a', 1, -1, 1, $1, false)", at_ms)
    async with opened(migrated_database.keeper) as connection:
        [row] = await connection.fetch("SELECT watermark, claimed FROM audit_producer_states()")
        assert all(1970 <= value.year <= 9999 for value in row.values())
        [opening] = await openings(connection, "a")
        assert await retire(connection, "a", opening, by="ada", force=True)


async def test_who_is_silent_is_seen(migrated_database: Logins, store: Store) -> None:
    """The keeper's numbers: how far, and how many producers in which state."""
    await store.report([("a", 1, -1, 1, 5_000, False), ("b", 1, -1, 1, 9_000, False), ("c", 1, -1, 1, 9_000, True)])
    await ask(
        migrated_database.owner,
        "UPDATE audit_producers SET reported_at = now() - interval '1 hour' WHERE producer_id = 'a' RETURNING 1",
    )
    assert await states(migrated_database) == {
        "a": ("silent", True), "b": ("reporting", False), "c": ("ended", False),
    }  # fmt: skip
    registry = CollectorRegistry()
    keeper = Keeper(migrated_database.keeper, [completeness_job(CompletenessMetrics(registry))])
    assert await keeper.once("completeness")
    assert registry.get_sample_value("audit_watermark_timestamp_seconds") == 5
    counted = {
        state: registry.get_sample_value("audit_producers", {"state": state})
        for state in ("reporting", "silent", "ahead", "retired", "ended")
    }
    assert counted == {"reporting": 1, "silent": 1, "ahead": 0, "retired": 0, "ended": 1}


@dataclass
class Spool:
    """A producer's disk.

    Attributes:
        epoch: The opening that writes, or wrote last.
        alive: Whether somebody writes.
        here: Whether its relay reaches the sink.
        records: What is written and not delivered: when it was minted, and in which opening.
        ended: Whether the opening has its end mark.
        floor: Everything minted before is on the disk.
    """

    epoch: int = 1
    alive: bool = True
    here: bool = True
    records: list[tuple[int, int]] = field(default_factory=list)
    ended: bool = False
    floor: int = 0


class World:
    """What really happens: spools, and a topic whose lanes keep their order. The store knows only what it is told."""

    def __init__(self) -> None:
        self.clock = 1
        self.spools = {name: Spool() for name in PRODUCERS}
        self.lanes: list[list[tuple[str, int, int, bool | None]]] = [[] for _ in range(LANES)]
        self.lost: set[tuple[str, int]] = set()
        for name in PRODUCERS:
            self._mark(name)

    def step(self, operation: str, name: str, lane: int) -> None:  # noqa: C901 - a line for each thing that happens
        """Something happens."""
        self.clock += 1
        spool = self.spools[name]
        if operation == "mint" and spool.alive:
            spool.records.append((self.clock, spool.epoch))
        elif operation == "kill":
            spool.alive = False
        elif operation == "end" and spool.alive:
            spool.alive, spool.ended = False, True
        elif operation == "start" and not spool.alive:  # adopts: the next opening answers for what is on the disk
            spool.epoch, spool.alive, spool.ended = spool.epoch + 1, True, False
            if not spool.records and spool.here:
                self._mark(name)  # known before anybody's later mark
        elif operation == "away":
            spool.here = False
        elif operation == "back":
            spool.here = True
        elif operation == "relay" and spool.here:
            for minted, epoch in spool.records[:2]:
                self.lanes[lane].append((name, minted, epoch, None))
            del spool.records[:2]
            if not spool.records:
                self._mark(name)

    def _mark(self, name: str) -> None:
        spool = self.spools[name]
        if spool.alive:
            spool.floor = self.clock
        for lane in self.lanes:
            lane.append((name, spool.floor, spool.epoch, spool.ended))


OPERATIONS = st.lists(
    st.tuples(
        st.sampled_from(
            ["mint"] * 4 + ["relay"] * 6 + ["consume"] * 6 + ["kill", "start", "end", "away", "back", "back", "retire"]
        ),
        st.sampled_from(PRODUCERS),
        st.integers(0, LANES - 1),
    ),
    min_size=20,
    max_size=80,
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(OPERATIONS)
def test_nothing_appears_below_what_was_answered(
    migrated_database: Logins, operations: list[tuple[str, str, int]]
) -> None:
    """However spools, openings, lanes, kills and absences are interleaved; but for openings that were declared lost."""
    asyncio.run(_interleave(migrated_database, operations))


async def _interleave(logins: Logins, operations: list[tuple[str, str, int]]) -> None:
    owner = await asyncpg.connect(logins.owner)
    await owner.execute("TRUNCATE audit_producers; UPDATE audit_completeness SET through = NULL")
    store = Store(logins.writer)
    world = World()
    answered = 0.0
    async with opened(logins.keeper) as keeper:
        for operation, name, lane in operations:
            world.step(operation, name, lane)
            spool = world.spools[name]
            if operation == "retire" and not spool.alive:
                if await keeper.fetchval("SELECT audit_retire($1, $2, NULL)", name, spool.epoch):
                    world.lost.add((name, spool.epoch))
                    await keeper.execute("SELECT audit_advance()")
            elif operation == "consume" and world.lanes[lane]:
                who, at, epoch, ended = world.lanes[lane].pop(0)
                if ended is None:
                    assert at >= answered or (who, epoch) in world.lost, (who, at, epoch, answered)
                else:
                    await store.report([(who, epoch, lane, LANES, at * 1000, ended)])
            now = await keeper.fetchval("SELECT extract(epoch FROM audit_complete_through())::float8") or 0.0
            assert now >= answered, "what was answered once stays true"
            answered = now
    await store.close()
    await owner.close()
