"""Appending to segment files. Blocking; called from the commit thread and by whoever adopts a folder."""

import errno
import os
from collections.abc import Callable, Sequence
from itertools import accumulate
from pathlib import Path

from audit.ranges import Range, RangeSet
from audit.spool.folder import sync_folder
from audit.spool.reserve import FULL, Reserve
from audit.spool.segment import EndMark, Header, SegmentName, pack_end, pack_header

_FILE_MODE = 0o600
_NEW = "segment.new"


Part = Callable[[int], Sequence[Range]]
"""The numbers that the first so many of some frames account for."""


class PartlyWritten(OSError):
    """The disk took some frames of an append and no more.

    Attributes:
        frames: How many: the first of them stand in the file, and their numbers are seen.
    """

    def __init__(self, exc: OSError, frames: int) -> None:
        super().__init__(exc.errno, exc.strerror)
        self.frames = frames


class SegmentWriter:
    """Writes one epoch's segments.

    A frame is written whole or not at all: what a failed write left of one is cut off again, and where that fails too
    the file is given up and the next append opens another. A frame that is whole stays: the relay reads along, and may
    have delivered it before it could be cut. The file is given up after a failed sync, too: the kernel may have dropped
    the pages and report success next time (WiredTiger WT-4045, PostgreSQL 2018), so the file is never synced again.

    When the disk is full the running segment is closed by beginning the next one with half of the reserve's bytes: the
    relay can then free what it has delivered, however large a segment may grow. Until the reserve could be set aside
    again nothing but last words (a loss record, an end mark) is written.

    Attributes:
        seen: The numbers written or reported lost in this epoch.
        owned: Whether the folder is still ours: in a folder that somebody has made anew nothing is begun.
    """

    def __init__(
        self,
        folder: Path,
        producer: str,
        epoch: int,
        *,
        segment_bytes: int,
        first: int = 1,
        reserve_bytes: int = 0,
        owned: Callable[[], bool] = lambda: True,
    ) -> None:
        self.seen = RangeSet()
        self.owned = owned
        self._folder = folder
        self._producer = producer
        self._epoch = epoch
        self._segment_bytes = segment_bytes
        self._reserve = Reserve(folder, reserve_bytes)
        self._starved = False  # the disk was full at the last look
        self._before: list[Range] = []  # seen before the current segment
        self._n = first - 1
        self._fd = -1
        self._size = 0
        self._head_bytes = 0
        self._dirty = False
        self._unsure = False  # a file was given up with bytes that were not synced

    @property
    def name(self) -> SegmentName:
        """The current segment."""
        return SegmentName(self._epoch, self._n)

    @property
    def size(self) -> int:
        """Bytes in the current segment."""
        return self._size if self._fd >= 0 else 0

    @property
    def held(self) -> RangeSet:
        """The numbers that stand in the current segment."""
        return self.seen.without(RangeSet(self._before)) if self._fd >= 0 else RangeSet()

    @property
    def gone(self) -> bool:
        """Whether somebody has unlinked the current segment: what is written into it nobody will ever read."""
        return self._fd >= 0 and os.fstat(self._fd).st_nlink == 0

    def open(self) -> None:
        """Begin a segment, with what the reserve gives if there is no room.

        Raises:
            OSError: it cannot be made; nothing is left of it.
        """
        more = iter((self._reserve.lend, self._reserve.give_up))  # a header that tells of many gaps may need all of it
        while True:
            try:
                self._open()
                break
            except OSError as exc:
                if exc.errno not in FULL:
                    raise
                if not any(free() for free in more):
                    raise
        self._starved = not self._reserve.restore()

    def append(
        self, frames: Sequence[bytes], numbers: Sequence[Range], *, part: Part | None = None, last_words: bool = False
    ) -> None:
        """Append frames.

        Args:
            frames: Packed frames, written in order.
            numbers: The sequence numbers they account for.
            part: The same of the first so many; needed where there are several that account for any.
            last_words: They say what is missing, or that nothing follows: the reserve is there for them.

        Raises:
            PartlyWritten: The first of them are in the file.
            OSError: none of them is in the file.
        """
        if self._starved and not last_words:
            self._starved = not self._reserve.restore()
            if self._starved:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = 0
        try:
            self._append(frames)
        except OSError as exc:
            written = self._keep(exc, 0, part)
            if exc.errno in FULL:
                self._close_full()
            if exc.errno not in FULL or not last_words:
                raise
            self._reserve.give_up()
            try:
                self._append(frames[written:])
            except OSError as again:
                kept = self._keep(again, written, part)
                raise PartlyWritten(again, kept) if kept else again from None
        self.seen.update(numbers)

    def sync(self) -> None:
        """Bring what was appended to disk.

        Raises:
            OSError: nothing since the last sync may be relied on; the file is given up.
        """
        if self._unsure:
            self._unsure = False
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        if self._fd < 0 or not self._dirty:
            return
        try:
            os.fdatasync(self._fd)
        except OSError:
            self._dirty = False
            self._give_up()
            raise
        self._dirty = False

    def end(self, taken: int, *, clean: bool) -> None:
        """Write the end mark and sync.

        Raises:
            OSError: the epoch has not ended.
        """
        self.append([pack_end(EndMark(taken, list(self.seen), clean))], (), last_words=True)
        self.sync()
        self._reserve.give_up()  # there is nothing to keep it for: the next owner sets its own aside

    def close(self) -> None:
        """Give the file up as it is."""
        self._give_up()

    def _open(self) -> None:
        self._give_up()
        if not self.owned():
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
        path, fd = self._next()
        self._fd = fd
        self._size = self._head_bytes = 0
        before = list(self.seen)
        aside = self._folder / _NEW
        try:
            self._write(pack_header(Header(self._producer, self._epoch, self._n, before)))
            os.fdatasync(self._fd)
            aside.rename(path)
            sync_folder(self._folder)
        except OSError:
            self._dirty = False
            self._give_up()
            aside.unlink(missing_ok=True)
            path.unlink(missing_ok=True)
            raise
        self._head_bytes = self._size
        self._before = before
        self._dirty = False

    def _next(self) -> tuple[Path, int]:
        """A new file, and the next name under which nothing stands: nothing that is there is ever written to.

        INVARIANT: a segment has its header when it gets its name. The relay takes a segment away when the next one is
        in sight, and from then on only that one's header knows what the earlier ones held.
        """
        (self._folder / _NEW).unlink(missing_ok=True)  # a predecessor died between making it and naming it
        fd = os.open(self._folder / _NEW, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _FILE_MODE)
        self._n += 1
        while os.path.lexists(self._folder / self.name.text()):
            self._n += 1
        return self._folder / self.name.text(), fd

    def _keep(self, exc: OSError, before: int, part: Part | None) -> int:
        """Account for what stands in the file of an append that failed; how many frames that is, with those before."""
        whole = before + (exc.frames if isinstance(exc, PartlyWritten) else 0)
        if whole and part is not None:
            self.seen.update(part(whole))
        return whole

    def _append(self, frames: Sequence[bytes]) -> None:
        data = b"".join(frames)
        full = self._size > self._head_bytes and self._size + len(data) > self._segment_bytes
        if full:
            try:
                self.sync()
            except OSError:  # what is unsynced is written again at the next sync; this goes into a new file at once
                self._unsure = True
        if self._fd < 0 or full:
            self.open()
        self._write(data, frames)
        self._dirty = True

    def _close_full(self) -> None:
        """The disk is full: let the relay have what stands in the current segment."""
        self._starved = True
        if self._fd < 0 or self._size <= self._head_bytes:
            return
        try:
            self.sync()
        except OSError:
            self._unsure = True
        try:
            self.open()
        except OSError:  # no room even so: another time
            return

    def _write(self, data: bytes, frames: Sequence[bytes] = ()) -> None:
        view = memoryview(data)
        done = 0
        try:
            while done < len(view):
                done += os.pwrite(self._fd, view[done:], self._size + done)
        except OSError as exc:
            whole = kept = 0
            for size in accumulate(map(len, frames)):
                if size > done:
                    break
                whole, kept = whole + 1, size
            self._size += kept
            self._dirty = self._dirty or whole > 0
            self._cut()
            if whole:
                raise PartlyWritten(exc, whole) from exc
            raise
        self._size += done

    def _cut(self) -> None:
        try:
            os.ftruncate(self._fd, self._size)
        except OSError:
            self._give_up()

    def _give_up(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._unsure = self._unsure or self._dirty
        self._fd = -1
        self._dirty = False
