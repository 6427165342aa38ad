"""A few kilobytes set aside in a spool folder, given up when the disk is full.

Without them a full disk can keep itself full: space is freed by whole segments, a segment is finished when the next one
has been begun, and the next one's header finds no room.

Half of them begins that segment. The other half is for last words: a process that is killed while the disk is full
leaves it to its successor, who could not say how the epoch ended where others have taken every byte meanwhile. What
the successor does not need of it, it keeps for its own.
"""

import errno
import os
from pathlib import Path

RESERVE_FILE = "reserve"
FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
"""What a disk says that has no room, for anybody or for us."""
_FILE_MODE = 0o600
_HALVED = 4
_FLAGS = os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC


class Reserve:
    """The reserve of one folder, in the hands of the folder's owner.

    Args:
        folder: The spool folder.
        size: Bytes to set aside; 0 for none.
    """

    def __init__(self, folder: Path, size: int) -> None:
        self._path = folder / RESERVE_FILE
        self._size = size
        self._there = False

    def restore(self) -> bool:
        """Set the bytes aside (again), or as many as there are: half of them, a quarter, an eighth.

        Returns:
            Whether all of them are: False says that the disk is still full.
        """
        if self._there or self._size == 0:
            return True
        try:
            fd = os.open(self._path, os.O_CREAT | _FLAGS, _FILE_MODE)
        except OSError as exc:
            return exc.errno not in FULL
        try:
            for size in (self._size >> halved for halved in range(_HALVED)):
                refused = _allocate(fd, size)
                if refused not in FULL:
                    self._there = refused is None and size == self._size
                    return refused is not None or self._there
        finally:
            if os.fstat(fd).st_size == 0:
                self._path.unlink(missing_ok=True)
            os.close(fd)
        return False

    def lend(self) -> bool:
        """Free the bytes that begin a segment, and keep those for last words.

        Returns:
            Whether there were any.
        """
        self._there = False
        keep = self._size // 2
        if keep == 0:
            return False
        try:
            fd = os.open(self._path, _FLAGS)
        except OSError:
            return False
        try:
            more = os.fstat(fd).st_size > keep
            if more:
                os.ftruncate(fd, keep)
        except OSError:
            return False
        else:
            return more
        finally:
            os.close(fd)

    def give_up(self) -> bool:
        """Free all the bytes, whoever has set them aside.

        Returns:
            Whether there were any.
        """
        self._there = False
        try:
            self._path.unlink()
        except OSError:
            return False
        return True


def _allocate(fd: int, size: int) -> int | None:
    """Real blocks, not a promise, for a file that may have some; None, or why there are none."""
    held = os.fstat(fd).st_size
    if held >= size:
        return None
    try:
        os.posix_fallocate(fd, 0, size)
    except OSError as exc:
        os.ftruncate(fd, held)
        return exc.errno
    return None
