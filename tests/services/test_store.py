"""The store: a tenant's data and nothing else's."""

import asyncio

import pytest

from services.errors import NotFound
from services.records import MovementKind, Stock, StockMovement
from services.store import KEPT_MOVEMENTS, MovementLog, Store, Table
from tests.builders.patience import PATIENCE_S
from tests.builders.retail import NOON


def make_movement(number: int, sku: str = "ACM-TUBE-28") -> StockMovement:
    """One of many."""
    return StockMovement(
        id=f"m-{number}",
        sku=sku,
        kind=MovementKind.RECEIVED,
        quantity=number,
        reason=None,
        moved_at=NOON,
        moved_by="u-1",
    )


def test_what_one_tenant_has_no_other_finds() -> None:
    """The same id in two tenants is two things, or one thing and nothing."""
    store = Store()
    store.tenant("acme").stock.put(Stock(sku="ABC-1", shelf=1, backroom=0))
    assert store.tenant("acme").stock.get("ABC-1").shelf == 1
    with pytest.raises(NotFound):
        store.tenant("globex").stock.get("ABC-1")


def test_a_table_replaces_and_forgets_by_key() -> None:
    """Putting twice keeps the newer one in its place; what is removed is gone, also when removed twice."""
    table: Table[Stock] = Table("stock", lambda row: row.sku)
    for sku, shelf in (("ABC-1", 1), ("ABC-2", 2), ("ABC-1", 3)):
        table.put(Stock(sku=sku, shelf=shelf, backroom=0))
    assert [(row.sku, row.shelf) for row in table.all()] == [("ABC-1", 3), ("ABC-2", 2)]
    assert table.first(lambda row: row.shelf == 2).sku == "ABC-2"
    for _ in range(2):
        table.remove(Stock(sku="ABC-1", shelf=0, backroom=0))
    assert table.find("ABC-1") is None
    with pytest.raises(NotFound):
        table.first(lambda row: row.shelf == 3)


async def test_a_log_is_followed_from_now_on() -> None:
    """A reader sees what comes after it began, in order and once, and a sign of life when nothing comes."""
    log = MovementLog()
    log.append(make_movement(0))
    following = log.follow(pause_s=0.01)
    assert await anext(following) is None
    for number in (1, 2, 3):
        log.append(make_movement(number))
    seen = [await anext(following) for _ in range(3)]
    assert [movement.id for movement in seen if movement] == ["m-1", "m-2", "m-3"]
    assert await anext(following) is None


async def test_a_waiting_reader_is_woken() -> None:
    """A movement reaches a reader at once, long before the pause is over; every reader gets it."""
    log = MovementLog()
    readers = [log.follow(pause_s=60) for _ in range(3)]
    async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as tasks:
        waiting = [tasks.create_task(anext(reader)) for reader in readers]  # type: ignore[arg-type]
        await asyncio.sleep(0)
        log.append(make_movement(1))
    assert [task.result().id for task in waiting if task.result()] == ["m-1"] * 3


async def test_a_slow_reader_misses_the_oldest_and_costs_no_memory() -> None:
    """What is kept is bounded, however slowly somebody reads."""
    log = MovementLog()
    following = log.follow(pause_s=0.01)
    assert await anext(following) is None
    for number in range(KEPT_MOVEMENTS + 5):
        log.append(make_movement(number))
    first = await anext(following)
    assert first is not None
    assert first.id == "m-5"
    assert len(log.of("ACM-TUBE-28")) == KEPT_MOVEMENTS
