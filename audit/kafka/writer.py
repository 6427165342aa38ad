"""Putting messages into a topic: idempotent, acknowledged by all replicas, and with a deadline of our own.

aiokafka's idempotent producer never gives up while its broker is down, `stop()` hangs with it, and what was queued may
be delivered late (aiokafka#1101). So a batch that is not acknowledged in time counts as unknown, the producer is
thrown away with everything in it, and the caller sends again: the dedupe key makes the second copy harmless.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from aiokafka import AIOKafkaProducer
from aiokafka.errors import InvalidTimestampError, KafkaError

from audit.errors import ClockRefused, SinkUnavailable
from audit.kafka.message import Message, partition_of

_STOP_S = 1.0


class KafkaWriter:
    """Writes to one topic. Not for two tasks at once."""

    def __init__(self, bootstrap_servers: str, topic: str, *, deadline_s: float, batch_bytes: int) -> None:
        self._servers = bootstrap_servers
        self._topic = topic
        self._deadline_s = deadline_s
        self._batch_bytes = batch_bytes
        self._producer: AIOKafkaProducer | None = None

    async def send(self, messages: Sequence[Message]) -> None:
        """Put messages into the topic, in order for each partition.

        Raises:
            SinkUnavailable: not all were acknowledged in time; some may be in the topic all the same.
        """
        try:
            async with asyncio.timeout(self._deadline_s):
                producer, partitions = await self._started()
                await self._send(producer, messages, partitions)
        except InvalidTimestampError as exc:  # an hour ahead of the broker, where it is configured as it comes
            await self._abandon()
            raise ClockRefused("kafka: the broker refuses the time of these records; is our clock right?") from exc
        except (KafkaError, OSError, TimeoutError) as exc:
            await self._abandon()
            raise SinkUnavailable(f"kafka: {type(exc).__name__}: {exc}") from exc
        except asyncio.CancelledError:
            await self._abandon()
            raise

    async def partitions(self) -> list[int]:
        """The topic's partitions.

        Raises:
            SinkUnavailable: the broker cannot be asked.
        """
        try:
            async with asyncio.timeout(self._deadline_s):
                return (await self._started())[1]
        except (KafkaError, OSError, TimeoutError) as exc:
            await self._abandon()
            raise SinkUnavailable(f"kafka: {type(exc).__name__}: {exc}") from exc

    async def close(self) -> None:
        """Give the producer up. Never hangs."""
        await self._abandon()

    async def _started(self) -> tuple[AIOKafkaProducer, list[int]]:
        if self._producer is None:
            self._producer = AIOKafkaProducer(
                bootstrap_servers=self._servers,
                enable_idempotence=True,
                acks="all",
                linger_ms=0,
                max_batch_size=self._batch_bytes,
                request_timeout_ms=int(self._deadline_s * 1000),
            )
            await self._producer.start()
        found = await self._producer.partitions_for(self._topic)
        return self._producer, sorted(found)

    async def _send(self, producer: AIOKafkaProducer, messages: Sequence[Message], partitions: list[int]) -> None:
        by_partition: dict[int, list[Message]] = {}
        for message in messages:
            by_partition.setdefault(partition_of(message, partitions), []).append(message)
        acknowledged = []
        for partition, group in by_partition.items():
            builder = producer.create_batch()
            for message in group:
                if self._append(builder, message) is None:
                    builder.close()
                    acknowledged.append(await producer.send_batch(builder, self._topic, partition=partition))
                    builder = producer.create_batch()
                    self._append(builder, message)  # the first is always taken, whatever its size
            builder.close()
            acknowledged.append(await producer.send_batch(builder, self._topic, partition=partition))
        await asyncio.gather(*acknowledged)

    def _append(self, builder: object, message: Message) -> object:
        return builder.append(  # type: ignore[attr-defined]  # aiokafka has no types
            key=message.key, value=message.value, timestamp=None, headers=message.headers
        )

    async def _abandon(self) -> None:
        """Throw the producer away, with whatever it still means to send."""
        producer, self._producer = self._producer, None
        if producer is None:
            return
        stopping = asyncio.ensure_future(producer.stop())
        done, _ = await asyncio.wait([stopping], timeout=_STOP_S)
        for task in done:
            with suppress(KafkaError, OSError):
                task.result()
        if not done:
            # It waits for a broker that does not answer: end its sender and its connections ourselves.
            stopping.cancel()
            with suppress(asyncio.CancelledError, KafkaError, OSError):
                await stopping
            with suppress(KafkaError, OSError, TimeoutError):
                async with asyncio.timeout(_STOP_S):
                    await producer._sender.close()  # noqa: SLF001  # there is no public way
                    await producer.client.close()
