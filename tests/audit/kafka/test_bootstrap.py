"""Tests of `audit.kafka.bootstrap`: what a start leaves behind that somebody gives up."""

import asyncio
import gc
import struct
import warnings
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaConnectionError

from audit.kafka.abandon import Throwaway
from audit.kafka.bootstrap import tidy
from audit.kafka.connection import Connection
from audit.settings import KafkaSettings
from tests.audit.kafka.secured import Secured, secured
from tests.builders.patience import PATIENCE_S

__all__ = ["secured"]
_WITHIN_S = PATIENCE_S
API_VERSIONS = struct.pack(">hi", 0, 2) + struct.pack(">hhh", 18, 0, 0) + struct.pack(">hhh", 3, 0, 5)
"""No error; it knows two requests: what versions, and who the brokers are."""


class Half:
    """A broker that says which versions it knows and nothing after, as one does that stops in this moment.

    Attributes:
        asked: The second request has come.
        left: The other side has closed.
        address: Where it listens.
    """

    def __init__(self, hang_up: bool) -> None:
        self.asked = asyncio.Event()
        self.left = asyncio.Event()
        self.address = ""
        self._hang_up = hang_up

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        head = await reader.readexactly(*struct.unpack(">i", await reader.readexactly(4)))
        answer = head[4:8] + API_VERSIONS
        writer.write(struct.pack(">i", len(answer)) + answer)
        await reader.readexactly(*struct.unpack(">i", await reader.readexactly(4)))
        self.asked.set()
        if not self._hang_up:
            with suppress(ConnectionResetError):
                assert await reader.read() == b""
        self.left.set()
        writer.close()


@asynccontextmanager
async def half(*, hang_up: bool = False) -> AsyncIterator[Half]:
    """Such a broker."""
    made = Half(hang_up)
    async with await asyncio.start_server(made.serve, "127.0.0.1", 0) as server:
        made.address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield made


def a_producer(connection: Connection) -> tuple[Any, Any]:
    """One of ours, and its client."""
    made = Throwaway(**connection.arguments())
    return made, made.client


def a_consumer(connection: Connection) -> tuple[Any, Any]:
    """As `audit.kafka.consumer` makes it."""
    made = AIOKafkaConsumer(**connection.arguments())
    tidy(made._client)
    return made, made._client


EITHER = pytest.mark.parametrize("make", [a_producer, a_consumer])
Make = Callable[[Connection], tuple[Any, Any]]


@EITHER
async def test_a_start_that_is_given_up_closes_its_connection(make: Make) -> None:
    """While the broker owes it an answer; not when the garbage is collected."""
    async with half() as broker:
        made, _ = make(Connection(broker.address))
        gc.collect()
        gc.disable()
        try:
            start = asyncio.ensure_future(made.start())
            await asyncio.wait_for(broker.asked.wait(), _WITHIN_S)
            start.cancel()
            with pytest.raises(asyncio.CancelledError):
                await start
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                await asyncio.wait_for(broker.left.wait(), _WITHIN_S)
        finally:
            gc.enable()
        await made.stop()


@EITHER
async def test_the_next_server_is_asked(make: Make, kafka: str) -> None:
    """One that nobody listens on, one that hangs up, and one that answers; in any order, so until each had its turn."""
    async with half(hang_up=True) as broker:
        servers = f"127.0.0.1:1,{broker.address},{kafka}"
        while not broker.asked.is_set():
            made, client = make(Connection(servers, KafkaSettings(bootstrap_servers=servers)))
            await client.bootstrap()
            assert client.cluster.brokers()
            await made.stop()


@EITHER
async def test_nobody_answers(make: Make) -> None:
    """An error of aiokafka's own kind, for `trouble` to look into."""
    made, client = make(Connection("127.0.0.1:1"))
    with pytest.raises(KafkaConnectionError, match="Unable to bootstrap"):
        await client.bootstrap()
    await made.stop()


@EITHER
async def test_what_a_connection_is_made_with(make: Make, secured: Secured) -> None:
    """Encryption and login are the client's."""
    made, client = make(secured.connection("SASL_SSL", tls={"ca_file": secured.ca}, sasl=secured.sasl("SCRAM-SHA-256")))
    await client.bootstrap()
    assert client.cluster.brokers()
    await made.stop()
