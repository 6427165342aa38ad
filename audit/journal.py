"""What the commit thread does with the disk: append, sync, and account for everything that did not get there.

A record that was taken is on disk, or whoever waits for it is told that it is not and its number stands in an
`audit.loss` record, with the refusals it stood for if it was a folded one.
"""

import threading
import time
from collections import Counter as Tally
from collections.abc import Callable, Sequence
from typing import NamedTuple

import structlog

from audit.codec import encode
from audit.event import NO_TENANT
from audit.ids import EventIds
from audit.metrics import EmitMetrics
from audit.ranges import Range, RangeSet
from audit.spool import frame
from audit.spool.adopt import loss_event
from audit.spool.folder import Counter
from audit.spool.segment import account
from audit.spool.writer import PartlyWritten, SegmentWriter
from audit.usage import Usage
from audit.waiters import Waiter, release_all

_log = structlog.get_logger("audit.spool")

_UNSYNCED_BYTES = 2 << 20  # what a failed sync would have to write again is kept in memory: not more than this
_LOSS_S = 1.0  # how often records that were shed are named
_LOSS_RANGES = 4000  # so many ranges in one loss record at most: about 60 KB


class Taken(NamedTuple):
    """A record that was taken into the queue."""

    payload: bytes
    seq: int
    tenant: str
    size: int
    durable: bool
    waiter: Waiter | None
    folded: int


def _books(group: Sequence[Taken]) -> tuple[list[Range], dict[str, int]]:
    """The numbers of records, and the bytes of each tenant."""
    runs: list[Range] = []  # numbers come in order but for few: a hundred records are two or three runs
    sizes: dict[str, int] = {}
    first = last = 0
    for _, seq, tenant, size, _, _, _ in group:
        sizes[tenant] = sizes.get(tenant, 0) + size
        if seq == last + 1 and first:
            last = seq
        elif seq:
            if first:
                runs.append((first, last))
            first = last = seq
    if first:
        runs.append((first, last))
    return runs, sizes


