"""Seals into the topic `audit.checkpoints`: where nobody who can write the database can take them away."""

from collections.abc import Sequence

from audit.integrity.record import Sealed
from audit.kafka.message import Message
from audit.kafka.writer import KafkaWriter

_KEY = b"seals"  # one key, one partition: they are in order there
_HEADERS = [("ce_specversion", b"1.0"), ("ce_type", b"audit.checkpoint"), ("content-type", b"application/json")]


class CheckpointTopic:
    """Publishes records of the chain, each the same line as in a checkpoint file."""

    def __init__(self, writer: KafkaWriter) -> None:
        self._writer = writer

    async def publish(self, records: Sequence[Sealed]) -> None:
        """Put records into the topic.

        Raises:
            SinkUnavailable: not all were acknowledged.
        """
        try:
            await self._writer.send(
                [
                    Message(_KEY, each.line().encode(), [*_HEADERS, ("ce_id", f"{each.record.seq}".encode())])
                    for each in records
                ]
            )
        finally:
            await self._writer.close()  # the next is a week away
