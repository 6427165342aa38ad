"""Several consumers on one topic of a real broker: what happens when they die, sleep, or lose what they depend on."""

import asyncio
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest
from aiokafka import TopicPartition
from aiokafka.admin import RecordsToDelete

from audit.migrate import migrate
from lychgate.postgres import PostgresServer
from tests.audit.kafka.group import Topics, count, member, process, topics, until_stored
from tests.audit.test_relay import until
from tests.servers.kafka.admin import administrator, create_topic
from tests.servers.kafka.server import KafkaServer
from tests.servers.ports import free_port
from tests.servers.postgres import KEEPER_PASSWORD, READER_PASSWORD, WRITER_PASSWORD, Logins


@pytest.fixture
async def owner(migrated_database: Logins) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """The owner's connection."""
    connection = await asyncpg.connect(migrated_database.owner)
    yield connection
    await connection.close()


@pytest.fixture
def own_postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL of this test's own, to be stopped and started."""
    folder = Path(tempfile.mkdtemp(prefix="lychgate-test-"))  # pytest's own root's servers could not enter
    folder.chmod(0o711)
    made = PostgresServer(folder / "postgres", port=free_port("127.0.0.1"), options={"fsync": "off"}, sync=False)
    made.start()
    try:
        yield made
    finally:
        made.stop()
        shutil.rmtree(folder, ignore_errors=True)


async def epochs(owner: "asyncpg.Connection[asyncpg.Record]") -> dict[int, int]:
    """How often each partition was claimed."""
    rows = await owner.fetch("SELECT partition, epoch FROM audit_consumer_offsets")
    return {row["partition"]: row["epoch"] for row in rows}


async def sending(of: Topics) -> None:
    """Send for as long as the test goes on, so that transactions are in flight at every rebalance."""
    while True:
        await of.send(20)
        await asyncio.sleep(0.02)


