"""The desk: whose data, and that a change waits for its record."""

import asyncio

import pytest
from starlette.requests import Request

from audit.event import Outcome
from audit.registry.types.order import OrderCancelled, OrdersExported, OrderUpdated
from services.desk import Desk
from services.errors import Conflict
from tests.builders.patience import PATIENCE_S
from tests.builders.retail import Retail


async def make_desk(retail: Retail, tenant: str = "acme") -> Desk:
    """The desk of a request that has been verified."""
    token = retail.context("order", "GET", "/orders", tenant=tenant)
    backend = retail.app("order").state.backend
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/orders",
        "raw_path": b"/orders",
        "query_string": b"",
        "headers": [(b"x-security-context", token.encode())],
        "state": {},
    }
    context = await retail.extractor("order")(Request(scope))
    return Desk(context, retail.store.tenant(context.tenant_id), retail.clock(), backend)


async def test_a_change_is_made_after_its_record_is_safe(retail: Retail, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the record is on its way to the disk the change is not to be seen; afterwards it is."""
    desk = await make_desk(retail)
    orders = desk.data.orders
    safe: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    handed = asyncio.Event()

    def slow(event: object) -> asyncio.Future[None]:
        handed.set()
        return safe

    monkeypatch.setattr(retail.emitters["order"], "emit_durable", slow)

    async def change() -> None:
        async with desk.changing(OrderUpdated, "o-1001") as making:
            old = orders.get("o-1001")
            making.replace(orders, old, old.model_copy(update={"note": "new"}))

    async with asyncio.TaskGroup() as tasks:
        changing = tasks.create_task(change())
        await handed.wait()
        assert orders.get("o-1001").note is None
        assert desk.data.lock.locked()
        safe.set_result(None)
    assert changing.done()
    assert orders.get("o-1001").note == "new"


async def test_a_block_that_raises_changes_nothing_and_frees_the_lock(retail: Retail) -> None:
    """Whatever was staged before the refusal is dropped, and recorded as a failure."""
    desk = await make_desk(retail)

    async def change() -> None:
        async with desk.changing(OrderCancelled, "o-1001") as changing:
            changing.delete(desk.data.orders, desk.data.orders.get("o-1001"))
            raise Conflict("too_late")

    with pytest.raises(Conflict):
        await change()
    assert desk.data.orders.find("o-1001") is not None
    assert not desk.data.lock.locked()
    (event,) = await retail.events("order")
    assert (event.outcome, event.changes) == (Outcome.FAILURE, ())


async def test_a_cancelled_change_is_recorded_as_a_failure(retail: Retail) -> None:
    """A request that is given up in the middle leaves its record and no change."""
    desk = await make_desk(retail)

    async def change() -> None:
        async with desk.changing(OrderCancelled, "o-1001"):
            await asyncio.sleep(60)

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await change()
    (event,) = await retail.events("order")
    assert event.outcome is Outcome.FAILURE


async def test_tenants_do_not_wait_for_one_another(retail: Retail) -> None:
    """A change in one tenant's data holds nobody up in another's."""
    acme, globex = await make_desk(retail), await make_desk(retail, "globex")
    async with (
        acme.data.lock,
        asyncio.timeout(PATIENCE_S),
        globex.changing(OrderUpdated, "o-5001") as change,
    ):
        change.crud = "u"
    assert [event.tenant_id for event in await retail.events("order")] == ["globex"]


async def test_what_is_noted_is_recorded_under_the_caller(retail: Retail) -> None:
    """A note that changes nothing tells who, what and in which trace all the same."""
    desk = await make_desk(retail)
    await desk.noting(OrdersExported(), "*")
    (event,) = await retail.events("order")
    assert (event.crud, event.tenant_id, event.trace_id) == ("r", "acme", desk.caller.trace_id)


async def test_what_a_change_tells_stands_in_its_record(retail: Retail) -> None:
    """The fields of the event, beside the decision it rests on."""
    desk = await make_desk(retail)
    async with desk.changing(OrderCancelled, "o-1001") as change:
        change.tell(OrderCancelled(reason="late"))
        change.crud = "u"
    (event,) = await retail.events("order")
    assert event.details is not None
    assert event.details["reason"] == "late"
    assert (event.action, event.crud, event.outcome) == ("order:cancel", "u", Outcome.SUCCESS)
