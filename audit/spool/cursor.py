"""How far a sink has come in a folder: a small file, replaced in one step."""

import os
from pathlib import Path
from typing import Any

import msgspec

from audit.ranges import Range
from audit.spool.folder import peek
from audit.spool.segment import SegmentName

_FILE_MODE = 0o600
_PREFIX, _SUFFIX = "cursor-", ".json"


class Cursor(msgspec.Struct, frozen=True):
    """How far a sink has come in a folder; losing it costs duplicates and nothing else.

    Attributes:
        epoch: Of the segment to go on in.
        n: Its number.
        offset: Where in it.
        seen: The numbers accounted for before it; None if that is not known.
        skipped: Details of what the sink was moved over, until they are recorded.
    """

    epoch: int
    n: int
    offset: int
    seen: list[Range] | None = None
    skipped: list[dict[str, Any]] = []

    @property
    def place(self) -> SegmentName:
        """The segment to go on in; all before it are done with."""
        return SegmentName(self.epoch, self.n)


def load(file: Path) -> Cursor | None:
    """Read a cursor; None if there is none, or one that is unreadable or of numbers this folder no longer has.

    Raises:
        OSError: the folder's counter cannot be read.
    """
    try:
        cursor = msgspec.json.decode(file.read_bytes(), type=Cursor)
    except (OSError, msgspec.DecodeError):
        return None
    view = peek(file.parent)
    # Of a folder that was emptied by hand and begun anew: what it says must pass nothing over.
    return None if view is not None and cursor.epoch > view.epoch else cursor


def store(file: Path, cursor: Cursor) -> None:
    """Write a cursor aside, sync it, and put it in its place.

    Raises:
        OSError: the one before is still there.
    """
    aside = file.with_suffix(".tmp")
    fd = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, _FILE_MODE)
    try:
        left = memoryview(msgspec.json.encode(cursor))
        while left:  # a disk that is nearly full takes a part, and half a cursor names nothing it was moved over
            left = left[os.write(fd, left) :]
        os.fdatasync(fd)
    finally:
        os.close(fd)
    aside.replace(file)


def cursor_file(folder: Path, sink: str) -> Path:
    """Where a sink's cursor stands."""
    return folder / f"{_PREFIX}{sink}{_SUFFIX}"


def cursors(folder: Path) -> dict[str, Cursor]:
    """The cursors there are, by sink. One that cannot be read costs duplicates and is left out."""
    found: dict[str, Cursor] = {}
    for file in sorted(folder.glob(f"{_PREFIX}*{_SUFFIX}")):
        try:
            sink = file.name.removeprefix(_PREFIX).removesuffix(_SUFFIX)
            found[sink] = msgspec.json.decode(file.read_bytes(), type=Cursor)
        except (OSError, msgspec.DecodeError):
            continue
    return found
