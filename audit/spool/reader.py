"""Reading a spool folder from another process, in order, while its owner goes on writing.

Each sink has a reader of its own. `read` goes on behind what was read before, `advance` says that a batch was
delivered: only that moves the cursor, so after a crash in between it is read again. A reader changes nothing but its
cursor; segments are unlinked by `audit.spool.clear` when all have passed them. A damaged segment is delivered as far as
it can be read, and what cannot is named in an `audit.loss` record, which is the same whoever finds it.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from audit.codec import encode
from audit.ranges import RangeSet
from audit.spool import frame
from audit.spool.adopt import fixed_id, loss_event
from audit.spool.cursor import Cursor, cursor_file, load, store
from audit.spool.segment import (
    EndMark,
    Header,
    SegmentName,
    account,
    decode_end,
    decode_header,
    read_header,
    segments,
)

_WHOLE = frame.PAYLOAD_LIMIT + frame.HEAD_BYTES
_NS_PER_MS = 1_000_000
_LEAST_READ = 16 << 10
_FIRST_MEAN = 1024
_AGAIN_BYTES = 1 << 20

Position: TypeAlias = tuple[int, int, int]
"""Epoch, segment, offset."""


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
        size: Bytes they take there.
        next: Where to go on.
        before: The numbers accounted for before that segment, if that is known.
        finished: Whether the segment has been read to its end.
        damaged: Whether something in it could not be read.
        lost: Numbers that were in it and cannot be read; the last record says so too.
    """

    records: list[bytes]
    name: SegmentName
    size: int
    next: Cursor
    before: RangeSet | None = None
    finished: bool = False
    damaged: bool = False
    lost: RangeSet = field(default_factory=RangeSet)


class Skipped(NamedTuple):
    """The rest of a segment that a sink was moved over.

    Attributes:
        name: The segment.
        numbers: Those that the sink misses.
        first: The first record of them that can be read.
        written_ns: When the segment was last written to.
        before: The numbers accounted for up to its end, if that is known.
    """

    name: SegmentName
    numbers: RangeSet
    first: bytes | None
    written_ns: int
    before: RangeSet | None


