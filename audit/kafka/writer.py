"""Putting messages into a topic: idempotent, acknowledged by all replicas, in order, and with a deadline of our own.

A batch that is not acknowledged in time counts as unknown: the producer is thrown away with everything in it and the
caller sends again, from where the unknown began or before it. So a copy that arrives late repeats what is or will be
there anyway: the dedupe key makes it harmless, and the first appearances of a key's messages stay in order.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import structlog
from aiokafka.errors import (
    BrokerResponseError,
    KafkaError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
    kafka_errors,
)

from audit.errors import SinkUnavailable
from audit.kafka.abandon import Throwaway
from audit.kafka.connection import Connection
from audit.kafka.message import Message, partition_of
from audit.kafka.trouble import trouble
from audit.settings.kafka import Compression

IN_FLIGHT = 4
"""Partitions that a request speaks of at most: what can be unknown at once, and in memory twice."""
_STOP_S = 1.0
_TROUBLE_S = 1.0
_TOLD = 3

_log = structlog.get_logger("audit.kafka")


class InvalidRecord(BrokerResponseError):  # type: ignore[misc]  # aiokafka has no types
    """What a broker that checks records says of one; aiokafka knows no name for it and takes it for unknown."""

    errno = 87
    message = "INVALID_RECORD"
    description = "the broker has rejected this record"


kafka_errors.setdefault(InvalidRecord.errno, InvalidRecord)
_REFUSALS = (MessageSizeTooLargeError, RecordListTooLargeError, kafka_errors[InvalidRecord.errno])
"""A broker says the same of such a batch however often it is sent; what is alright in it may go without the rest."""


class Refused(NamedTuple):
    """A message the topic does not take, however often it is sent."""

    message: Message
    error: str


SetAside = Callable[[Sequence[Refused]], Awaitable[None]]


class _Lane:
    """What is to go to one partition, and how far it is."""

    def __init__(self, partition: int) -> None:
        self.partition = partition
        self.spans: deque[list[Message]] = deque([[]])
        self.sent: list[Message] = []

    @property
    def done(self) -> bool:
        """Whether nothing is left."""
        return not self.spans

    def took(self, count: int) -> None:
        """The first so many of the first span are in the topic, or set aside."""
        del self.spans[0][:count]
        if not self.spans[0]:
            self.spans.popleft()

    def halve(self, count: int) -> None:
        """The first so many were refused together: try them in two halves."""
        span = self.spans.popleft()
        rest = span[count:]
        if rest:
            self.spans.appendleft(rest)
        self.spans.appendleft(span[count // 2 : count])
        self.spans.appendleft(span[: count // 2])


class KafkaWriter:
    """Writes to one topic; one caller at a time, others wait within their deadline.

    Args:
        connection: Where the brokers are; a bare address is a plain connection.
        topic: Of which.
        deadline_s: How long may pass without an acknowledgement.
        batch_bytes: Largest batch, before compression.
    """

    def __init__(
        self,
        connection: Connection | str,
        topic: str,
        *,
        deadline_s: float,
        batch_bytes: int,
    ) -> None:
        self._connection = Connection.to(connection)
        self._topic = topic
        self._deadline_s = deadline_s
        self._batch_bytes = batch_bytes
        self._producer: Throwaway | None = None
        self._turn = asyncio.Lock()

    async def send(self, messages: Sequence[Message], set_aside: SetAside | None = None) -> None:
        """Put messages into the topic, in order for each partition.

        Args:
            messages: In the order in which each key's are to appear.
            set_aside: Given what the topic never takes; without, such a message is an error that says so.

        Raises:
            SinkUnavailable: not all were acknowledged in time; some may be in the topic all the same.
        """
        async with self._in_time() as deadline:
            await self._send(messages, set_aside, deadline)

    async def partitions(self) -> list[int]:
        """The topic's partitions, as far as we know.

        Raises:
            SinkUnavailable: the broker cannot be asked.
        """
        async with self._in_time():
            return (await self._started())[1]

    @asynccontextmanager
    async def _in_time(self) -> AsyncIterator[asyncio.Timeout]:
        """Our turn, with a deadline. Whatever goes wrong in it, the producer is thrown away: it may be in any state."""
        try:
            async with asyncio.timeout(self._deadline_s) as deadline, self._turn:
                try:
                    yield deadline
                except BaseException:  # and only in our turn: who waits in vain for it must not end another's
                    await self._abandon()
                    raise
        except (KafkaError, OSError, TimeoutError) as exc:
            raise await trouble(exc, self._connection, self._topic, min(_TROUBLE_S, self._deadline_s)) from exc

    async def close(self) -> None:
        """Give the producer up. Never hangs."""
        producer = self._producer
        if producer is None:
            return
        try:
            async with asyncio.timeout(_STOP_S):
                await producer.stop()
        except (KafkaError, OSError, TimeoutError):
            pass
        finally:
            await self._abandon()

    async def _started(self) -> tuple[Throwaway, list[int]]:
        if self._producer is None:
            chosen = self._connection.settings.compression
            self._producer = Throwaway(
                **self._connection.arguments(),
                enable_idempotence=True,
                acks="all",
                compression_type=None if chosen is Compression.NONE else chosen.value,
                linger_ms=0,
                max_batch_size=self._batch_bytes,
                request_timeout_ms=int(self._deadline_s * 1000),
            )
            await self._producer.start()
        found = await self._producer.partitions_for(self._topic)
        return self._producer, sorted(found)

    async def _send(self, messages: Sequence[Message], set_aside: SetAside | None, deadline: asyncio.Timeout) -> None:
        lanes: dict[int, _Lane] = {}
        _, partitions = await self._started()
        for message in messages:
            partition = partition_of(message, partitions)
            lane = lanes.get(partition)
            if lane is None:
                lane = lanes[partition] = _Lane(partition)
            lane.spans[0].append(message)
        left = list(lanes.values())
        while left:
            await self._round(left[:IN_FLIGHT], set_aside)
            # It moves: a slow broker is not a dead one, and what is acknowledged need not be sent again from here on.
            deadline.reschedule(asyncio.get_running_loop().time() + self._deadline_s)
            left = [lane for lane in left if not lane.done]

    async def _round(self, lanes: Sequence[_Lane], set_aside: SetAside | None) -> None:
        """One batch of each of some partitions, all in one request where they have one leader."""
        producer, _ = await self._started()
        acknowledged = [
            await producer.send_batch(_batch(producer, each), self._topic, partition=each.partition) for each in lanes
        ]
        answers = await asyncio.gather(*acknowledged, return_exceptions=True)
        refused: list[Refused] = []
        for lane, answer in zip(lanes, answers, strict=True):
            count = len(lane.sent)
            if not isinstance(answer, BaseException):
                lane.took(count)
            elif not isinstance(answer, _REFUSALS):
                raise answer
            elif count > 1:
                lane.halve(count)
            else:
                refused.append(Refused(lane.sent[0], f"{answer}"))
                lane.took(1)
        if any(isinstance(answer, BaseException) for answer in answers):
            # The sequence numbers of what was refused are used up: the broker takes nothing more of this producer.
            await self._abandon()
        if refused and set_aside is None:
            sizes = ", ".join(str(len(each.message.value)) for each in refused[:_TOLD])
            raise SinkUnavailable(f"kafka: `{self._topic}` does not take records of {sizes} bytes: {refused[0].error}")
        if refused and set_aside is not None:
            _log.error("audit_records_refused", topic=self._topic, count=len(refused), error=refused[0].error)
            await set_aside(refused)

    async def _abandon(self) -> None:
        """Throw the producer away, with whatever it still means to send."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await producer.abandon()


def _batch(producer: Throwaway, lane: _Lane) -> Any:
    """The next batch of a lane: as much of its first span as fits; the first message whatever its size."""
    builder = producer.create_batch()
    append = builder.append
    lane.sent = []
    for message in lane.spans[0]:
        if append(key=message.key, value=message.value, timestamp=None, headers=message.headers) is None:
            break
        lane.sent.append(message)
    builder.close()
    return builder
