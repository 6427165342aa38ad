"""Ending an epoch whose owner was killed: say exactly which numbers are missing, then write the end mark.

Both the next owner of a folder and the relay do this, under the folder's lock, and both write the same bytes: the loss
record's id and time come from what the dead process left behind. If the adopter dies half-way, the next one repeats it,
and the store sees a duplicate instead of a second loss.
"""

import hashlib
import os
from pathlib import Path

from audit.codec import encode, timestamp
from audit.event import NO_TENANT, AuditEvent, Kind, Outcome, Phase, Producer, Severity
from audit.ids import id_at
from audit.ranges import RangeSet
from audit.spool import frame
from audit.spool.cursor import cursors
from audit.spool.folder import COUNTER_FILE, Counter, lock, peek
from audit.spool.segment import LOSS, SegmentName, account, contents, read_header, segments
from audit.spool.writer import SegmentWriter

_SEGMENT_BYTES = 64 << 20
_NS_PER_MS = 1_000_000


def loss_event(
    producer: str, epoch: int, missing: RangeSet, *, reason: str, event_id: str, now_ns: int, folded: int = 0
) -> AuditEvent:
    """The record that names lost records. It is about the numbering and has no number itself (`seq` 0).

    Args:
        producer: Whose records are missing.
        epoch: The epoch of the numbers.
        missing: Which.
        reason: One of `LOSS_REASONS`.
        event_id: Its id.
        now_ns: When, nanoseconds since the epoch.
        folded: How many refusals the missing records stood for, where they were folded ones.
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
            **({"folded": folded} if folded else {}),
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
    if not names and (counter.ending or counter.seq == 0):
        # The end mark was written and delivered before anybody could note it; or nothing was ever begun.
        counter.end()
        return RangeSet()
    seen, end, following = _seen(path, epoch, names)
    missing = RangeSet()
    if not end:
        taken = max(counter.seq, seen.last)
        if taken:
            missing = RangeSet([(1, taken)]).without(seen)
        writer = SegmentWriter(path, producer, epoch, segment_bytes=_SEGMENT_BYTES, first=following)
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
                writer.append([frame.pack(encode(event))], list(missing), last_words=True)
            counter.begin_end()
            writer.end(taken, clean=False)
        finally:
            writer.close()
    counter.end()
    return missing


def adopt_folder(path: Path) -> RangeSet:
    """End the epoch of a folder that nobody owns, under its lock; returns the numbers that are missing.

    Raises:
        SpoolBusy: its producer lives.
        SpoolFormat: a file in it is not what its name says.
        OSError: the disk refuses.
    """
    held = lock(path)
    try:
        counter = Counter(path)
        try:
            return adopt(path, counter, producer_of(path))
        finally:
            counter.close()
    finally:
        os.close(held)


def producer_of(path: Path) -> str:
    """Whose folder it is, as its segments say: a copy may have another name. The folder's name if there are none."""
    for name in segments(path):
        header = read_header(path / name.text())
        if header is not None:
            return header.producer
    return path.name


def unsaid(path: Path) -> RangeSet:
    """The numbers that a dead producer took and that nobody has accounted for. Reads only."""
    view = peek(path)
    if view is None or view.ended:
        return RangeSet()
    names = [name for name in segments(path) if name.epoch == view.epoch]
    if not names and (view.ending or view.seq == 0):
        return RangeSet()
    seen, end, _ = _seen(path, view.epoch, names)
    taken = max(view.seq, seen.last)
    return RangeSet([(1, taken)] if taken else ()).without(seen) if not end else RangeSet()


def _seen(path: Path, epoch: int, names: list[SegmentName]) -> tuple[RangeSet, bool, int]:
    """The numbers accounted for, whether there is an end mark, and the number of the next segment.

    From the newest segment back to the first with a whole header, which tells about all before it. Where none has one,
    the sinks' cursors tell about what was delivered and unlinked.
    """
    seen = RangeSet()
    following = names[-1].n + 1 if names else 1
    for name in reversed(names):
        read = contents(path / name.text())
        if read.end is not None:
            return seen, True, following
        account(read.records, seen)
        if read.header is not None:
            seen.update(read.header.seen)
            return seen, False, following
    for cursor in cursors(path).values():
        if cursor.epoch == epoch:  # a segment before it would never be read
            seen.update(cursor.seen or ())
            following = max(following, cursor.n)
    return seen, False, following


def _last_sign(path: Path, names: list[SegmentName]) -> int:
    """When the dead process last wrote, nanoseconds: the newest of its files. Later adopters must find the same."""
    files = [path / name.text() for name in names] or [path / COUNTER_FILE]
    return max(file.stat().st_mtime_ns for file in files)
