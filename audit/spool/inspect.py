"""Looking into spool folders: what `lychgate audit spool stat | verify | dump` print. Reads only, changes nothing."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from audit.errors import SpoolFormat
from audit.ranges import Range, RangeSet
from audit.spool.folder import COUNTER_FILE, peek
from audit.spool.segment import QUARANTINE_SUFFIX, SegmentName, account, contents, segments


class FolderStat(NamedTuple):
    """One producer's folder at a glance.

    Attributes:
        producer: The folder's name.
        epoch: The current or last epoch.
        taken: Numbers taken in it.
        ended: Whether it has ended.
        segments: Segment files there are.
        bytes: Their size.
        quarantined: Segments set aside.
    """

    producer: str
    epoch: int
    taken: int
    ended: bool
    segments: int
    bytes: int
    quarantined: int


class Finding(NamedTuple):
    """Something wrong in a folder."""

    producer: str
    segment: str
    what: str


def folders(root: Path) -> list[Path]:
    """The spool folders under a root, by name."""
    return sorted(path.parent for path in root.glob(f"*/{COUNTER_FILE}"))


def stat(root: Path) -> list[FolderStat]:
    """What there is."""
    found = []
    for path in folders(root):
        view = peek(path)
        names = segments(path)
        size = sum((path / name.text()).stat().st_size for name in names)
        quarantined = len(list(path.glob(f"*{QUARANTINE_SUFFIX}")))
        if view is not None:
            found.append(FolderStat(path.name, view.epoch, view.seq, view.ended, len(names), size, quarantined))
    return found


def verify(root: Path) -> list[Finding]:
    """Read every record that is still there and say what is damaged or missing.

    A folder in use may show an unfinished last record; that is not a finding.
    """
    findings: list[Finding] = []
    for path in folders(root):
        names = segments(path)
        for index, name in enumerate(names):
            findings += _verify(path, name, names[index + 1] if index + 1 < len(names) else None)
        findings += [
            Finding(path.name, file.name, "set aside as damaged") for file in sorted(path.glob(f"*{QUARANTINE_SUFFIX}"))
        ]
    return findings


def dump(root: Path, producer: str | None = None) -> Iterator[bytes]:
    """The records that are not delivered yet, encoded, in order; of one producer or of all."""
    for path in folders(root):
        if producer is None or path.name == producer:
            for name in segments(path):
                yield from contents(path / name.text()).records


def _verify(path: Path, name: SegmentName, following: SegmentName | None) -> list[Finding]:
    try:
        read = contents(path / name.text())
        after: list[Range] | None = read.end.seen if read.end is not None else None
        if after is None and following is not None and following.epoch == name.epoch:
            header = contents(path / following.text()).header
            after = header.seen if header is not None else None
    except (SpoolFormat, OSError) as exc:
        return [Finding(path.name, name.text(), str(exc))]
    findings = []
    if read.damaged:
        findings.append(Finding(path.name, name.text(), "damaged: bytes between records cannot be read"))
    if after is not None and read.header is not None:
        got = RangeSet()
        account(read.records, got)
        missing = RangeSet(after).without(RangeSet(read.header.seen)).without(got)
        if missing:
            findings.append(Finding(path.name, name.text(), f"{missing.count} records missing: {list(missing)}"))
    return findings
