"""Looking into spool folders: what `lychgate audit spool stat | verify | dump` print. Reads only, changes nothing.

A folder may be in use, may be copied from a dead machine, may be damaged: what cannot be read is a finding, and a file
that is delivered and gone in the middle of a look is none.
"""

import os
from collections.abc import Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

import msgspec

from audit.errors import SpoolFormat
from audit.ids import id_ms
from audit.ranges import RangeSet
from audit.spool.cursor import Cursor, cursors
from audit.spool.folder import COUNTER_FILE, LOCK_FILE, free_bytes, loose, owned, owner, peek
from audit.spool.segment import (
    QUARANTINE_SUFFIX,
    SegmentName,
    Stub,
    account,
    read_header,
    segment_name,
    segments,
    stub,
)
from audit.spool.walk import Walk

_MS = 1e-3


class FolderStat(NamedTuple):
    """One producer's folder at a glance.

    Attributes:
        producer: The folder's name.
        epoch: The current or last epoch.
        taken: Numbers taken in it.
        ended: Whether it has ended.
        owner: `pid 123` while that process owns it; None if nobody does.
        segments: Segment files there are.
        bytes: Their size.
        quarantined: Segments set aside.
        oldest_seconds: Age of the oldest record that some sink has not got; None if there is none.
        backlog_bytes: By sink, what it has not got; under `-` where no sink has ever saved how far it is.
        free_bytes: Free on the folder's disk.
    """

    producer: str
    epoch: int
    taken: int
    ended: bool
    owner: str | None
    segments: int
    bytes: int
    quarantined: int
    oldest_seconds: float | None
    backlog_bytes: dict[str, int]
    free_bytes: int


class Trouble(StrEnum):
    """What sort of thing is wrong."""

    OPEN = "open"
    FILE = "file"
    DAMAGED = "damaged"
    MISSING = "missing"
    SET_ASIDE = "set_aside"


class Finding(NamedTuple):
    """Something wrong in a folder.

    Attributes:
        producer: The folder's name.
        file: Which of its files; empty for the folder itself.
        trouble: What sort.
        what: In words.
    """

    producer: str
    file: str
    trouble: Trouble
    what: str


class Wanted(NamedTuple):
    """Which records are meant. What is not given matches all."""

    producer: str | None = None
    tenant: str | None = None
    event_type: str | None = None
    since_ms: int | None = None

    def matches(self, payload: bytes) -> bool:
        """Whether a record is; bytes that are no event are only if everything is."""
        if self.tenant is None and self.event_type is None and self.since_ms is None:
            return True
        known = stub(payload)
        return known is not None and self._fits(known)

    def _fits(self, known: Stub) -> bool:
        return (
            (self.tenant is None or known.tenant_id == self.tenant)
            and (self.event_type is None or known.event_type == self.event_type)
            and (self.since_ms is None or (_at_ms(known) or 0) >= self.since_ms)
        )


EVERYTHING = Wanted()


def folders(root: Path) -> list[Path]:
    """The spool folders under a root, by name; the root itself if it is one: a folder that was rescued alone."""
    if _is_spool(root):
        return [root]
    with os.scandir(root) as entries:
        found = [Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False)]
    return sorted(path for path in found if _is_spool(path))


def stat(root: Path, now_ms: int) -> list[FolderStat]:
    """What there is, and how old it is at that time, milliseconds since the epoch."""
    found = []
    for path in folders(root):
        view = peek(path)
        sizes = _sizes(path)
        reached = cursors(path)
        backlog = {sink: _beyond(sizes, cursor) for sink, cursor in reached.items()}
        oldest = _oldest_ms(path, sizes, list(reached.values()))
        found.append(
            FolderStat(
                producer=path.name,
                epoch=view.epoch if view is not None else 0,
                taken=view.seq if view is not None else 0,
                ended=view.ended if view is not None else False,
                owner=owner(path) or "another process" if owned(path) else None,
                segments=len(sizes),
                bytes=sum(sizes.values()),
                quarantined=len(_quarantined(path)),
                oldest_seconds=round(max(0, now_ms - oldest) * _MS, 1) if oldest is not None else None,
                backlog_bytes=backlog or {"-": sum(sizes.values())},
                free_bytes=free_bytes(path),
            )
        )
    return found


def verify(root: Path) -> list[Finding]:
    """Read every record that is still there and say what is damaged, missing, or open to others.

    A folder in use may show an unfinished last record; that is not a finding.
    """
    findings: list[Finding] = []
    for path in folders(root):
        findings += _verify_folder(path)
        names = segments(path)
        for index, name in enumerate(names):
            findings += _verify(path, name, names[index + 1] if index + 1 < len(names) else None)
        findings += [
            Finding(path.name, file.name, Trouble.SET_ASIDE, "set aside as damaged") for file in _quarantined(path)
        ]
    return findings


def dump(root: Path, wanted: Wanted = EVERYTHING, *, quarantined: bool = False) -> Iterator[bytes]:
    """The records that are there, encoded, in order.

    Args:
        root: A folder of producers' folders, or one of these.
        wanted: Which.
        quarantined: Also what can be read of segments that were set aside; it was delivered before they were.

    Raises:
        SpoolFormat: a file is of a format we do not know.
        OSError: one cannot be read.
    """
    for path in folders(root):
        if wanted.producer is not None and path.name != wanted.producer:
            continue
        files = [path / name.text() for name in segments(path)]
        for file in [*(_quarantined(path) if quarantined else ()), *files]:
            try:
                yield from (payload for payload in Walk(file) if wanted.matches(payload))
            except FileNotFoundError:  # delivered meanwhile
                continue


