"""The outbox as SQL: safe to repeat, and what each role may do to it."""
# ruff: noqa: S608 - the table's name is ours

import asyncpg
import pytest

from audit.outbox.install import outbox_sql, quoted
from tests.builders.outbox import PRODUCER, SCHEMA, WHO, Collecting, Shop

BOTH_SERVERS = True
TABLE = f"{quoted(SCHEMA)}.audit_outbox"


async def test_it_may_be_run_again(shop: Shop) -> None:
    """With what is in it; another producer is refused, because one name stands for one sequence of records."""
    async with shop.connected() as connection:
        event_id = await shop.sell(connection, "o-1")
    async with shop.connected(shop.owner) as owner:
        before = await owner.fetchrow(f"SELECT * FROM {TABLE}_life")
        await owner.execute(outbox_sql(PRODUCER, schema=SCHEMA))
        assert await owner.fetchrow(f"SELECT * FROM {TABLE}_life") == before
        with pytest.raises(asyncpg.RaiseError):
            await owner.execute(outbox_sql("outbox-other", schema=SCHEMA))
        await owner.execute("ROLLBACK")
    assert [str(row["event_id"]) for row in await shop.rows()] == [event_id]
    sink = Collecting()
    relaying = shop.emptied_by(sink)
    assert await relaying.drain() == 1
    await relaying.relay.close()
    assert [event.event_id for event in sink.events] == [event_id]


async def test_a_service_adds_events_and_touches_none(shop: Shop) -> None:
    """It can neither read what others wrote, nor say which event a row is, nor change or remove one."""
    async with shop.connected() as connection:
        await shop.sell(connection, "o-1")
        for statement in (
            f"SELECT body FROM {TABLE}",
            f"DELETE FROM {TABLE}",
            f"UPDATE {TABLE} SET refused = 'x'",
            f"INSERT INTO {TABLE} (event_id, body) VALUES (gen_random_uuid(), '{{}}')",
            f"INSERT INTO {TABLE} (refused, body) VALUES ('x', '{{}}')",
            f"TRUNCATE {TABLE}",
            f"SELECT * FROM {TABLE}_life",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)


async def test_it_leaves_a_migration_s_transaction_alone(database: str) -> None:
    """A `COMMIT` of its own would end it, and a step that fails afterwards would not undo what came before."""
    shop = Shop(database)
    async with shop.connected(shop.owner) as owner:
        migration = owner.transaction()
        await migration.start()
        await owner.execute(outbox_sql(PRODUCER, transaction=False))
        await migration.rollback()
        assert await owner.fetchval("SELECT to_regclass('audit_outbox')") is None


async def test_a_service_may_write_where_functions_are_nobody_s(database: str) -> None:
    """As hardened databases have it: what a row's default calls is granted with the rest."""
    shop = Shop(database)
    async with shop.connected(shop.owner) as owner:
        await owner.execute("ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC")
    await shop.install()
    async with shop.connected() as connection:
        event_id = await shop.sell(connection, "o-1")
    assert [str(row["event_id"]) for row in await shop.rows()] == [event_id]
    await shop.remove()


async def test_the_relay_removes_events_and_writes_none(shop: Shop) -> None:
    """Nor does it change one."""
    async with shop.connected(shop.relay) as connection:
        for statement in (f"INSERT INTO {TABLE} (body) VALUES ('{{}}')", f"UPDATE {TABLE} SET body = '{{}}'"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)


async def test_ids_are_in_order_and_of_their_time(shop: Shop) -> None:
    """UUIDv7 by the database's clock, rising from one event of a transaction to the next."""
    async with shop.connected() as connection, connection.transaction():
        ids = [await shop.outbox.emit(connection, "a.b.c", action="order:update", **WHO) for _ in range(50)]
        now_ms = await connection.fetchval("SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint")
    assert ids == sorted(ids)
    assert len(set(ids)) == 50
    for each in ids:
        assert (each[14], each[19] in "89ab") == ("7", True)
        assert abs(int(each[:8] + each[9:13], 16) - now_ms) < 60_000


async def test_a_transaction_has_its_number_before_its_row_has_an_id(shop: Shop) -> None:
    """What the watermark counts on: who has a later number has later ids."""
    async with shop.connected(shop.owner) as owner, owner.transaction():
        assert await owner.fetchval("SELECT pg_current_xact_id_if_assigned()::text") is None
        await owner.fetchval(f"SELECT {quoted(SCHEMA)}.audit_outbox_id()")
        assert await owner.fetchval("SELECT pg_current_xact_id_if_assigned()::text") is not None


@pytest.mark.parametrize("name", ["", "Order", "order;", "o" * 64, "o'r", "-o"])
def test_a_producer_has_a_plain_name(name: str) -> None:
    """It stands in every record."""
    with pytest.raises(ValueError, match="producer"):
        outbox_sql(name)


@pytest.mark.parametrize("name", ["", "a\0b", "ä" * 40, "a$check$b"])
def test_a_name_postgresql_could_not_have_is_refused(name: str) -> None:
    """Nor one that would end a function's text."""
    with pytest.raises(ValueError, match=r"schema|no name"):
        outbox_sql("o", schema=name)


def test_without_a_word_no_trigger_is_made() -> None:
    """And one of an earlier run goes."""
    assert "CREATE TRIGGER" in outbox_sql("o")
    silent = outbox_sql("o", notify=False)
    assert "CREATE TRIGGER" not in silent
    assert "DROP TRIGGER IF EXISTS" in silent
