"""Emptying the spool of producers that will not come back here, so that its disk may be deleted.

What `lychgate audit spool drain` does. Each dead producer's epoch is ended as the next owner would end it, everything
is delivered, and the sink is told that nothing can follow; so `complete_through` waits for none of them any more.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from prometheus_client import CollectorRegistry

from audit.delivery import make_sink
from audit.errors import SpoolBusy
from audit.metrics import IngestMetrics
from audit.relay.held import held
from audit.relay.relay import Relay
from audit.settings import AuditSettings, StoreSettings
from audit.spool.folder import owned
from audit.spool.inspect import Trouble, stat, verify


class Drained(NamedTuple):
    """What became of one producer's folder.

    Attributes:
        producer: The folder's name.
        epoch: Its last.
        taken: Numbers taken in it.
        ended: Whether it has its end mark.
        left_bytes: What the sink has not got.
        trouble: What somebody must look at before the disk is deleted; empty if nothing.
    """

    producer: str
    epoch: int
    taken: int
    ended: bool
    left_bytes: int
    trouble: str

    @property
    def clear(self) -> bool:
        """Whether the folder holds nothing that exists nowhere else."""
        return self.ended and self.left_bytes == 0 and not self.trouble


async def drain(root: Path, audit: AuditSettings, store: StoreSettings, *, within_s: float) -> list[Drained]:
    """Deliver all that stands below a folder, and end it.

    Args:
        root: A folder of producers' folders.
        audit: Which sink, and how fast.
        store: Where rows go in the direct form.
        within_s: How long the sink is tried.

    Returns:
        Each producer's folder, by name.

    Raises:
        SpoolBusy: Somebody still records there, or another relay is at it; nothing was done.
        SpoolUnavailable: The folder cannot be written.
        WrongRole: The store's login may do more than it must.
        OSError: A folder cannot be read.
    """
    if living := _living(root):
        raise SpoolBusy(f"{root}: {', '.join(living)} still records there; drain what nobody uses any more")
    with held(root):
        return await _drain(root, audit, store, within_s)


def overlooked(root: Path, drained: Iterable[Drained]) -> list[Path]:
    """Folders further down that hold segments: nobody drained them, because the root is not the spool's."""
    known = {root, *(root / each.producer for each in drained)}
    return sorted({file.parent for file in root.rglob("*.seg")} - known)


async def _drain(root: Path, audit: AuditSettings, store: StoreSettings, within_s: float) -> list[Drained]:
    sink = make_sink(audit, store, IngestMetrics(CollectorRegistry()))
    relay = Relay(
        root,
        sink,
        batch_records=audit.relay.batch_records,
        batch_bytes=audit.relay.batch_bytes,
        backoff_max_s=audit.relay.backoff_max_s,
        adopt_after_s=0.0,
    )
    try:
        await relay.flush(within_s)
    finally:
        await sink.close()
    return _found(root, sink.name)


def _living(root: Path) -> list[str]:
    return [entry.name for entry in sorted(root.iterdir()) if entry.is_dir() and owned(entry)]


def _found(root: Path, sink: str) -> list[Drained]:
    """What is there afterwards, read anew from the disk."""
    trouble: dict[str, list[str]] = {}
    for finding in verify(root):
        if finding.trouble is not Trouble.OPEN:
            trouble.setdefault(finding.producer, []).append(f"{finding.file or '.'}: {finding.what}")
    return [
        Drained(
            each.producer,
            each.epoch,
            each.taken,
            each.ended,
            each.backlog_bytes.get(sink, each.bytes),
            "; ".join(trouble.get(each.producer, ())),
        )
        for each in stat(root, 0)
    ]