def _is_spool(path: Path) -> bool:
    return (path / COUNTER_FILE).exists() or any(path.glob("*.seg")) or bool(_quarantined(path))


def _quarantined(path: Path) -> list[Path]:
    return sorted(
        file
        for file in path.glob(f"*{QUARANTINE_SUFFIX}")
        if segment_name(file.name.removesuffix(QUARANTINE_SUFFIX)) is not None
        and file.is_file()
        and not file.is_symlink()
    )


def _sizes(path: Path) -> dict[SegmentName, int]:
    sizes = {}
    for name in segments(path):
        try:
            sizes[name] = (path / name.text()).stat().st_size
        except FileNotFoundError:  # delivered meanwhile
            continue
    return sizes


def _beyond(sizes: dict[SegmentName, int], cursor: Cursor) -> int:
    """Bytes that a sink has not got."""
    at = SegmentName(cursor.epoch, cursor.n)
    return sum(size - (cursor.offset if name == at else 0) for name, size in sizes.items() if name >= at)


def _oldest_ms(path: Path, sizes: dict[SegmentName, int], reached: Sequence[Cursor]) -> int | None:
    """When the first record happened that the slowest sink has not got."""
    slowest = min(reached, key=lambda cursor: (cursor.epoch, cursor.n, cursor.offset), default=Cursor(0, 0, 0))
    for name in sizes:
        if name < (slowest.epoch, slowest.n):
            continue
        offset = slowest.offset if name == (slowest.epoch, slowest.n) else 0
        try:
            for payload in Walk(path / name.text(), offset):
                known = stub(payload)
                at_ms = _at_ms(known) if known is not None else None
                if at_ms is not None:
                    return at_ms
        except (OSError, SpoolFormat):
            continue
    return None


def _at_ms(known: Stub) -> int | None:
    try:
        return id_ms(known.event_id)
    except ValueError:
        return None


def _verify_folder(path: Path) -> Iterator[Finding]:
    """What is wrong with the folder itself."""
    with os.scandir(path) as entries:
        files = sorted(Path(entry.path) for entry in entries)
    for file in (path, *files):
        try:
            trouble = loose(file)
        except FileNotFoundError:
            continue
        if file != path and (file.is_symlink() or not file.is_file()):
            yield Finding(path.name, file.name, Trouble.FILE, "not a regular file: nothing of ours, and never read")
        elif trouble is not None:
            yield Finding(path.name, file.name if file != path else "", Trouble.OPEN, trouble)
    if peek(path) is None:
        there = (path / COUNTER_FILE).exists()
        what = "not a counter" if there else "missing: the numbers taken are not known"
        yield Finding(path.name, COUNTER_FILE, Trouble.FILE, what)
    if not (path / LOCK_FILE).exists():
        yield Finding(path.name, LOCK_FILE, Trouble.FILE, "missing: nobody has owned this folder as it is")
    yield from _gone(path)


def _gone(path: Path) -> Iterator[Finding]:
    """Segments that somebody took away before a sink had got them."""
    names = segments(path)
    for sink, cursor in cursors(path).items():
        first = next((name for name in names if name >= (cursor.epoch, cursor.n)), None)
        if first is None or first.epoch != cursor.epoch or first.n == cursor.n or cursor.seen is None:
            continue
        try:
            header = read_header(path / first.text())
        except (OSError, SpoolFormat):
            continue  # `_verify` says so
        gone = RangeSet(header.seen if header is not None else ()).without(RangeSet(cursor.seen))
        if gone:
            what = f"{gone.count} records before it are gone, and `{sink}` has not noted them: {list(gone)}"
            yield Finding(path.name, first.text(), Trouble.MISSING, what)


def _verify(path: Path, name: SegmentName, following: SegmentName | None) -> list[Finding]:
    walk, got = Walk(path / name.text()), RangeSet()
    try:
        account(walk, got)
        after = walk.end.seen if walk.end is not None else None
        if after is None and following is not None and following.epoch == name.epoch:
            header = read_header(path / following.text())
            after = header.seen if header is not None else None
    except FileNotFoundError:  # delivered meanwhile
        return []
    except (SpoolFormat, OSError, msgspec.DecodeError) as exc:
        return [Finding(path.name, name.text(), Trouble.DAMAGED, str(exc))]
    findings = []
    if walk.damaged or walk.header is None:
        findings.append(Finding(path.name, name.text(), Trouble.DAMAGED, "bytes between records cannot be read"))
    if walk.torn and following is not None:
        findings.append(Finding(path.name, name.text(), Trouble.DAMAGED, f"its last {walk.torn} bytes are no record"))
    if after is not None and walk.header is not None:
        missing = RangeSet(after).without(RangeSet(walk.header.seen)).without(got)
        if missing:
            findings.append(
                Finding(path.name, name.text(), Trouble.MISSING, f"{missing.count} records missing: {list(missing)}")
            )
    return findings
