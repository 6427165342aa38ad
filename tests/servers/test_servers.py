"""The servers that other tests stand on."""

import asyncio

import asyncpg
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from tests.builders.patience import PATIENCE_S
from tests.servers.kafka.admin import create_topic
from tests.servers.kafka.server import KafkaServer, topic
from tests.servers.postgres import Logins, Postgres


async def test_each_test_gets_an_empty_database_of_its_own(postgres: Postgres, database: str) -> None:
    """A table made here is in no other database of the same server."""
    connection = await asyncpg.connect(database)
    try:
        assert await connection.fetchval("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == 0
        await connection.execute("CREATE TABLE mine (x int)")
    finally:
        await connection.close()
    other = postgres.create()
    try:
        assert postgres.sql("SELECT to_regclass('public.mine') IS NULL", database=other) == "t"
    finally:
        postgres.drop(other)


async def test_a_migrated_database_has_three_logins(migrated_database: Logins) -> None:
    """Owner, writer and reader reach the same database, each as itself."""
    users = []
    for dsn in (migrated_database.owner, migrated_database.writer, migrated_database.reader):
        connection = await asyncpg.connect(dsn)
        try:
            users.append(await connection.fetchval("SELECT session_user::text"))
            assert await connection.fetchval("SELECT to_regclass('audit_events') IS NOT NULL")
        finally:
            await connection.close()
    assert users[1:] == ["audit_writer", "audit_reader"]


async def test_a_topic_of_the_real_broker_keeps_what_it_acknowledged_over_a_kill(kafka_server: KafkaServer) -> None:
    """What was acknowledged before SIGKILL is there after a start."""
    name = topic()
    await create_topic(kafka_server.bootstrap_servers, name, 1)
    producer = AIOKafkaProducer(bootstrap_servers=kafka_server.bootstrap_servers, acks="all")
    await producer.start()
    await producer.send_and_wait(name, b"kept")
    await producer.stop()
    kafka_server.kill()
    kafka_server.start()
    consumer = AIOKafkaConsumer(name, bootstrap_servers=kafka_server.bootstrap_servers, auto_offset_reset="earliest")
    await consumer.start()
    try:
        message = await asyncio.wait_for(consumer.getone(), PATIENCE_S)
        assert message.value == b"kept"
    finally:
        await consumer.stop()
