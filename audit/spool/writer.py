"""Appending to segment files. Blocking; called from the commit thread and by whoever adopts a folder."""

import os
from collections.abc import Sequence
from pathlib import Path

from audit.ranges import Range, RangeSet
from audit.spool.folder import sync_folder
from audit.spool.segment import EndMark, Header, SegmentName, pack_end, pack_header

_FILE_MODE = 0o600


class SegmentWriter:
    """Writes one epoch's segments.

    An append is whole or not at all: what a failed write left behind is cut off again, and where that fails too the
    file is given up and the next append opens another. The same holds after a failed sync: the kernel may have dropped
    the pages and report success next time (WiredTiger WT-4045, PostgreSQL 2018), so the file is never synced again.

    Attributes:
        seen: The numbers written or reported lost in this epoch.
    """

    def __init__(self, folder: Path, producer: str, epoch: int, *, segment_bytes: int, first: int = 1) -> None:
        self.seen = RangeSet()
        self._folder = folder
        self._producer = producer
        self._epoch = epoch
        self._segment_bytes = segment_bytes
        self._n = first - 1
        self._fd = -1
        self._size = 0
        self._head_bytes = 0
        self._dirty = False

    @property
    def name(self) -> SegmentName:
        """The current segment."""
        return SegmentName(self._epoch, self._n)

    @property
    def size(self) -> int:
        """Bytes in the current segment."""
        return self._size if self._fd >= 0 else 0

    def open(self) -> None:
        """Begin a segment.

        Raises:
            OSError: it cannot be made; nothing is left of it.
        """
        self._give_up()
        header = pack_header(Header(self._producer, self._epoch, self._n + 1, list(self.seen)))
        path = self._folder / SegmentName(self._epoch, self._n + 1).text()
        self._n += 1
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _FILE_MODE)
        self._size = self._head_bytes = 0
        try:
            self._write(header)
            os.fdatasync(self._fd)
            sync_folder(self._folder)
        except OSError:
            self._give_up()
            path.unlink(missing_ok=True)
            raise
        self._head_bytes = self._size
        self._dirty = False

    def append(self, frames: Sequence[bytes], numbers: Sequence[Range]) -> None:
        """Append frames.

        Args:
            frames: Packed frames, written in order.
            numbers: The sequence numbers they account for.

        Raises:
            OSError: none of them is in the file.
        """
        data = b"".join(frames)
        full = self._size > self._head_bytes and self._size + len(data) > self._segment_bytes
        if self._fd >= 0 and full:
            self.sync()
        if self._fd < 0 or full:
            self.open()
        self._write(data)
        self._dirty = True
        self.seen.update(numbers)

    def sync(self) -> None:
        """Bring what was appended to disk.

        Raises:
            OSError: nothing since the last sync may be relied on; the file is given up.
        """
        if self._fd < 0 or not self._dirty:
            return
        try:
            os.fdatasync(self._fd)
        except OSError:
            self._give_up()
            raise
        self._dirty = False

    def end(self, taken: int, *, clean: bool) -> None:
        """Write the end mark and sync.

        Raises:
            OSError: the epoch has not ended.
        """
        self.append([pack_end(EndMark(taken, list(self.seen), clean))], ())
        self.sync()

    def close(self) -> None:
        """Give the file up as it is."""
        self._give_up()

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        done = 0
        try:
            while done < len(view):
                done += os.pwrite(self._fd, view[done:], self._size + done)
        except OSError:
            self._cut()
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
        self._fd = -1
        self._dirty = False
