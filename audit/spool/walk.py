"""Reading a segment from its beginning to its end with little of it in memory: for whoever looks, copies or replays."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from audit.spool import frame
from audit.spool.folder import open_file
from audit.spool.segment import EndMark, Header, decode_end, decode_header

_CHUNK = 1 << 20
_WHOLE = frame.PAYLOAD_LIMIT + frame.HEAD_BYTES


class Walk:
    """One segment, read once, from an offset on. Iterating yields its records; the rest is known when that is over.

    Attributes:
        header: Its first frame, once that was read.
        end: Its end mark, if it has one.
        damaged: Whether bytes between two frames could not be read.
        torn: Bytes at the end that are no frame: where a process died, or is writing just now.
        records: How many there were.
    """

    def __init__(self, path: Path, offset: int = 0) -> None:
        self._path = path
        self._offset = offset
        self.header: Header | None = None
        self.end: EndMark | None = None
        self.damaged = False
        self.torn = 0
        self.records = 0

    def __iter__(self) -> Iterator[bytes]:
        """The records, encoded.

        Raises:
            SpoolFormat: it is no file, or of a format we do not know.
            OSError: it cannot be read.
        """
        with os.fdopen(open_file(self._path, os.O_RDONLY), "rb") as file:
            file.seek(self._offset)
            for item in self._frames(file):
                if item.kind == frame.RECORD:
                    self.records += 1
                    yield item.payload
                elif item.kind == frame.HEADER:
                    self.header = decode_header(item.payload)
                else:
                    self.end = decode_end(item.payload)

    def _frames(self, file: BinaryIO) -> Iterator[frame.Frame]:
        data, at, skipped, more = b"", 0, 0, True
        while True:
            found = frame.frame_at(data, at)
            if found is not None:
                self.damaged = self.damaged or skipped > 0
                skipped, at = 0, found.end
                yield found
            elif more and len(data) - at < _WHOLE:  # it may only be incomplete
                chunk = file.read(_CHUNK)
                more = bool(chunk)
                data, at = data[at:] + chunk, 0
            elif at < len(data):
                following = frame.next_magic(data, at)
                skipped += following - at
                at = following
            else:
                self.torn = skipped
                return
