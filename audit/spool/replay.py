"""Delivering again what stands in spool folders, of this machine or of a dead one. Reads only, deletes nothing.

Harmless however often it is done: what is in the store already is a duplicate by its key, and counted as one.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from audit.spool.inspect import EVERYTHING, Wanted, dump

_BATCH_RECORDS = 2000
_BATCH_BYTES = 4 << 20


class Replayed(NamedTuple):
    """What became of the records so far.

    Attributes:
        records: Read from the folders.
        delivered: Rows that are new; behind a broker, records that it took.
        duplicates: There already, the same.
        conflicts: There already under the same key with other bytes; kept apart.
        dead: Cannot become rows; kept apart.
    """

    records: int = 0
    delivered: int = 0
    duplicates: int = 0
    conflicts: int = 0
    dead: int = 0

    def plus(self, other: "Replayed") -> "Replayed":
        """Both together."""
        return Replayed(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))


Deliver = Callable[[Sequence[bytes]], Awaitable[Replayed]]
"""Takes a batch; says what became of it. Raises `SinkUnavailable`."""


async def replay(root: Path, deliver: Deliver, wanted: Wanted = EVERYTHING) -> AsyncIterator[Replayed]:
    """Deliver every record that is there, quarantined ones too, in batches.

    Args:
        root: A folder of producers' folders, or one of these.
        deliver: Where to.
        wanted: Which records.

    Yields:
        The sum so far, after each batch. What was yielded is delivered, whatever fails later.

    Raises:
        SinkUnavailable: a batch was not taken; going on from the beginning is harmless.
        SpoolFormat: a file is of a format we do not know.
        OSError: a file cannot be read.
    """
    total = Replayed()
    for batch in batches(dump(root, wanted, quarantined=True)):
        total = total.plus(await deliver(batch))
        yield total


def batches(records: Iterable[bytes]) -> Iterable[list[bytes]]:
    """Records in lists that a sink takes at once."""
    batch: list[bytes] = []
    size = 0
    for record in records:
        batch.append(record)
        size += len(record)
        if len(batch) >= _BATCH_RECORDS or size >= _BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