class Journal:
    """The disk's side of an emitter. The commit thread's own, but for `shed`.

    Args:
        writer: Of this epoch.
        counter: Of this folder.
        usage: The books, guarded by the lock.
        lock: The queue's.
        producer: Whose records these are.
        ids: Of this process.
        metrics: Of this process.
        now_ns: The wall clock.

    Attributes:
        synced_at: When the last sync was over; monotonic.
        ended: Whether the numbers are counted up: none may be taken any more. Guarded by the lock.
    """

    def __init__(
        self,
        writer: SegmentWriter,
        counter: Counter,
        usage: Usage,
        lock: threading.Lock,
        *,
        producer: str,
        ids: EventIds,
        metrics: EmitMetrics,
        now_ns: Callable[[], int],
    ) -> None:
        self._writer = writer
        self._counter = counter
        self._usage = usage
        self._lock = lock
        self._producer = producer
        self._ids = ids
        self._metrics = metrics
        self._now_ns = now_ns
        self._epoch = counter.epoch
        self.synced_at = 0.0
        self.ended = False
        self._shed = RangeSet()  # guarded by the lock, as the next
        self._shed_folded = 0
        self._unsynced: list[Taken] = []
        self._unsynced_bytes = 0
        self._unsynced_since = 0.0
        self._reported_at = -_LOSS_S

    def shed(self, seq: int, folded: int) -> None:
        """A record was not taken; lock held."""
        self._shed.add(seq)
        self._shed_folded += folded

    @property
    def unsynced(self) -> Sequence[Taken]:
        """What was written and not synced."""
        return self._unsynced

    def sync_due(self, interval_s: float) -> float | None:
        """Seconds until what is unsynced must be synced; None if nothing is."""
        return self._unsynced_since + interval_s - time.monotonic() if self._unsynced else None

    def look(self) -> bool:
        """Notice what somebody has taken away; returns whether the folder is still ours."""
        if self._writer.gone:
            self._miss_segment()
        return self._writer.owned()

    def write(self, group: list[Taken], queued_at: float) -> None:
        """Append a group, and sync it if somebody waits; those who wait are told either way."""
        group = self._place(group, "write")
        if not group:
            return
        durable = waiting = 0
        for taken in group:  # one loop: this thread holds the interpreter that requests wait for
            durable += taken.durable
            waiting += taken.waiter is not None
            self._unsynced_bytes += taken.size
        written = time.monotonic()
        if not self._unsynced:
            self._unsynced_since = written
        self._unsynced += group
        if waiting or self._unsynced_bytes > _UNSYNCED_BYTES:
            self.sync()
        if durable:
            self._metrics.emitted.labels("durable").inc(durable)
            self._metrics.emit_latency.of(("durable",)).observe(time.monotonic() - queued_at, durable)
        if durable < len(group):
            self._metrics.emitted.labels("buffered").inc(len(group) - durable)
            self._metrics.emit_latency.of(("buffered",)).observe(written - queued_at, len(group) - durable)
        self._metrics.commit_records.observe(len(group))

    def sync(self) -> None:
        """Sync; if that fails, write everything since the last sync into a new file, once."""
        group, self._unsynced, self._unsynced_bytes = self._unsynced, [], 0
        try:
            self._writer.sync()
        except OSError:
            self._metrics.spool_errors.labels("sync").inc()
            # The next file's header must not say that they stand before it: where the kernel has dropped their pages,
            # whoever reads would name them as lost, and they are written again.
            again = RangeSet((taken.seq, taken.seq) for taken in group if taken.seq)
            self._writer.seen = self._writer.seen.without(again)
            with self._lock:
                for taken in group:  # a second copy; the first leaves the books with its segment
                    self._usage.add(taken.tenant, taken.size)
            group = self._place(group, "sync")
            try:
                self._writer.sync()
            except OSError as exc:
                self._metrics.spool_errors.labels("sync").inc()
                self._lose(group, exc, placed=True)
                return
        if self._writer.gone:  # looked for behind the sync and before anybody is told
            self._unsynced = group
            self._miss_segment()
            group, self._unsynced, self._unsynced_bytes = self._unsynced, [], 0
            try:
                self._writer.sync()
            except OSError as exc:
                self._lose(group, exc, placed=True)
                return
        self.synced_at = time.monotonic()
        release_all([taken.waiter for taken in group if taken.waiter is not None], None)

    def _place(self, group: list[Taken], doing: str) -> list[Taken]:
        """Append a group; what the disk does not take of it is lost. Returns what it took."""
        try:
            self._append(group)
        except OSError as exc:
            self._metrics.spool_errors.labels(doing).inc()
            whole = exc.frames if isinstance(exc, PartlyWritten) else 0
            self._lose(group[whole:], exc)
            return group[:whole]
        return group

    def _append(self, group: Sequence[Taken]) -> None:
        runs, sizes = _books(group)
        frames = [frame.pack(taken.payload) for taken in group]
        try:
            self._writer.append(frames, runs, part=lambda count: _books(group[:count])[0])
        except PartlyWritten as exc:
            sizes = _books(group[: exc.frames])[1]
            raise
        except OSError:
            sizes = {}
            raise
        finally:
            with self._lock:
                self._usage.place(self._writer.name, sizes)

    def _lose(self, group: Sequence[Taken], exc: OSError, *, placed: bool = False) -> None:
        """Tell those who wait, count the rest, and remember the numbers until they can be reported.

        Args:
            group: The records.
            exc: What the disk said.
            placed: Whether they stand in a segment all the same, and leave the books with it.
        """
        sizes: Tally[str] = Tally()
        numbers = RangeSet((taken.seq, taken.seq) for taken in group if taken.seq)
        account((taken.payload for taken in group if not taken.seq), numbers)  # a loss record: say it again
        records = sum(1 for taken in group if taken.seq)
        for taken in group:
            sizes[taken.tenant] += taken.size
        with self._lock:
            if not placed:
                self._usage.drop(sizes)
            self._shed.update(numbers)
            self._shed_folded += sum(taken.folded for taken in group)
        waiters = [taken.waiter for taken in group if taken.waiter is not None]
        if waiters:
            self._metrics.refused.labels("disk").inc(len(waiters))
            release_all(waiters, f"the spool cannot be written: {exc.strerror}")
        if records > len(waiters):
            self._metrics.shed.labels("disk").inc(records - len(waiters))

    def report_shed(self) -> None:
        """Name what was shed, if there is room to say it; once a second, so that a flood costs a record a second."""
        if not self._shed or time.monotonic() - self._reported_at < _LOSS_S:
            return
        self._reported_at = time.monotonic()
        with self._lock:
            shed, self._shed = self._shed, RangeSet()
            folded, self._shed_folded = self._shed_folded, 0
        try:
            self._append_loss(shed, "shed", folded)
        except OSError as exc:
            with self._lock:
                self._shed.update(shed.without(self._writer.seen))  # some may have been named
                self._shed_folded += 0 if isinstance(exc, PartlyWritten) else folded

    def _append_loss(self, missing: RangeSet, reason: str, folded: int = 0) -> None:
        """Name records that are missing, in as many loss records as their holes need.

        Raises:
            PartlyWritten: Some are named, and are seen.
            OSError: None is.
        """
        ranges = list(missing)
        group: list[Taken] = []
        for first in range(0, len(ranges), _LOSS_RANGES):
            event = loss_event(
                self._producer,
                self._epoch,
                RangeSet(ranges[first : first + _LOSS_RANGES]),
                reason=reason,
                event_id=self._ids.next(),
                now_ns=self._now_ns(),
                folded=folded if first == 0 else 0,
            )
            payload = encode(event)
            group.append(Taken(payload, 0, NO_TENANT, len(payload) + frame.HEAD_BYTES, False, None, 0))
        frames = [frame.pack(taken.payload) for taken in group]
        try:
            self._writer.append(frames, ranges, part=lambda count: ranges[: count * _LOSS_RANGES], last_words=True)
        except PartlyWritten as exc:
            self._said(group[: exc.frames])
            raise
        self._said(group)

    def _said(self, group: Sequence[Taken]) -> None:
        """Loss records stand in a segment."""
        size = sum(taken.size for taken in group)
        with self._lock:  # beyond any bound: what is missing must be said, and it is little
            self._usage.add(NO_TENANT, size)
            self._usage.place(self._writer.name, {NO_TENANT: size})
        if not self._unsynced:
            self._unsynced_since = time.monotonic()
        self._unsynced += group  # a failed sync writes them again

    def _miss_segment(self) -> None:
        """Nobody unlinks the active segment but by mistake. What stood in it is written again or named."""
        _log.error("audit_segment_vanished", producer=self._producer, segment=self._writer.name.text())
        self._metrics.spool_errors.labels("vanished").inc()
        gone = self._writer.held
        self._writer.close()
        known, self._unsynced, self._unsynced_bytes = self._unsynced, [], 0
        gone = gone.without(RangeSet((taken.seq, taken.seq) for taken in known if taken.seq))
        with self._lock:
            for taken in known:
                self._usage.add(taken.tenant, taken.size)
        if known and (placed := self._place(known, "vanished")):
            self._unsynced = placed
            self._unsynced_since = time.monotonic()
            self._unsynced_bytes = sum(taken.size for taken in placed)
        if gone:  # some may have been delivered; what was, is there, and what was not, is named
            try:
                self._append_loss(gone, "damaged")
            except OSError:
                with self._lock:
                    self._shed.update(gone.without(self._writer.seen))

    def end(self) -> None:
        """Sync, say what is missing, write the end mark. Without one, whoever adopts the folder says it."""
        try:
            self.sync()
            with self._lock:
                self.ended = True
                taken = self._counter.seq
                shed, folded = self._shed, self._shed_folded
            if taken:
                missing = RangeSet([(1, taken)]).without(self._writer.seen)
                unwritten = missing.without(shed)
                if shed:
                    self._append_loss(shed, "shed", folded)
                if unwritten:
                    self._append_loss(unwritten, "unwritten")
            self._counter.begin_end()
            self._writer.end(taken, clean=True)
            self._counter.end()
        except OSError:
            # Without an end mark, whoever adopts the folder says what is missing.
            self._metrics.spool_errors.labels("end").inc()
        finally:
            self._writer.close()
