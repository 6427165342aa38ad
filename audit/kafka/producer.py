"""The relay's sink when a broker is configured: events and watermarks into the topic."""

from collections.abc import Sequence

from audit.kafka.message import event_message, watermark_messages
from audit.kafka.writer import KafkaWriter
from audit.sinks import Watermark


class KafkaSink:
    """Delivers into the topic; the consumer on the other side writes the store. See `audit.sinks.Sink`."""

    name = "kafka"

    def __init__(
        self, bootstrap_servers: str, topic: str, *, deadline_s: float = 10.0, batch_bytes: int = 524_288
    ) -> None:
        self._writer = KafkaWriter(bootstrap_servers, topic, deadline_s=deadline_s, batch_bytes=batch_bytes)

    async def deliver(self, records: Sequence[bytes]) -> None:
        """Put events into the topic, keyed by tenant.

        Raises:
            SinkUnavailable: not all were acknowledged.
        """
        await self._writer.send([event_message(payload) for payload in records])

    async def report(self, marks: Sequence[Watermark]) -> None:
        """Put watermarks into every partition, behind what they speak of.

        Raises:
            SinkUnavailable: not all were acknowledged.
        """
        await self._writer.send(watermark_messages(marks, await self._writer.partitions()))

    async def ping(self) -> None:
        """Ask the broker for the topic.

        Raises:
            SinkUnavailable: it does not answer.
        """
        await self._writer.partitions()

    async def close(self) -> None:
        """Give the producer up. Never hangs."""
        await self._writer.close()
