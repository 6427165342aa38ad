"""One producer's folder: who owns it, and the numbers it has taken.

The counter is a memory-mapped file, so that a number once taken is known to the successor even if the process was
killed at the next instruction. Stores of eight aligned bytes are not torn by a kill; after a power loss the counter
may be behind, so the successor takes the larger of it and what the segments say.
"""

import errno
import fcntl
import mmap
import os
import stat
import struct
import time
from pathlib import Path
from typing import NamedTuple

from audit.errors import SpoolBusy, SpoolFormat

LOCK_FILE = "lock"
COUNTER_FILE = "counter"
_FOLDER_MODE = 0o700
_FILE_MODE = 0o600
_LOCK_RETRY_S = 0.02
_MAGIC = b"lgcount1"
_COUNTER_BYTES = 64
_EPOCH, _SEQ, _ENDED, _FLOOR = 8, 16, 24, 32
_U64 = struct.Struct("<Q")
_ENDING = 2


def make(path: Path) -> None:
    """Make a spool folder, and what leads to it, for its owner only. The mode of a folder that exists is left alone.

    Raises:
        SpoolFormat: something else stands there. A link too: the relay does not follow one, so nothing would be
            delivered.
        OSError: it cannot be made.
    """
    for missing in [folder for folder in (*reversed(path.parents), path) if not os.path.lexists(folder)]:
        missing.mkdir(mode=_FOLDER_MODE, exist_ok=True)
    if not stat.S_ISDIR(path.lstat().st_mode):
        raise SpoolFormat(f"`{path}` is not a folder")


def open_file(path: Path, flags: int) -> int:
    """Open a file of ours: never through a link, never waiting for the other end of a pipe.

    Raises:
        SpoolFormat: what stands there is no file.
        OSError: it cannot be opened.
    """
    try:
        fd = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, _FILE_MODE)
    except OSError as exc:
        if exc.errno in (errno.ELOOP, errno.EISDIR, errno.ENXIO):
            raise SpoolFormat(f"`{path}` is not a regular file") from exc
        raise
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise SpoolFormat(f"`{path}` is not a regular file")
    return fd


def loose(path: Path) -> str | None:
    """What is wrong with a mode: whom besides its owner it lets in; None if nobody."""
    mode = stat.S_IMODE(path.lstat().st_mode)
    return f"mode {mode:04o} lets others in: chmod go= {path.name}" if mode & 0o077 else None


def free_bytes(path: Path) -> int:
    """Bytes of the folder's disk that we may still fill; 0 if it cannot be asked."""
    try:
        found = os.statvfs(path)
    except OSError:
        return 0
    return found.f_bavail * found.f_frsize


def lock(path: Path, wait_s: float = 0.0) -> int:
    """Become the owner of a folder.

    Args:
        path: The folder.
        wait_s: How long to wait for a predecessor that is just leaving.

    Returns:
        The descriptor that holds the lock; closing it, or dying, gives the folder up.

    Raises:
        SpoolBusy: somebody else owns it; the message names the process.
        SpoolFormat: the lock is no file.
        OSError: the disk refuses.
    """
    deadline = time.monotonic() + wait_s
    while True:
        fd = open_file(path / LOCK_FILE, os.O_RDWR | os.O_CREAT)
        try:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as exc:
                if time.monotonic() >= deadline:
                    raise SpoolBusy(f"spool folder `{path}` is owned by {owner(path) or 'another process'}") from exc
            else:
                if holds(path, fd):  # and not a file that somebody has unlinked meanwhile
                    _sign(fd)
                    return fd
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)
        time.sleep(_LOCK_RETRY_S)


def holds(path: Path, fd: int) -> bool:
    """Whether a lock that was taken is still the folder's: nobody has removed the folder or the file."""
    try:
        there = (path / LOCK_FILE).lstat()
    except OSError:
        return False
    ours = os.fstat(fd)
    return (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino)


def owner(path: Path) -> str:
    """Who said last that it owns a folder, as `pid 123`; empty if nobody did."""
    try:
        return (path / LOCK_FILE).read_bytes()[:32].decode("ascii", "replace").strip()
    except OSError:
        return ""


def owned(path: Path) -> bool:
    """Whether somebody holds a folder's lock. Takes nothing away from whoever wants it: the look is a shared one."""
    try:
        fd = open_file(path / LOCK_FILE, os.O_RDONLY)
    except (OSError, SpoolFormat):
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(fd)


