"""What a service calls: the event stands or falls with the change."""

import asyncio
from typing import ClassVar

import pytest

from audit.codec import decode
from audit.errors import NoTransaction, Unattributed
from audit.event import AuditEvent, Outcome, Resource, Severity
from audit.outbox import Outbox
from audit.registry.typed import TypedEvent
from tests.builders.outbox import SCHEMA, WHO, Collecting, Shop


class Cancelled(TypedEvent):
    """A registered type."""

    event_type: ClassVar[str] = "order.order.cancelled"
    action: ClassVar[str | None] = "order:cancel"
    resource_type: ClassVar[str | None] = "Order"
    severity: ClassVar[Severity] = Severity.NOTICE
    refund_cents: int


async def events(shop: Shop) -> list[AuditEvent]:
    """What the outbox holds, as it is delivered."""
    sink = Collecting()
    relaying = shop.emptied_by(sink)
    await relaying.drain()
    await relaying.relay.close()
    return sink.events


async def test_a_transaction_that_is_rolled_back_leaves_neither(shop: Shop) -> None:
    """And one that commits leaves both."""
    async with shop.connected() as connection:

        async def fail() -> None:
            async with connection.transaction():
                await shop.outbox.emit(connection, "a.b.c", action="order:create", **WHO)
                raise KeyError

        with pytest.raises(KeyError):
            await fail()
        event_id = await shop.sell(connection, "o-1")
    [event] = await events(shop)
    assert (event.event_id, event.details, event.crud) == (event_id, {"order": "o-1"}, "c")


async def test_outside_of_a_transaction_nothing_is_written(shop: Shop) -> None:
    """Change and record would be two."""
    async with shop.connected() as connection:
        with pytest.raises(NoTransaction):
            await shop.outbox.emit(connection, "a.b.c", action="order:create", **WHO)
        async with connection.transaction():
            with pytest.raises(NoTransaction):
                async with shop.outbox.recording(connection, "a.b.c", action="order:create", **WHO):
                    raise AssertionError
    assert await shop.rows() == []


async def test_a_registered_event_says_the_rest_itself(shop: Shop) -> None:
    """Action, type of resource, severity; its fields are the details."""
    async with shop.connected() as connection, connection.transaction():
        await shop.outbox.emit(connection, Cancelled(refund_cents=5), resource_id="o-1", **WHO)
        with pytest.raises(Unattributed):
            await shop.outbox.emit(connection, Cancelled(refund_cents=5))
    [event] = await events(shop)
    assert (event.action, event.resource, event.details) == (
        "order:cancel", Resource("Order", "o-1"), {"refund_cents": 5},
    )  # fmt: skip
    assert event.severity is Severity.NOTICE
    assert event.request is not None
    assert event.request.service == "order"


async def test_a_block_is_one_transaction_and_its_failure_is_recorded_by_itself(shop: Shop) -> None:
    """Nothing of the change stays, and what was tried does."""
    async with shop.connected() as connection:
        async with shop.outbox.recording(connection, Cancelled, **WHO) as record:
            await connection.execute('INSERT INTO "shop ""front""".orders VALUES ($1)', "1")
            record.event, record.resource_id = Cancelled(refund_cents=7), "o-1"

        async def fail() -> None:
            async with shop.outbox.recording(connection, Cancelled, **WHO):
                await connection.execute('INSERT INTO "shop ""front""".orders VALUES ($1)', "2")
                raise ValueError("card 4111")

        with pytest.raises(ValueError, match="card 4111"):
            await fail()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05), shop.outbox.recording(connection, Cancelled, **WHO):
                await asyncio.sleep(60)
        assert await connection.fetchval('SELECT count(*) FROM "shop ""front""".orders') == 1
    done, failed, cancelled = await events(shop)
    assert (done.outcome, done.details) == (Outcome.SUCCESS, {"refund_cents": 7})
    assert done.latency_us is not None
    assert (failed.outcome, failed.details, failed.severity) == (
        Outcome.FAILURE, {"error": "ValueError"}, Severity.ERROR,
    )  # fmt: skip
    assert cancelled.details == {"error": "CancelledError"}


async def test_a_failure_at_the_commit_is_a_failure(shop: Shop) -> None:
    """A constraint that is looked at last undoes the event that said it was done."""
    async with shop.connected(shop.owner) as owner:
        await owner.execute(
            'ALTER TABLE "shop ""front""".orders ADD CONSTRAINT once UNIQUE (id) DEFERRABLE INITIALLY DEFERRED;'
            'ALTER TABLE "shop ""front""".orders DROP CONSTRAINT orders_pkey'
        )
    async with shop.connected() as connection:
        await shop.sell(connection, "o-1")
        with pytest.raises(Exception, match="once"):
            async with shop.outbox.recording(connection, "order.order.created", action="order:create", **WHO):
                await connection.execute('INSERT INTO "shop ""front""".orders VALUES (\'o-1\')')
    _, failed = await events(shop)
    assert (failed.outcome, failed.details) == (Outcome.FAILURE, {"error": "UniqueViolationError"})


async def test_other_drivers_get_a_statement(shop: Shop) -> None:
    """With one parameter, in either notation."""
    text, given = shop.outbox.statement("a.b.c", style="numeric", action="order:read", **WHO)
    async with shop.connected() as connection:
        event_id = await connection.fetchval(text, *given)
    [event] = await events(shop)
    assert event.event_id == str(event_id)
    odd, _ = Outbox("order", schema="100%").statement("a.b.c", action="order:read", **WHO)
    assert odd % "x" == 'INSERT INTO "100%".audit_outbox (body) VALUES (x) RETURNING event_id'
    assert SCHEMA.replace('"', '""') in text
    assert decode(b'{"event_id":"a","occurred_at":"b","producer":{"id":"c","epoch":1,"seq":1},' + given[0][1:])


async def test_what_a_block_says_wrongly_does_not_hide_its_failure(shop: Shop) -> None:
    """It is rolled back and recorded, without what it said."""
    async with shop.connected() as connection:

        async def fail() -> None:
            async with shop.outbox.recording(connection, "a.b.c", action="order:create", **WHO) as record:
                record.resource_id = "an id without a type"

        with pytest.raises(TypeError):
            await fail()
    [event] = await events(shop)
    assert (event.outcome, event.details) == (Outcome.FAILURE, {"error": "TypeError"})
