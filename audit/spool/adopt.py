"""Ending an epoch whose owner was killed: say exactly which numbers are missing, then write the end mark.

Both the next owner of a folder and the relay do this, under the folder's lock, and both write the same bytes: the loss
record's id and time come from what the dead process left behind. If the adopter dies half-way, the next one repeats it,
and the store sees a duplicate instead of a second loss.
"""

import hashlib
from pathlib import Path

from audit.codec import encode, timestamp
from audit.event import NO_TENANT, AuditEvent, Kind, Outcome, Phase, Producer, Severity
from audit.ids import id_at
from audit.ranges import RangeSet
from audit.spool import frame
from audit.spool.folder import COUNTER_FILE, Counter
from audit.spool.segment import LOSS, SegmentName, account, contents, segments
from audit.spool.writer import SegmentWriter

_SEGMENT_BYTES = 64 << 20
_NS_PER_MS = 1_000_000


def loss_event(producer: str, epoch: int, missing: RangeSet, *, reason: str, event_id: str, now_ns: int) -> AuditEvent:
    """The record that names lost records. It is about the numbering and has no number itself (`seq` 0).

    Args:
        producer: Whose records are missing.
        epoch: The epoch of the numbers.
        missing: Which.
        reason: One of `LOSS_REASONS`.
        event_id: Its id.
        now_ns: When, nanoseconds since the epoch.
    """
    return AuditEvent(
        event_id=event_id,
        phase=Phase.SINGLE,
        event_type=LOSS,
        kind=Kind.SYSTEM,
        tenant_id=NO_TENANT,
        occurred_at=timestamp(now_ns),
        producer=Producer(producer, epoch, 0),
        outcome=Outcome.FAILURE,
        severity=Severity.CRITICAL,
        details={
            "producer": producer,
            "epoch": epoch,
            "missing": [list(pair) for pair in missing],
            "count": missing.count,
            "reason": reason,
        },
    )


def fixed_id(producer: str, epoch: int, what: str, at_ms: int) -> str:
    """The id that every adopter gives the same loss."""
    return id_at(at_ms, hashlib.sha256(f"{producer}\0{epoch}\0{what}".encode()).digest())


def adopt(path: Path, counter: Counter, producer: str) -> RangeSet:
    """End the folder's last epoch if it has no end.

    Args:
        path: The folder, whose lock the caller holds.
        counter: Its counter.
        producer: The producer's id.

    Returns:
        The numbers that are missing; they stand in the loss record too.

    Raises:
        OSError: the disk does not take the end mark; nothing has changed for the next adopter.
    """
    if counter.ended:
        return RangeSet()
    epoch = counter.epoch
    names = [name for name in segments(path) if name.epoch == epoch]
    seen, end = _seen(path, names)
    missing = RangeSet()
    if not end:
        taken = max(counter.seq, seen.last)
        if taken:
            missing = RangeSet([(1, taken)]).without(seen)
        last_n = names[-1].n if names else 0
        writer = SegmentWriter(path, producer, epoch, segment_bytes=_SEGMENT_BYTES, first=last_n + 1)
        writer.seen = seen
        try:
            if missing:
                died_ns = max(_last_sign(path, names), counter.floor_ms * _NS_PER_MS)  # not below its watermark
                event = loss_event(
                    producer,
                    epoch,
                    missing,
                    reason="killed",
                    event_id=fixed_id(producer, epoch, "killed", died_ns // _NS_PER_MS),
                    now_ns=died_ns,
                )
                writer.append([frame.pack(encode(event))], list(missing))
            writer.end(taken, clean=False)
        finally:
            writer.close()
    counter.end()
    return missing


def _seen(path: Path, names: list[SegmentName]) -> tuple[RangeSet, bool]:
    """The numbers accounted for, and whether there is an end mark.

    From the newest segment back to the first with a whole header, which tells about all before it.
    """
    seen = RangeSet()
    for name in reversed(names):
        read = contents(path / name.text())
        if read.end is not None:
            return seen, True
        account(read.records, seen)
        if read.header is not None:
            seen.update(read.header.seen)
            break
    return seen, False


def _last_sign(path: Path, names: list[SegmentName]) -> int:
    """When the dead process last wrote, nanoseconds: the newest of its files. Later adopters must find the same."""
    files = [path / name.text() for name in names] or [path / COUNTER_FILE]
    return max(file.stat().st_mtime_ns for file in files)
