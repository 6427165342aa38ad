"""The topic of dead letters, written to: what it does not take whole goes in pieces, so that nothing stops here."""

from collections.abc import Sequence

from audit.errors import SinkUnavailable
from audit.ingest import DeadLetter
from audit.kafka.message import Message, letter_messages
from audit.kafka.writer import KafkaWriter, Refused

_PIECE_BYTES = 512  # a topic that does not take this takes nothing


class DeadLetters:
    """Writes letters.

    Args:
        writer: Into their topic.
    """

    def __init__(self, writer: KafkaWriter) -> None:
        self._writer = writer

    async def put(self, message: Message, reason: str, error: str) -> None:
        """Put one letter; twice, after a failure in between, and never not at all.

        Raises:
            SinkUnavailable: it is not there.
        """
        parts = 1
        while True:
            refused: list[Refused] = []

            async def noted(some: Sequence[Refused], into: list[Refused] = refused) -> None:
                into.extend(some)

            await self._writer.send(letter_messages(message, reason, error, parts), noted)
            if not refused:
                return
            parts *= 2
            if len(message.value) < parts * _PIECE_BYTES:
                raise SinkUnavailable(f"kafka: the topic of dead letters takes nothing: {refused[0].error}")

    async def close(self) -> None:
        """Give the producer up. Never hangs."""
        await self._writer.close()


async def tell(writer: KafkaWriter, letters: Sequence[DeadLetter]) -> tuple[int, str]:
    """Put what cannot become rows into the topic, where the store has it already: as far as the topic takes it.

    Returns:
        How many it did not take, and why.
    """
    messages = [
        Message(
            None,
            letter.payload,
            [("reason", letter.reason.value.encode()), ("error", letter.error.encode("utf-8", "replace"))],
            0,
        )
        for letter in letters
    ]
    refused: list[Refused] = []

    async def noted(some: Sequence[Refused]) -> None:
        refused.extend(some)

    try:
        await writer.send(messages, noted)
    except SinkUnavailable as exc:
        return len(letters), str(exc)
    return len(refused), refused[0].error if refused else ""
