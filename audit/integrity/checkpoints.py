"""The chain outside the database: a file of checkpoints, a line a record, to be shipped off the box."""

import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from audit.errors import SealRefused
from audit.integrity.keys import PublicKeys
from audit.integrity.record import Sealed, read_line

_MODE = 0o600


class Divergence(NamedTuple):
    """Where a file and a chain do not agree."""

    seq: int
    partition: str
    what: str


def read_checkpoints(file: Path, keys: PublicKeys) -> list[Sealed]:
    """The records of a file, in its order; a torn last line is left out.

    Raises:
        SealRefused: it cannot be read, or a line is no signed record; the message names the line.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except UnicodeDecodeError as exc:
        raise SealRefused(f"{file}: not UTF-8") from exc
    except OSError as exc:
        raise SealRefused(f"{file}: cannot be read: {exc.strerror}") from exc
    found: list[Sealed] = []
    whole, _, torn = text.rpartition("\n")
    for number, line in enumerate(whole.split("\n") if whole else [], 1):
        try:
            found.append(read_line(line, keys))
        except SealRefused as exc:
            raise SealRefused(f"{file}:{number}: {exc}") from exc
    if torn:
        with suppress(SealRefused):  # it may be whole, but for its end of line: a file that was shipped
            found.append(read_line(torn, keys))
    return found


def append_checkpoints(file: Path, records: Iterable[Sealed]) -> None:
    """Add records to a file, on the disk when this returns; a torn last line is cut off first.

    Raises:
        OSError: it cannot be written.
    """
    lines = "".join(f"{each.line()}\n" for each in records).encode()
    if not lines:
        return
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND, _MODE)
    with os.fdopen(descriptor, "r+b") as opened:
        written = opened.read()
        if written and not written.endswith(b"\n"):
            opened.truncate(written.rfind(b"\n") + 1)
        opened.write(lines)
        opened.flush()
        os.fsync(opened.fileno())


def divergences(anchors: Sequence[Sealed], chain: Sequence[Sealed]) -> list[Divergence]:
    """What a file knows and the chain does not say: records that were taken away or replaced.

    Args:
        anchors: From the file; a topic's dump may have a record twice.
        chain: From the store.
    """
    kept = {each.record.seq: each.text for each in chain}
    found: dict[int, Divergence] = {}
    for anchor in anchors:
        record = anchor.record
        if record.seq not in kept:
            found[record.seq] = Divergence(record.seq, record.partition, f"seal {record.seq} was published: taken away")
        elif kept[record.seq] != anchor.text:
            what = f"seal {record.seq} was published as another: replaced"
            found[record.seq] = Divergence(record.seq, record.partition, what)
    return [found[seq] for seq in sorted(found)]
