"""Reading a spool folder from another process, in order, while its owner goes on writing.

A step is `read`, deliver, `advance`: nothing is forgotten before it was delivered, and after a crash in between it is
read again. Segments that were read to their end are unlinked; damaged ones are set aside under another name, what can
be read of them is delivered, and what cannot is named in an `audit.loss` record.
"""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import msgspec

from audit.codec import encode
from audit.ranges import Range, RangeSet
from audit.spool import frame
from audit.spool.adopt import fixed_id, loss_event
from audit.spool.segment import (
    QUARANTINE_SUFFIX,
    EndMark,
    Header,
    SegmentName,
    account,
    decode_end,
    decode_header,
    read_header,
    segments,
)

_FILE_MODE = 0o600
_WHOLE = frame.PAYLOAD_LIMIT + frame.HEAD_BYTES
_NS_PER_MS = 1_000_000


Position: TypeAlias = tuple[int, int, int]
"""Epoch, segment, offset."""


class Cursor(msgspec.Struct, frozen=True):
    """How far a sink has come in a folder; losing it costs duplicates and nothing else.

    Attributes:
        epoch: Of the segment to go on in.
        n: Its number.
        offset: Where in it.
        seen: The numbers accounted for before it; None if that is not known.
    """

    epoch: int
    n: int
    offset: int
    seen: list[Range] | None = None


@dataclass(slots=True)
class _Segment:
    """Where we are in the current segment."""

    name: SegmentName
    offset: int = 0
    header: Header | None = None
    got: RangeSet = field(default_factory=RangeSet)
    damaged: bool = False


@dataclass(frozen=True, slots=True)
class Batch:
    """Some records of one folder, in order.

    Attributes:
        records: Encoded events.
        name: The segment they are from.
        offset: Where to go on in it.
        finished: Whether the segment has been read to its end.
        damaged: Whether something in it could not be read.
        numbers: Those the records account for.
        lost: Numbers that were in it and cannot be read; the last record says so too.
        header: Its header, if it was read.
        after: The numbers accounted for up to its end, if that is known.
    """

    records: list[bytes]
    name: SegmentName
    offset: int
    finished: bool = False
    damaged: bool = False
    numbers: RangeSet = field(default_factory=RangeSet)
    lost: RangeSet = field(default_factory=RangeSet)
    header: Header | None = None
    after: RangeSet | None = None


