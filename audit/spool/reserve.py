"""A few kilobytes set aside in a spool folder, given up when the disk is full.

Without them a full disk can keep itself full: space is freed by whole segments, a segment is finished when the next one
has been begun, and the next one's header finds no room.
"""

import errno
import os
from pathlib import Path

RESERVE_FILE = "reserve"
FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
"""What a disk says that has no room, for anybody or for us."""
_FILE_MODE = 0o600


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
        """Set the bytes aside (again).

        Returns:
            Whether they are: False says that the disk is still full.
        """
        if self._there or self._size == 0:
            return True
        try:
            fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, _FILE_MODE)
        except OSError as exc:
            return exc.errno not in FULL
        try:
            os.posix_fallocate(fd, 0, self._size)  # real blocks, not a promise
        except OSError as exc:
            self._path.unlink(missing_ok=True)  # what it got of them is others' again
            return exc.errno not in FULL
        finally:
            os.close(fd)
        self._there = True
        return True

    def give_up(self) -> bool:
        """Free the bytes, whoever has set them aside.

        Returns:
            Whether there were any.
        """
        self._there = False
        try:
            self._path.unlink()
        except OSError:
            return False
        return True
