"""How a record stands in a segment file. Pure.

    magic 3 bytes | kind 1 byte | length u32 | crc32 u32 of kind, length and payload | payload

Little-endian. The magic makes it possible to find the next whole frame behind a damaged one, so that one bad sector
costs the records on it and not the rest of the file.
"""

import struct
import sys
import zlib
from typing import NamedTuple

_MAGIC = b"\xablg"
_HEAD = struct.Struct("<4sII")
_SEED = struct.Struct("<4sI")
HEAD_BYTES = _HEAD.size
PAYLOAD_LIMIT = 16 << 20  # no record comes near it; a damaged length does, and must not make us wait for its bytes

HEADER = b"H"
RECORD = b"R"
END = b"E"
_MAGIC_OF = {kind: _MAGIC + kind for kind in (HEADER, RECORD, END)}
_KINDS = {magic: kind for kind, magic in _MAGIC_OF.items()}


class Frame(NamedTuple):
    """One frame that was read whole.

    Attributes:
        kind: `HEADER`, `RECORD` or `END`.
        payload: Its bytes.
        end: Offset of the first byte behind it.
    """

    kind: bytes
    payload: bytes
    end: int


def pack(payload: bytes, kind: bytes = RECORD) -> bytes:
    """The frame around a payload."""
    magic = _MAGIC_OF[kind]
    size = len(payload)
    return _HEAD.pack(magic, size, _checksum(magic, payload)) + payload


def frame_at(data: bytes, at: int) -> Frame | None:
    """The frame that begins at an offset; None if it is incomplete, damaged or not a frame at all."""
    start = at + HEAD_BYTES
    if start > len(data):
        return None
    magic, size, crc = _HEAD.unpack_from(data, at)
    kind = _KINDS.get(magic)
    end = start + size
    if kind is None or size > PAYLOAD_LIMIT or end > len(data):
        return None
    payload = data[start:end]
    if _checksum(magic, payload) != crc:
        return None
    return Frame(kind, payload, end)


def read(data: bytes, at: int = 0, limit: int = sys.maxsize) -> tuple[list[Frame], int]:
    """Whole frames from an offset on.

    Args:
        data: Bytes of a segment.
        at: Where a frame begins.
        limit: How many frames at most.

    Returns:
        The frames, and the offset where reading stopped: behind the last that was asked for, the end of the data, or
        the first byte that is no frame.
    """
    frames: list[Frame] = []
    unpack, crc32, known, size = _HEAD.unpack_from, zlib.crc32, _KINDS.get, len(data)
    # `frame_at` in one loop: this is run for every record that leaves a spool.
    while len(frames) < limit and (start := at + HEAD_BYTES) <= size:
        magic, length, crc = unpack(data, at)
        end = start + length
        kind = known(magic)
        if kind is None or length > PAYLOAD_LIMIT or end > size:
            break
        payload = data[start:end]
        if crc32(payload, crc32(data[at : at + _SEED.size])) != crc:
            break
        frames.append(Frame(kind, payload, end))
        at = end
    return frames, at


def _checksum(magic: bytes, payload: bytes) -> int:
    return zlib.crc32(payload, zlib.crc32(_SEED.pack(magic, len(payload))))


def resync(data: bytes, at: int) -> int | None:
    """Where the next whole frame begins, looking from just behind an offset; None if there is none."""
    while (at := data.find(_MAGIC, at + 1)) >= 0:
        if frame_at(data, at) is not None:
            return at
    return None


def next_magic(data: bytes, at: int) -> int:
    """Where a frame might begin next, behind an offset; the end of the data if nowhere."""
    found = data.find(_MAGIC, at + 1)
    return len(data) if found < 0 else found


def salvage(data: bytes, at: int = 0) -> tuple[list[Frame], bool]:
    """All whole frames of a file that will not grow any more, whatever stands between them.

    Returns:
        The frames, and whether bytes were skipped between two of them (a torn tail alone is not damage).
    """
    frames, stop = read(data, at)
    damaged = False
    while stop < len(data) and (begin := resync(data, stop)) is not None:
        damaged = True
        more, stop = read(data, begin)
        frames += more
    return frames, damaged
