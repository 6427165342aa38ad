"""Entries on disk: a file that is only appended to, synced before anybody is told, and read whole at a start.

A line is the CRC-32 of what follows in 8 hex digits, a space, and one entry as JSON. The newest line of an entry is its
state. A last line without its end is a write that nobody was told of, and is cut off; anything else that cannot be read
refuses the start, because an entry lost without a word is a token let back in. Blocking: run it in a thread.
"""

import fcntl
import os
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec
import structlog

from gateway.fleet.errors import JournalBroken, NotKept
from gateway.revocations import Revocation, is_sound

_FOLDER_MODE: Final = 0o700
_FILE_MODE: Final = 0o600
_CRC_CHARS: Final = 8
_SPARE_LINES: Final = 1_000
"""Lines of states that are no more may stand in the file, as many as entries and these, before it is written anew."""

_log = structlog.get_logger(__name__)


class Journal:
    """The file of one gateway; held under a lock.

    Args:
        folder: Made for its owner alone where it is not there.
        node: The gateway's name in the fleet, and the file's.

    Raises:
        JournalBroken: It cannot be opened, or another process holds it.
    """

    def __init__(self, folder: Path, node: str) -> None:
        self._path = folder / f"{node}.revocations"
        self._lines = 0
        try:
            folder.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
            # The lock has a file of its own: the journal's is replaced when it is written anew.
            self._lock = os.open(folder / f"{node}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _FILE_MODE)
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(self._lock)
                raise JournalBroken(f"{self._path}: held by another gateway; each needs its own node") from None
            self._file = self._open()
        except OSError as exc:
            raise JournalBroken(f"{self._path}: cannot be opened: {exc.strerror}") from exc

    def read(self) -> dict[str, Revocation]:
        """Every entry's last state by its id.

        Raises:
            JournalBroken: With the line.
        """
        try:
            data = self._path.read_bytes()
        except OSError as exc:
            raise JournalBroken(f"{self._path}: cannot be read: {exc.strerror}") from exc
        whole, _, torn = data.rpartition(b"\n")
        if torn:
            _log.warning("revocation_not_finished", file=str(self._path), bytes=len(torn))
            os.ftruncate(self._file, len(data) - len(torn))
        found: dict[str, Revocation] = {}
        lines = whole.split(b"\n") if whole else []
        for number, line in enumerate(lines, 1):
            try:
                entry = _parsed(line)
            except ValueError as exc:
                raise JournalBroken(f"{self._path}:{number}: {exc}") from None
            found[entry.id] = entry
        self._lines = len(lines)
        return found

    def append(self, entries: Iterable[Revocation]) -> None:
        """Add states; on disk when this returns.

        Raises:
            NotKept: They are not, and the file is as it was.
        """
        lines = [_line(entry) for entry in entries]
        size = os.fstat(self._file).st_size
        try:
            _write(self._file, b"".join(lines))
            os.fsync(self._file)
        except OSError as exc:
            try:
                os.ftruncate(self._file, size)
            except OSError:
                _log.exception("revocation_journal_not_restored", file=str(self._path))
            raise NotKept(f"revocations: cannot be kept: {exc.strerror}") from exc
        self._lines += len(lines)

    def is_long(self, entries: int) -> bool:
        """Whether most of the file is about states that are no more."""
        return self._lines > 2 * entries + _SPARE_LINES

    def rewrite(self, entries: Iterable[Revocation]) -> None:
        """Replace the file by these states alone; at any moment there is a whole one.

        Raises:
            NotKept: The old one stays.
        """
        draft = self._path.with_suffix(".draft")
        lines = [_line(entry) for entry in entries]
        try:
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, _FILE_MODE)
            try:
                _write(descriptor, b"".join(lines))
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            draft.replace(self._path)
            renewed = self._open()
        except OSError as exc:
            raise NotKept(f"revocations: cannot be written anew: {exc.strerror}") from exc
        os.close(self._file)
        self._file, self._lines = renewed, len(lines)

    def close(self) -> None:
        """Give file and lock back."""
        os.close(self._file)
        os.close(self._lock)

    def _open(self) -> int:
        descriptor = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, _FILE_MODE)
        folder = os.open(self._path.parent, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(folder)  # the name is on disk too
        finally:
            os.close(folder)
        return descriptor


def _line(entry: Revocation) -> bytes:
    text = msgspec.json.encode(entry)
    return b"%08x %b\n" % (zlib.crc32(text), text)


def _parsed(line: bytes) -> Revocation:
    """One line; raises ValueError with the reason."""
    text = line[_CRC_CHARS + 1 :]
    if line[: _CRC_CHARS + 1] != b"%08x " % zlib.crc32(text):
        raise ValueError("not as it was written")
    entry = msgspec.json.decode(text, type=Revocation)  # a msgspec error is a ValueError
    if not is_sound(entry):
        raise ValueError("names nothing that can be revoked")
    return entry


def _write(descriptor: int, data: bytes) -> None:
    """All of it: a disk that is nearly full takes a part."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
