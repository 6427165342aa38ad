"""Files that grow by lines, are closed by size and age, and of which so many are kept. Blocking; one thread at a time.

A line is in a file whole or not at all: what a failed write left is cut off, and what a crash left is cut off when the
file is opened again. Lines are synced before `append` returns.
"""

import gzip
import hashlib
import os
import shutil
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from audit.errors import SpoolBusy, SpoolFormat
from audit.spool.folder import lock, make, sync_folder

_FILE_MODE = 0o600
_SUFFIX = ".ndjson"
_PACKED = ".ndjson.gz"
_TAIL_BYTES = 1 << 16
_DIGEST_BYTES = 12


class LinesRules(NamedTuple):
    """When a file is closed, and how much is kept.

    Attributes:
        rotate_bytes: A file that has reached this size is closed.
        rotate_s: A file that is as old as this is closed.
        keep_files: Files kept, the open one included.
        compress: Whether closed files are packed.
        min_free_bytes: Nothing is written where the disk has less left.
    """

    rotate_bytes: int = 64 << 20
    rotate_s: float = 86_400.0
    keep_files: int = 30
    compress: bool = False
    min_free_bytes: int = 0


class LineFiles:
    """`<stem>-<when it was begun>.ndjson` in a folder that one process owns.

    Args:
        folder: Made 0700 if it is not there.
        stem: Start of the files' names.
        rules: When they are closed, and how many are kept.
        on_gone: Told when the open file was renamed, cut or removed by somebody else.
        now_ns: Nanoseconds since the epoch.
    """

    def __init__(
        self,
        folder: Path,
        stem: str,
        rules: LinesRules,
        *,
        on_gone: Callable[[Path], None] | None = None,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._folder = folder
        self._stem = stem
        self._rules = rules
        self._on_gone = on_gone
        self._now_ns = now_ns
        self._lock = -1
        self._fd = -1
        self._path = folder
        self._size = 0
        self._begun_s = 0.0

    @property
    def path(self) -> Path:
        """The open file."""
        return self._path

    def files(self) -> list[Path]:
        """All there are, oldest first."""
        found = [*self._folder.glob(f"{self._stem}-*{_SUFFIX}"), *self._folder.glob(f"{self._stem}-*{_PACKED}")]
        return sorted(found, key=lambda path: path.name)

    def open(self) -> bool:
        """Own the folder and open the newest file, or a new one.

        Returns:
            Whether it was not open before.

        Raises:
            SpoolBusy: another process writes here.
            OSError: the folder or the file cannot be used.
        """
        if self._lock < 0:
            try:
                make(self._folder)
                self._lock = lock(self._folder)
            except SpoolBusy:
                raise SpoolBusy(f"`{self._folder}` is being written by another process") from None
            except SpoolFormat as exc:
                raise OSError(str(exc)) from exc
        if self._fd >= 0:
            return False
        self._tidy()
        newest = next((path for path in reversed(self.files()) if path.name.endswith(_SUFFIX)), None)
        if newest is None or newest != self.files()[-1]:
            self._begin()
        else:
            self._resume(newest)
        return True

    def append(self, lines: Sequence[bytes]) -> None:
        """Write lines, each with its end, and sync them.

        Raises:
            SpoolBusy: another process writes here.
            OSError: none of them is in the file.
        """
        self.open()
        self._look_after()
        data = b"".join(lines)
        free = os.fstatvfs(self._fd)
        if free.f_bavail * free.f_frsize < self._rules.min_free_bytes + len(data):
            raise OSError(f"less than {self._rules.min_free_bytes} bytes are free in `{self._folder}`")
        if self._size and (
            self._size >= self._rules.rotate_bytes or self._now_ns() / 1e9 - self._begun_s >= self._rules.rotate_s
        ):
            self._rotate()
        done, view = 0, memoryview(data)
        try:
            while done < len(view):
                done += os.pwrite(self._fd, view[done:], self._size + done)
            os.fdatasync(self._fd)
        except OSError:
            self._cut()
            raise
        self._size += done

    def tail(self, count: int) -> set[bytes]:
        """The digests of the last lines there are, from the newest file back."""
        found: set[bytes] = set()
        for path in reversed(self.files()):
            if count <= 0:
                break
            with gzip.open(path) if path.name.endswith(_PACKED) else path.open("rb") as file:
                last = _last(file, count)
            count -= len(last)
            found.update(last)
        return found

    def close(self) -> None:
        """Give the file and the folder up."""
        for fd in (self._fd, self._lock):
            if fd >= 0:
                os.close(fd)
        self._fd = self._lock = -1

    def _tidy(self) -> None:
        """Remove what a crash left of packing."""
        for half in self._folder.glob(f"{self._stem}-*{_PACKED}.tmp"):
            half.unlink(missing_ok=True)
        for packed in self._folder.glob(f"{self._stem}-*{_PACKED}"):
            packed.with_name(packed.name.removesuffix(".gz")).unlink(missing_ok=True)

    def _begin(self) -> None:
        begun_ns = self._now_ns()
        while True:
            moment = datetime.fromtimestamp(begun_ns // 1_000_000_000, UTC)
            path = self._folder / f"{self._stem}-{moment:%Y%m%dT%H%M%S}.{begun_ns // 1000 % 1_000_000:06d}Z{_SUFFIX}"
            others = self.files()
            if not others or path.name > others[-1].name:
                break
            begun_ns += 1_000  # a clock that stepped back, or two in one microsecond: names must rise all the same
            if path.name < others[-1].name:
                begun_ns = max(begun_ns, _begun_ns(others[-1], self._stem) + 1_000)
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _FILE_MODE)
        self._path, self._size, self._begun_s = path, 0, self._now_ns() / 1e9
        sync_folder(self._folder)

    def _resume(self, path: Path) -> None:
        """Go on in a file; a line that a crash has left half is cut off."""
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            size = at = os.fstat(fd).st_size
            whole = 0
            while at > 0 and not whole:
                start = max(0, at - _TAIL_BYTES)
                whole = start + os.pread(fd, at - start, start).rfind(b"\n") + 1
                if whole == start:
                    whole, at = 0, start
            if whole < size:
                os.ftruncate(fd, whole)
                os.fdatasync(fd)
        except OSError:
            os.close(fd)
            raise
        self._fd, self._path, self._size = fd, path, whole
        self._begun_s = _begun_ns(path, self._stem) / 1e9

    def _look_after(self) -> None:
        """Notice that somebody has taken the file away; what stood in it is theirs, a new one is begun."""
        ours = os.fstat(self._fd)
        try:
            there = self._path.lstat()
            same = (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino)
        except FileNotFoundError:
            same = False
        if same and ours.st_size >= self._size:
            return
        if self._on_gone is not None:
            self._on_gone(self._path)
        if same:  # cut in place
            self._size = ours.st_size
            self._give_up()
            self._resume(self._path)
        else:
            self._give_up()
            self._begin()

    def _rotate(self) -> None:
        self._give_up()
        self._begin()
        if self._rules.compress:
            for closed in self.files():
                if closed != self._path and closed.name.endswith(_SUFFIX):
                    _pack(closed)
        for old in self.files()[: -self._rules.keep_files]:
            old.unlink(missing_ok=True)

    def _cut(self) -> None:
        with suppress(OSError):
            os.ftruncate(self._fd, self._size)
        self._give_up()  # after a failed sync a file is not written again; opening it cuts what is not whole

    def _give_up(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = -1


def _begun_ns(path: Path, stem: str) -> int:
    """When a file was begun, from its name; 0 for a name that is not ours."""
    text = path.name.removeprefix(f"{stem}-").partition(".ndjson")[0]
    try:
        moment = datetime.strptime(text, "%Y%m%dT%H%M%S.%fZ").replace(tzinfo=UTC)
    except ValueError:
        return 0
    return int(moment.timestamp()) * 1_000_000_000 + moment.microsecond * 1_000


def line_digest(line: bytes) -> bytes:
    """What a line is known by."""
    return hashlib.blake2b(line, digest_size=_DIGEST_BYTES).digest()


def _last(lines: Iterable[bytes], count: int) -> deque[bytes]:
    return deque((line_digest(line) for line in lines), maxlen=count)


def _pack(path: Path) -> None:
    """Replace a closed file by its packed form; a crash leaves the one or the other, never half of it."""
    packed = path.with_name(path.name.removesuffix(_SUFFIX) + _PACKED)
    aside = packed.with_name(packed.name + ".tmp")
    fd = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, _FILE_MODE)
    with os.fdopen(fd, "wb") as raw:
        with path.open("rb") as source, gzip.GzipFile(fileobj=raw, mode="wb", compresslevel=6, filename="") as target:
            shutil.copyfileobj(source, target, 1 << 20)
        raw.flush()
        os.fdatasync(raw.fileno())
    aside.replace(packed)
    path.unlink()
