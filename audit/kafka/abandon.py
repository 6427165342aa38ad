"""Throwing a producer away at once, with all it still means to send; and a consumer.

aiokafka's `stop()` waits until everything is delivered, and an idempotent producer never gives a batch up: with a
broker that is gone it waits for ever, and delivers late when the broker comes back (aiokafka#1101). Closing its
connections politely waits as well, for a buffer that a silent peer does not take. There is no public way to do less, so
this reaches inside; `tests/audit/kafka/test_abandon.py` says after an upgrade whether it still finds everything.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaError

from audit.kafka.bootstrap import tidy
from audit.kafka.hang_up import hang_up

_END_S = 1.0


class Throwaway(AIOKafkaProducer):  # type: ignore[misc]  # aiokafka has no types
    """A producer that can be thrown away."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        tidy(self.client)
        self._requests: set[asyncio.Task[Any]] = set()
        self._send_request = self._sender._send_produce_req  # noqa: SLF001  # see above
        self._sender._send_produce_req = self._send_tracked  # noqa: SLF001

    async def _send_tracked(self, node_id: int, batches: Mapping[Any, Any]) -> None:
        """Aiokafka's own, and we know of the task: the sender forgets those it does not get to wait for."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  # the sender makes one for each request
        self._requests.add(task)
        try:
            await self._send_request(node_id, batches)
        finally:
            self._requests.discard(task)

    async def abandon(self) -> None:
        """End its tasks and reset its connections. Nothing of it is sent after this; what is under way may arrive."""
        self._closed = True
        self._message_accumulator._closed = True  # noqa: SLF001
        tasks = {*self._requests, self._sender.sender_task, self.client._sync_task} - {None}  # noqa: SLF001
        await _end(tasks, self.client)


async def dismiss(consumer: AIOKafkaConsumer, within_s: float) -> None:
    """Let a consumer leave its group and end; at once, if that is not done in time.

    Its own `stop()` takes its parts down one after the other, each waiting for the broker: given up half-way it leaves
    the others running, who go on fetching and telling the group that they live.
    """
    try:
        async with asyncio.timeout(within_s):
            await consumer.stop()
    except (KafkaError, OSError, TimeoutError):
        pass
    finally:
        parts = (consumer._coordinator, consumer._fetcher, consumer._client)  # noqa: SLF001
        await _end({task for part in parts for task in _tasks(part)}, consumer._client)  # noqa: SLF001


def _tasks(part: Any) -> set[asyncio.Task[Any]]:
    """The tasks that a part of aiokafka holds, by whatever name."""
    held = [each for each in vars(part).values() if isinstance(each, asyncio.Task)] if part is not None else []
    return {*held, *getattr(part, "_pending_tasks", ())}


async def _end(tasks: set[asyncio.Task[Any]], client: Any) -> None:
    """End tasks and connections, and those that a task makes while it is ending."""
    for task in tasks:
        task.cancel()
    for connection in list(client._conns.values()):  # noqa: SLF001
        hang_up(connection)
    if tasks:
        await asyncio.wait(tasks, timeout=_END_S)
        for connection in list(client._conns.values()):  # noqa: SLF001
            hang_up(connection)
