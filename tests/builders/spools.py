"""Builders of spool folders as their owners leave them."""

from pathlib import Path

from audit.codec import encode
from audit.event import Producer
from audit.ids import EventIds
from audit.spool import frame
from audit.spool.folder import Counter, make
from audit.spool.writer import SegmentWriter
from tests.builders.audit import make_event

_IDS = EventIds()


def spooled(
    root: Path, producer: str, count: int, *, segment_bytes: int = 1 << 20, group: int = 1, ended: bool = True
) -> Path:
    """A folder with so many records; ended, unless its owner is meant to be at work.

    Returns:
        The folder.
    """
    folder = root / producer
    make(folder)
    counter = Counter(folder)
    counter.begin(1)
    writer = SegmentWriter(folder, producer, 1, segment_bytes=segment_bytes)
    writer.open()
    for first in range(1, count + 1, group):
        last = min(first + group - 1, count)
        events = [make_event(event_id=_IDS.next(), producer=Producer(producer, 1, n)) for n in range(first, last + 1)]
        writer.append([frame.pack(encode(event)) for event in events], [(first, last)])
    for _ in range(count):
        counter.take()
    if ended:
        writer.end(count, clean=True)
        counter.end()
    writer.close()
    counter.close()
    return folder