class FolderReader:
    """Reads one folder for one sink. Blocking; not for two threads at once.

    Attributes:
        producer: Whose folder it is, as its segments say; the folder's name until one was read.
    """

    def __init__(self, path: Path, sink: str) -> None:
        self.path = path
        self.producer = path.name
        self._cursor_file = path / f"cursor-{sink}.json"
        self._cursor = self._load()
        self._saved = self._cursor
        self._segment: _Segment | None = None
        self._seen: tuple[int, RangeSet] | None = None  # what was accounted for before the segment we are in
        if self._cursor is not None and self._cursor.seen is not None:
            self._seen = (self._cursor.epoch, RangeSet(self._cursor.seen))

    def read(self, max_records: int, max_bytes: int) -> Batch | None:
        """The next records; None if there is nothing new.

        A batch may be empty of records and still have to be advanced over: a segment that ended.
        """
        names = segments(self.path)
        current = self._current(names)
        if current is None:
            return None
        # The list was taken before the read: if a later segment was there, this one is final and read whole.
        closed = current.name != names[-1]
        base = current.offset
        frames, offset, damaged, whole = self._frames(current, max_bytes, closed=closed)
        if len(frames) > max_records:
            frames, whole = frames[:max_records], False
            offset = base + frames[-1].end
        records, header, end = _sorted(frames)
        header = header or current.header
        if header is not None:
            self.producer = header.producer
        finished = end is not None or (closed and whole)
        if not frames and not finished and not damaged:
            return None
        numbers, lost, after = RangeSet(), RangeSet(), None
        account(records, numbers)
        if finished:
            before = self._before(current.name, header)
            after = self._after(current.name, names, end)
            if before is not None and after is not None:
                lost = after.without(before).without(current.got).without(numbers)
            elif before is not None:
                # The owner died between making the next file and writing its header: go by what was read. What is
                # missing here is missed at the first segment whose end is known.
                after = RangeSet(before)
                after.update(current.got)
                after.update(numbers)
            if lost:
                records.append(self._loss(current.name, lost))
        damaged = damaged or current.damaged
        return Batch(records, current.name, offset, finished, damaged, numbers, lost, header, after)

    def advance(self, batch: Batch) -> None:
        """The batch was delivered: go on behind it, and give the space back of what was finished."""
        if not batch.finished:
            current = self._segment
            if current is None or current.name != batch.name:
                current = self._segment = _Segment(batch.name)
            current.offset = batch.offset
            current.header = batch.header
            current.damaged = batch.damaged
            current.got.update(batch.numbers)
            self._cursor = Cursor(*batch.name, batch.offset)
            return
        file = self.path / batch.name.text()
        if batch.damaged or batch.lost:
            file.rename(file.with_name(file.name + QUARANTINE_SUFFIX))
        else:
            file.unlink(missing_ok=True)
        self._segment = None
        self._seen = (batch.name.epoch, batch.after) if batch.after is not None else None
        self._cursor = Cursor(batch.name.epoch, batch.name.n + 1, 0)

    def save(self) -> None:
        """Bring the cursor to disk: written aside, synced, renamed.

        Raises:
            OSError: it is not; after a crash some records are delivered twice.
        """
        if self._cursor is None or self._cursor == self._saved:
            return
        aside = self._cursor_file.with_suffix(".tmp")
        fd = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, _FILE_MODE)
        try:
            seen = list(self._seen[1]) if self._seen is not None and self._seen[0] == self._cursor.epoch else None
            os.write(fd, msgspec.json.encode(msgspec.structs.replace(self._cursor, seen=seen)))
            os.fdatasync(fd)
        finally:
            os.close(fd)
        aside.replace(self._cursor_file)
        self._saved = self._cursor

    @property
    def position(self) -> Position:
        """Up to where it was delivered."""
        at = self._cursor
        return (at.epoch, at.n, at.offset) if at is not None else (0, 0, 0)

    def end(self) -> Position:
        """Where the folder ends now: what is written later lies behind it."""
        names = segments(self.path)
        if not names:
            return self.position
        try:
            return (*names[-1], (self.path / names[-1].text()).stat().st_size)
        except FileNotFoundError:  # delivered and unlinked a moment ago
            return (*names[-1], 0)

    def backlog_bytes(self) -> int:
        """Bytes on disk that are not delivered."""
        total = 0
        for name in segments(self.path):
            try:
                total += (self.path / name.text()).stat().st_size
            except FileNotFoundError:
                continue
        return max(0, total - (self._segment.offset if self._segment is not None else 0))

    def _load(self) -> Cursor | None:
        try:
            return msgspec.json.decode(self._cursor_file.read_bytes(), type=Cursor)
        except (FileNotFoundError, msgspec.DecodeError):
            return None

    def _current(self, names: list[SegmentName]) -> _Segment | None:
        current = self._segment
        if current is not None and current.name in names:
            return current
        at = self._cursor
        following = names if at is None else [name for name in names if name >= (at.epoch, at.n)]
        if not following:
            return None
        current = _Segment(following[0])
        if at is not None and following[0] == (at.epoch, at.n) and at.offset:
            # What was delivered before a restart counts when the segment's numbers are compared at its end.
            head = (self.path / following[0].text()).read_bytes()[: at.offset]
            frames, current.damaged = frame.salvage(head)
            records, current.header, _ = _sorted(frames)
            account(records, current.got)
            current.offset = at.offset
        self._segment = current
        return current

    def _frames(self, current: _Segment, max_bytes: int, *, closed: bool) -> tuple[list[frame.Frame], int, bool, bool]:
        """Frames from where we are.

        Returns:
            The frames (their ends counted from where we are), where in the file to go on, whether something between
            was skipped, and whether the file has no more.
        """
        with (self.path / current.name.text()).open("rb") as file:
            file.seek(current.offset)
            data = file.read(max_bytes)
            whole = len(data) < max_bytes
            frames, stop = frame.read(data)
            if not frames and not whole:  # one frame larger than the batch, or damage
                rest = file.read(_WHOLE)
                whole = len(rest) < _WHOLE
                data += rest
                frames, stop = frame.read(data)
        damaged = False
        if not frames and stop < len(data):
            again = frame.resync(data, stop)
            if again is not None:
                damaged = True
                frames, stop = frame.read(data, again)
            elif closed or not whole:  # a torn tail, or nothing readable in all of it
                stop = len(data)
                damaged = not whole
        return frames, current.offset + stop, damaged, whole and stop == len(data)

    def _after(self, name: SegmentName, names: list[SegmentName], end: EndMark | None) -> RangeSet | None:
        """The numbers accounted for when this segment was closed, as what follows it says."""
        if end is not None:
            return RangeSet(end.seen)
        following = next((other for other in names if other > name), None)
        if following is None or following.epoch != name.epoch:
            return None
        header = read_header(self.path / following.text())
        return RangeSet(header.seen) if header is not None else None

    def _before(self, name: SegmentName, header: Header | None) -> RangeSet | None:
        """The numbers accounted for when this segment was begun."""
        if header is not None:
            return RangeSet(header.seen)
        if name.n == 1:
            return RangeSet()
        return self._seen[1] if self._seen is not None and self._seen[0] == name.epoch else None

    def _loss(self, name: SegmentName, lost: RangeSet) -> bytes:
        at_ns = (self.path / name.text()).stat().st_mtime_ns  # the same for whoever finds it again
        event_id = fixed_id(self.producer, name.epoch, f"damaged {name.n}", at_ns // _NS_PER_MS)
        return encode(loss_event(self.producer, name.epoch, lost, reason="damaged", event_id=event_id, now_ns=at_ns))


def _sorted(frames: list[frame.Frame]) -> tuple[list[bytes], Header | None, EndMark | None]:
    header = end = None
    records: list[bytes] = []
    for item in frames:
        if item.kind == frame.RECORD:
            records.append(item.payload)
        elif item.kind == frame.HEADER:
            header = decode_header(item.payload)
        else:
            end = decode_end(item.payload)
    return records, header, end
