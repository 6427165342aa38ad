"""Moving a sink on that would fill everybody's disk: what is kept for it alone, and exactly what it was moved over."""

from collections.abc import Sequence
from typing import Any

import structlog

from audit.codec import timestamp
from audit.event import NO_TENANT, AuditEvent, Kind, Outcome, Phase, Producer, Severity
from audit.ids import id_ms
from audit.ranges import Range
from audit.spool.reader import FolderReader
from audit.spool.segment import SegmentName, segments, stub

SKIPPED = "audit.sink.skipped"
_RANGES_MAX = 1000  # an event has its bound; beyond it the last range reaches to the end
_NS_PER_MS = 1_000_000
_SLACK_NS = 1_000_000_000  # file times are coarse, and an id may be a little ahead of its time

_log = structlog.get_logger("audit.relay")


def held_beyond(reader: FolderReader, needed: Sequence[SegmentName | None]) -> int:
    """Bytes of a folder that only sinks which are not required still need.

    Args:
        reader: Of the sink that may be behind.
        needed: The first segment that each required sink needs; None: it needs all.
    """
    first = min((place for place in needed if place is not None), default=None)
    if first is None or None in needed:
        return 0
    at, total = reader.place, 0
    for name in segments(reader.path):
        if (at is None or name >= at) and name < first:
            total += (reader.path / name.text()).stat().st_size
    return total


def skip(reader: FolderReader, sink: str) -> dict[str, Any] | None:
    """Move a sink over the rest of the segment it is in. What it missed stands in its cursor until it is recorded.

    Returns:
        What it missed, the details of the event; None if there is nothing to be moved over.

    Raises:
        OSError: the segment cannot be read; the sink is where it was.
    """
    passed = reader.skip()
    if passed is None:
        return None
    ranges: list[Range] = list(passed.numbers)
    if len(ranges) > _RANGES_MAX:
        ranges[_RANGES_MAX - 1 :] = [(ranges[_RANGES_MAX - 1][0], ranges[-1][1])]
    began = stub(passed.first) if passed.first is not None else None
    details = {
        "sink": sink,
        "producer": reader.producer,
        "epoch": passed.name.epoch,
        "missing": [list(pair) for pair in ranges],
        "count": passed.numbers.count,
        "from": began.occurred_at if began is not None else "",
        "until": timestamp(passed.written_ns + _SLACK_NS),
    }
    try:
        reader.pass_over(passed, details)
    except OSError as exc:  # a full disk, which waits for what we give up: it is recorded in a moment all the same
        _log.warning("audit_cursor_not_saved", folder=str(reader.path), error=str(exc))
    return details


def skipped_event(event_id: str, producer: Producer, details: dict[str, Any]) -> AuditEvent:
    """The event that says what a sink has missed and the others have.

    Args:
        event_id: Its id; its time is when it is recorded.
        producer: Who records it.
        details: As `skip` made them.
    """
    return AuditEvent(
        event_id=event_id,
        phase=Phase.SINGLE,
        event_type=SKIPPED,
        kind=Kind.SYSTEM,
        tenant_id=NO_TENANT,
        occurred_at=timestamp(id_ms(event_id) * _NS_PER_MS),
        producer=producer,
        outcome=Outcome.FAILURE,
        severity=Severity.WARN,
        details=details,
    )