def _sign(fd: int) -> None:
    """Say who holds the lock. On a full disk the file keeps its block, so the text is overwritten and then cut."""
    text = f"pid {os.getpid()}".encode()
    os.pwrite(fd, text, 0)
    os.ftruncate(fd, len(text))


class Counter:
    """Epoch, numbers taken, whether the epoch has ended, and the watermark, in a file that outlives the process.

    Attributes:
        seq: The last number taken; kept here as well so that taking one is an addition and one store.
    """

    def __init__(self, path: Path) -> None:
        self._fd = open_file(path / COUNTER_FILE, os.O_RDWR | os.O_CREAT)
        try:
            self._prepare(path / COUNTER_FILE)
            self._map = mmap.mmap(self._fd, _COUNTER_BYTES)
        except BaseException:
            os.close(self._fd)
            raise
        self.seq: int = self._get(_SEQ)

    def take(self) -> int:
        """The next number. Not for two threads at once."""
        self.seq = seq = self.seq + 1
        _U64.pack_into(self._map, _SEQ, seq)
        return seq

    @property
    def epoch(self) -> int:
        """The epoch the numbers belong to; 0 before the first."""
        return self._get(_EPOCH)

    @property
    def ended(self) -> bool:
        """Whether the epoch has its end mark (true before the first)."""
        return self._get(_EPOCH) == 0 or self._get(_ENDED) == 1

    def begin(self, epoch: int) -> None:
        """Begin an epoch.

        The number is reset first: a crash between the stores leaves an old epoch without a loss. The epoch comes last:
        whoever looks in between never sees a new one that has ended, which the store would believe for good.
        """
        self.seq = 0
        self._put(_SEQ, 0)
        self._put(_FLOOR, 0)
        self._put(_ENDED, 0)
        self._put(_EPOCH, epoch)
        self.sync()

    @property
    def ending(self) -> bool:
        """Whether an end mark was to be written next. If no segment is left then, it was, and was delivered."""
        return self._get(_ENDED) == _ENDING

    def begin_end(self) -> None:
        """State that the end mark is written next: from then on the relay may take the epoch's last segment away."""
        self._put(_ENDED, _ENDING)
        self.sync()

    def end(self) -> None:
        """State that the end mark is on disk."""
        self._put(_ENDED, 1)
        self.sync()

    @property
    def floor_ms(self) -> int:
        """Milliseconds since the epoch: every event with an earlier id is written. 0 if not known yet."""
        return self._get(_FLOOR)

    @floor_ms.setter
    def floor_ms(self, value: int) -> None:
        self._put(_FLOOR, value)

    def sync(self) -> None:
        """Bring it to disk."""
        os.fdatasync(self._fd)

    def close(self) -> None:
        """Give the mapping up; the file stays."""
        self._map.close()
        os.close(self._fd)

    def _prepare(self, file: Path) -> None:
        if os.fstat(self._fd).st_size == 0:
            os.pwrite(self._fd, _MAGIC.ljust(_COUNTER_BYTES, b"\0"), 0)
        elif os.pread(self._fd, len(_MAGIC), 0) != _MAGIC or os.fstat(self._fd).st_size < _COUNTER_BYTES:
            raise SpoolFormat(f"`{file}` is not a counter")

    def _get(self, at: int) -> int:
        return int(_U64.unpack_from(self._map, at)[0])

    def _put(self, at: int, value: int) -> None:
        _U64.pack_into(self._map, at, value)


def sync_folder(path: Path) -> None:
    """Make the folder's entries (a new segment, a renamed cursor) survive a power loss."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


class CounterView(NamedTuple):
    """A counter as another process sees it."""

    epoch: int
    seq: int
    ended: bool
    floor_ms: int
    ending: bool = False


def peek(path: Path) -> CounterView | None:
    """Read a folder's counter without owning the folder; None if there is none (yet)."""
    try:
        with (path / COUNTER_FILE).open("rb") as file:
            data = file.read(_COUNTER_BYTES)
    except FileNotFoundError:
        return None
    if len(data) < _COUNTER_BYTES or not data.startswith(_MAGIC):
        return None
    epoch, seq, ended, floor = (int(_U64.unpack_from(data, at)[0]) for at in (_EPOCH, _SEQ, _ENDED, _FLOOR))
    return CounterView(epoch, seq, ended == 1 or epoch == 0, floor, ended == _ENDING)