class FolderReader:
    """Reads one folder for one sink. Blocking; not for two threads at once.

    Attributes:
        producer: Whose folder it is, as its segments say; the folder's name until one was read.
        skipped: Details of what the sink was moved over, until they are recorded.
    """

    def __init__(self, path: Path, sink: str) -> None:
        self.path = path
        self.producer = path.name
        self._cursor_file = cursor_file(path, sink)
        self._cursor = load(self._cursor_file)  # behind what was delivered
        self._seen: RangeSet | None = None  # what was accounted for before the cursor's segment
        self._begin()
        self.skipped = list(self._cursor.skipped) if self._cursor is not None else []
        self._saved = self._cursor
        self._mean = _FIRST_MEAN  # bytes a record takes

    @property
    def place(self) -> SegmentName | None:
        """The segment that delivery is in; None before the first."""
        return self._cursor.place if self._cursor is not None else None

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
        frames, offset, damaged, whole = self._frames(current, max_records, max_bytes, closed=closed)
        records, header, end = _sorted(frames)
        finished = end is not None or (closed and whole)
        if not frames and not finished and not damaged:
            return None
        header, damaged = header or current.header, damaged or current.damaged
        got = RangeSet(current.got)
        account(records, got)
        size = offset - current.offset
        # INVARIANT: nothing of ours changes before all that can fail is done; else records would be passed over.
        if finished:
            after, lost = self._compared(current.name, names, header, end, got)
            if lost:
                records.append(self._loss(current.name, lost))
            self._go_on(SegmentName(current.name.epoch, current.name.n + 1), after)
            batch = Batch(
                records, current.name, size, Cursor(*self._next, 0), after, finished=True, damaged=damaged, lost=lost
            )
        else:
            batch = Batch(records, current.name, size, Cursor(*current.name, offset), self._before_now)
            current.offset, current.header, current.damaged, current.got = offset, header, damaged, got
        if records:
            self._mean = (self._mean + size // len(records)) // 2
        if header is not None:
            self.producer = header.producer
        return batch

    def advance(self, batch: Batch) -> None:
        """The batch was delivered."""
        self._cursor = batch.next
        self._seen = batch.before

    def passed(self, epoch: int) -> bool:
        """Whether no segment of that epoch, or an earlier one, is left to be read."""
        return not any(self._next <= name and name.epoch <= epoch for name in segments(self.path))

    def rewind(self) -> None:
        """Read again from behind what was delivered."""
        self._begin()

    def forget(self) -> None:
        """Begin with the oldest segment there is: the cursor speaks of numbers that are not this folder's any more."""
        self._cursor = self._seen = None
        self._begin()

    def skip(self) -> Skipped | None:
        """Read on behind the segment that delivery is in, which nobody writes to any more.

        Returns:
            What delivery is to be moved over, see `pass_over`; None if there is no segment.
        """
        self.rewind()
        try:
            return self._skip()
        except BaseException:
            self.rewind()
            raise

    def _skip(self) -> Skipped | None:
        names = segments(self.path)
        current = self._current(names)
        if current is None:
            return None
        delivered, first, end, whole = RangeSet(current.got), None, None, False
        while end is None and not whole:  # read through, so that exactly what is in it is named
            frames, current.offset, _, whole = self._frames(current, 10_000, _AGAIN_BYTES, closed=True)
            records, header, end = _sorted(frames)
            account(records, current.got)
            current.header = header or current.header
            first = first or (records[0] if records else None)
        if current.header is not None:
            self.producer = current.header.producer
        after, lost = self._compared(current.name, names, current.header, end, current.got)
        current.got.update(lost)  # what is damaged in it is named with the rest
        self._go_on(SegmentName(current.name.epoch, current.name.n + 1), after)
        written_ns = (self.path / current.name.text()).stat().st_mtime_ns
        return Skipped(current.name, current.got.without(delivered), first, written_ns, after)

    def pass_over(self, passed: Skipped, details: dict[str, Any]) -> None:
        """Move delivery over what `skip` has found, with the details to be recorded.

        Raises:
            OSError: delivery has moved on, but not on disk.
        """
        self.skipped.append(details)
        following = Cursor(passed.name.epoch, passed.name.n + 1, 0)
        try:  # INVARIANT: on disk first. Once we stand behind a segment it may be unlinked, and then it names nothing.
            self._store(self._whole(following, passed.before))
        finally:
            self._cursor, self._seen = following, passed.before

    def save(self) -> None:
        """Bring the cursor to disk.

        Raises:
            OSError: it is not; after a crash some records are delivered twice.
        """
        whole = self._whole(self._cursor, self._seen) if self._cursor is not None else None
        if whole is not None and whole != self._saved:
            self._store(whole)

    def _store(self, whole: Cursor) -> None:
        store(self._cursor_file, whole)
        self._saved = whole

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
        at, total = self._cursor, 0
        for name in segments(self.path):
            if at is None or name >= at.place:
                try:
                    total += (self.path / name.text()).stat().st_size
                except FileNotFoundError:
                    continue
                if at is not None and name == at.place:
                    total -= at.offset
        return max(0, total)

    def _whole(self, at: Cursor, before: RangeSet | None) -> Cursor:
        return Cursor(*at.place, at.offset, None if before is None else list(before), list(self.skipped))

    def _begin(self) -> None:
        """Read from the cursor on."""
        at = self._cursor
        if at is not None and at.seen is not None and self._seen is None:
            self._seen = RangeSet(at.seen)
        self._segment: _Segment | None = None
        self._next = at.place if at is not None else SegmentName(0, 0)
        self._next_offset = at.offset if at is not None else 0
        self._before_now = self._seen  # what was accounted for before the segment that reading is in
        self._fresh = True  # whether what stands before `_next` was read by somebody else than us

    def _go_on(self, following: SegmentName, before: RangeSet | None) -> None:
        self._segment = None
        self._next, self._next_offset, self._before_now, self._fresh = following, 0, before, False

    def _current(self, names: list[SegmentName]) -> _Segment | None:
        """The segment that reading is in."""
        current = self._segment
        if current is not None and current.name in names:
            return current
        if current is not None:  # unlinked under us
            self._segment = self._before_now = None
        following = [name for name in names if name >= self._next]
        if not following:
            return None
        current = _Segment(following[0])
        if following[0].epoch != self._next.epoch or (self._fresh and following[0] != self._next):
            # Another epoch; or after a crash a cursor that is behind what was unlinked: it says nothing of this one.
            self._before_now = None
        if following[0] == self._next and self._next_offset:
            self._go_over(current, self._next_offset)
        self._segment = current
        return current

    def _go_over(self, current: _Segment, until: int) -> None:
        """What was delivered before a restart counts when the segment's numbers are compared at its end."""
        while current.offset < until:
            base = current.offset
            frames, offset, damaged, _ = self._frames(
                current, 10_000, min(_AGAIN_BYTES, until - current.offset), closed=True, until=until
            )
            records, header, _ = _sorted(frames)
            account(records, current.got)
            current.header = header or current.header
            current.damaged = current.damaged or damaged
            current.offset = offset
            if offset == base:
                break
        current.offset = until

    def _frames(
        self, current: _Segment, max_records: int, max_bytes: int, *, closed: bool, until: int | None = None
    ) -> tuple[list[frame.Frame], int, bool, bool]:
        """Frames from where we are.

        Returns:
            The frames, where in the file to go on, whether something between was skipped, and whether the file has no
            more.
        """
        # As much as that many records probably take: what is read and not used is read again.
        size = max(_LEAST_READ, min(max_bytes, max_records * self._mean * 5 // 4)) if until is None else max_bytes
        with (self.path / current.name.text()).open("rb") as file:
            file.seek(current.offset)
            data = file.read(size)
            whole = len(data) < size
            frames, stop = frame.read(data, 0, max_records)
            for most in (_AGAIN_BYTES, _WHOLE) if until is None else (until - current.offset - len(data),):
                if frames or whole:
                    break
                rest = file.read(most)  # one frame larger than that, or damage
                whole = len(rest) < most
                data += rest
                frames, stop = frame.read(data, 0, max_records)
        if len(frames) == max_records and stop < len(data):
            whole = False
        damaged = False
        if not frames and stop < len(data):
            again = frame.resync(data, stop)
            if again is not None:
                damaged = True
                frames, stop = frame.read(data, again, max_records)
            elif closed or not whole:  # a torn tail, or nothing readable in all of it
                stop = len(data)
                damaged = not whole
        return frames, current.offset + stop, damaged, whole and stop == len(data)

    def _compared(
        self, name: SegmentName, names: list[SegmentName], header: Header | None, end: EndMark | None, got: RangeSet
    ) -> tuple[RangeSet | None, RangeSet]:
        """What is accounted for up to a segment's end, if that is known, and what should have been in it and is not."""
        before, after = self._before(name, header), self._after(name, names, end)
        if before is None:
            return after, RangeSet()
        if after is not None:
            return after, after.without(before).without(got)
        # The owner died between making the next file and writing its header: go by what was read. What is missing here
        # is missed at the first segment whose end is known.
        after = RangeSet(before)
        after.update(got)
        return after, RangeSet()

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
        return self._before_now

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
