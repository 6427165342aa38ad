"""Throwing a producer away at once, with all it still means to send.

aiokafka's `stop()` waits until everything is delivered, and an idempotent producer never gives a batch up: with a
broker that is gone it waits for ever, and delivers late when the broker comes back (aiokafka#1101). Closing its
connections politely waits as well, for a buffer that a silent peer does not take. There is no public way to do less, so
this reaches inside; `tests/audit/kafka/test_abandon.py` says after an upgrade whether it still finds everything.
"""

import asyncio
import socket
import struct
from collections.abc import Mapping
from typing import Any

from aiokafka import AIOKafkaProducer

from audit.kafka.bootstrap import tidy

_END_S = 1.0
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER of no seconds: what the kernel has not sent is dropped


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
        for task in tasks:
            task.cancel()
        for connection in list(self.client._conns.values()):  # noqa: SLF001
            _reset(connection)
        if tasks:
            await asyncio.wait(tasks, timeout=_END_S)


def _reset(connection: Any) -> None:
    """Close a connection without sending what is still in its buffers."""
    writer = connection._writer  # noqa: SLF001
    if writer is None:
        return
    sock = writer.transport.get_extra_info("socket")
    if sock is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    writer.transport.abort()
    connection.close()
