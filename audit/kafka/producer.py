"""The relay's sink when a broker is configured: events and watermarks into the topic."""

from collections.abc import Sequence

from audit.event import DEAD_LETTER_TOPIC
from audit.kafka.connection import Connection
from audit.kafka.letters import DeadLetters
from audit.kafka.message import TOO_LARGE, event_message, watermark_messages
from audit.kafka.trouble import ask
from audit.kafka.writer import KafkaWriter, Refused
from audit.sinks import Watermark


class KafkaSink:
    """Delivers into the topic; the consumer on the other side writes the store. See `audit.sinks.Sink`.

    Args:
        connection: Where the brokers are; a bare address is a plain connection.
        topic: Of events.
        dead_letter_topic: Where records go that the topic does not take, however often they are sent.
        deadline_s: How long may pass without an acknowledgement.
        probe_s: How long the question may take whether a broker is there.
        batch_bytes: Largest batch for one partition.
    """

    name = "kafka"

    def __init__(
        self,
        connection: Connection | str,
        topic: str,
        *,
        dead_letter_topic: str = DEAD_LETTER_TOPIC,
        deadline_s: float = 10.0,
        probe_s: float = 1.0,
        batch_bytes: int = 524_288,
    ) -> None:
        self._connection = Connection.to(connection)
        self._topic = topic
        self._probe_s = probe_s
        self._writer = KafkaWriter(self._connection, topic, deadline_s=deadline_s, batch_bytes=batch_bytes)
        self._letters = DeadLetters(
            KafkaWriter(self._connection, dead_letter_topic, deadline_s=deadline_s, batch_bytes=batch_bytes)
        )

    async def deliver(self, records: Sequence[bytes]) -> None:
        """Put events into the topic, keyed by tenant; what it does not take, among the dead letters.

        Raises:
            SinkUnavailable: not all were acknowledged.
        """
        await self._writer.send([event_message(payload) for payload in records], self._bury)

    async def _bury(self, refused: Sequence[Refused]) -> None:
        """One record that is too large never holds up the others."""
        for message, error in refused:
            await self._letters.put(message, TOO_LARGE, f"{self._topic} refuses {len(message.value)} bytes: {error}")

    async def report(self, marks: Sequence[Watermark]) -> None:
        """Put watermarks into every partition, behind what they speak of.

        Raises:
            SinkUnavailable: not all were acknowledged.
        """
        await self._writer.send(watermark_messages(marks, await self._writer.partitions()))

    async def ping(self) -> None:
        """Ask a broker for the topic.

        Raises:
            SinkUnavailable: none answers, lets us in and knows it.
        """
        await ask(self._connection, self._topic, self._probe_s)

    async def close(self) -> None:
        """Give the producers up. Never hangs."""
        await self._writer.close()
        await self._letters.close()