async def test_consumers_that_die_and_one_that_comes_back_from_the_dead_lose_and_double_nothing(
    kafka: str, migrated_database: Logins, owner: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    """Three share the partitions; one is killed, one is stopped until it has lost them and then goes on as a zombie."""
    async with topics(kafka, 6) as of:
        with process(of, migrated_database) as killed, process(of, migrated_database) as stopped:
            load = asyncio.ensure_future(sending(of))
            try:
                await until(lambda: _shared(owner, of), 40)
                with process(of, migrated_database) as last:
                    before = await epochs(owner)
                    await until(lambda: _claimed_since(owner, before), 40)  # the third has joined
                    killed.kill()
                    stopped.send_signal(signal.SIGSTOP)
                    before = await epochs(owner)
                    await until(lambda: _claimed_since(owner, before, all_of_them=True), 40)
                    stopped.send_signal(signal.SIGCONT)  # in the middle of whatever it was writing
                    await asyncio.sleep(0.5)
                    last.kill()  # the zombie is a member again, and now the only one
                    before = await epochs(owner)
                    await until(lambda: _claimed_since(owner, before, all_of_them=True), 40)
            finally:
                load.cancel()
                await asyncio.gather(load, return_exceptions=True)
            await until_at_least(owner, of)
            assert stopped.poll() is None
    total = await owner.fetchval("SELECT sum(next_offset) FROM audit_consumer_offsets")
    distinct = await owner.fetchval("SELECT count(DISTINCT (event_id, phase)) FROM audit_events")
    assert total >= distinct == await count(owner)
    assert await count(owner, "audit_conflicts") == await count(owner, "audit_dead_letters") == 0


async def until_at_least(owner: "asyncpg.Connection[asyncpg.Record]", of: Topics) -> None:
    """All that was acknowledged is there; what a cancelled send had under way may be there too, once."""
    await until(lambda: _rows_from(owner, of.sent), 40)
    assert of.sent <= await count(owner) <= of.sent + 20


async def _rows_from(owner: "asyncpg.Connection[asyncpg.Record]", number: int) -> bool:
    return await count(owner) >= number


async def _shared(owner: "asyncpg.Connection[asyncpg.Record]", of: Topics) -> bool:
    return len(await epochs(owner)) == of.partitions and await count(owner) > 0


async def _claimed_since(
    owner: "asyncpg.Connection[asyncpg.Record]", before: dict[int, int], *, all_of_them: bool = False
) -> bool:
    now = await epochs(owner)
    risen = [now[partition] > epoch for partition, epoch in before.items()]
    return all(risen) if all_of_them else any(risen)


async def test_it_goes_on_by_itself_when_postgresql_or_the_broker_was_away(
    kafka_server: KafkaServer, own_postgres: PostgresServer
) -> None:
    """Both are killed and come back; nobody touches the consumer, and it says in between what it misses."""
    await migrate(
        own_postgres.dsn(), writer_password=WRITER_PASSWORD, reader_password=READER_PASSWORD,
        keeper_password=KEEPER_PASSWORD,
    )  # fmt: skip
    writer = own_postgres.dsn(user="audit_writer", password=WRITER_PASSWORD)
    async with topics(kafka_server.bootstrap_servers, 2) as of, member(of, writer) as one:
        await of.send(50)
        await _stored(own_postgres, of)
        await until(lambda: one.pulse.problem() is None, 30)

        os.kill(own_postgres.pid or 0, signal.SIGQUIT)  # as a crash: it has to recover
        own_postgres.stop()
        await of.send(50)
        await until(lambda: one.pulse.problem() == "the store does not answer", 30)
        behind = one.value("audit_consumer_lag_seconds")
        await until(lambda: (one.value("audit_consumer_lag_seconds") or 0) > (behind or 0) + 0.2, 30)
        own_postgres.start()
        await _stored(own_postgres, of)

        kafka_server.kill()
        await until(lambda: one.pulse.problem() == "the broker does not answer", 30)
        kafka_server.start()
        await of.send(50)
        await _stored(own_postgres, of)
        await until(lambda: one.pulse.problem() is None, 30)
        await until(lambda: one.value("audit_consumer_lag_seconds") == 0, 30)


async def _stored(server: PostgresServer, of: Topics) -> None:
    connection = await asyncpg.connect(server.dsn())
    try:
        await until_stored(connection, of)
    finally:
        await connection.close()


@pytest.mark.parametrize("left", [5, 0])
async def test_records_the_topic_no_longer_has_are_counted_and_told(
    kafka: str, migrated_database: Logins, owner: "asyncpg.Connection[asyncpg.Record]", left: int
) -> None:
    """Retention ran past our offset: how many are missing stands in a metric and in an event; the rest arrives.

    Also where nothing is left to arrive.
    """
    async with topics(kafka) as of:
        async with member(of, migrated_database.writer):
            await of.send(10)
            await until_stored(owner, of)
        await of.send(20)
        async with administrator(kafka) as admin:
            await admin.delete_records({TopicPartition(of.name, 0): RecordsToDelete(before_offset=30 - left)})
        async with member(of, migrated_database.writer) as one:
            await until(lambda: _rows_from(owner, 10 + left + 1), 40)
            assert one.value("audit_consumer_missed_total") == 20 - left
            assert one.value("audit_consumer_resets_total", reason="expired") == 1
        async with member(of, migrated_database.writer) as one:  # said once, not at every start
            await of.send(1)
            await until(lambda: _rows_from(owner, 12 + left), 40)
            assert one.value("audit_consumer_missed_total") == 0
    [told] = await owner.fetch("SELECT body FROM audit_events WHERE event_type = 'audit.consumer.reset'")
    assert f'"missed": {20 - left}' in told["body"]
    assert '"reason": "expired"' in told["body"]
    assert await count(owner) == 12 + left


@pytest.mark.parametrize("fresh", [3, 10, 12])
async def test_a_topic_that_was_made_anew_is_read_from_its_beginning(
    kafka: str, migrated_database: Logins, owner: "asyncpg.Connection[asyncpg.Record]", fresh: int
) -> None:
    """However many records the new one has: fewer than we had read, as many, or more; each of them arrives."""
    async with topics(kafka) as of:
        async with member(of, migrated_database.writer):
            await of.send(10)
            await until_stored(owner, of)
        async with administrator(kafka) as admin:
            await admin.delete_topics([of.name])
        await create_topic(kafka, of.name, 1)
        await of.close()
        await of.send(fresh)
        async with member(of, migrated_database.writer) as one:
            await until(lambda: _rows_from(owner, 10 + fresh + 1), 40)
            assert one.value("audit_consumer_resets_total", reason="renewed") == 1
    assert await count(owner) == 10 + fresh + 1
