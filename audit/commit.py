"""The queue before the disk, and the thread that empties it: group commit.

While one group is being synced the next one gathers, so the cost of a sync is shared by as many records as arrive
meanwhile. A group with a durable record is written and synced at once, and all its waiters are released by one call
into their loop; a group of buffered records is written after `write_delay_s` and synced after `sync_interval_s`.
"""

import threading
import time
from collections import Counter as Tally
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import structlog

from audit.codec import encode
from audit.errors import SpoolUnavailable
from audit.event import NO_TENANT
from audit.ids import EventIds
from audit.limits import SpoolLimits
from audit.metrics import EmitMetrics
from audit.ranges import Range, RangeSet
from audit.spool import frame
from audit.spool.adopt import loss_event
from audit.spool.folder import Counter, free_bytes
from audit.spool.segment import segments
from audit.spool.writer import SegmentWriter
from audit.usage import Usage
from audit.waiters import Waiter, release_all

_log = structlog.get_logger("audit.spool")


_HEARTBEAT_S = 0.5  # how often an idle producer says that it has nothing left: twice per reported watermark
_RELEASE_S = 0.1  # how often the books look for segments the relay has unlinked
_UNSYNCED_BYTES = 2 << 20  # what a failed sync would have to write again is kept in memory: not more than this
_LOSS_S = 1.0  # how often records that were shed are named: a flood of them costs a record a second
_LOSS_RANGES = 4000  # so many ranges in one loss record at most: about 60 KB
_MINT_SLACK_MS = 500  # an id is minted before its number is taken; the watermark stays behind by this
_NS_PER_MS = 1_000_000


class Taken(NamedTuple):
    """A record that was taken into the queue."""

    payload: bytes
    seq: int
    tenant: str
    size: int
    durable: bool
    waiter: Waiter | None
    folded: int


class GroupCommit:
    """Takes records from any thread and brings them to disk from its own."""

    def __init__(
        self,
        folder: Path,
        writer: SegmentWriter,
        counter: Counter,
        usage: Usage,
        *,
        producer: str,
        limits: SpoolLimits,
        ids: EventIds,
        metrics: EmitMetrics,
        now_ns: Callable[[], int],
    ) -> None:
        self._folder = folder
        self._writer = writer
        self._counter = counter
        self._usage = usage
        self._producer = producer
        self._limits = limits
        self._ids = ids
        self._metrics = metrics
        self._now_ns = now_ns
        self._queue_bytes_max, self._queue_records_max = limits.queue_bytes, limits.queue_records
        self._epoch = counter.epoch
        self._lock = (
            threading.Lock()
        )  # taken by itself on a request's way: a condition's own `with` costs two calls more
        self._changed = threading.Condition(self._lock)
        # Guarded by the lock:
        self._queue: list[Taken] = []
        self._queue_bytes = 0
        self._queued_at = 0.0
        self._urgent = False
        self._closing = False
        self._ended = False
        self._orphaned = False  # the folder is not ours any more
        self._shed = RangeSet()
        self._shed_folded = 0
        self._open: dict[int, int] = {}  # numbers taken and not yet offered, with their time; in order of taking
        # The thread's own:
        self._group: list[Taken] = []
        self._unsynced: list[Taken] = []
        self._unsynced_bytes = 0
        self._unsynced_since = 0.0
        self._synced_at = 0.0
        self._working_since = 0.0  # since when the oldest record of the group in hand waits; 0 while there is none
        self._loss_at = 0.0
        self._released_at = 0.0
        metrics.queue_capacity_bytes.set(limits.queue_bytes)
        metrics.queue_capacity.set(limits.queue_records)
        metrics.queue_oldest_seconds.set_function(self._oldest_s)
        metrics.spool_capacity_bytes.set(limits.max_bytes)
        usage.see_free(free_bytes(folder))
        counter.floor_ms = self._floor_ms()  # at once: the relay cannot report a producer that has said nothing yet
        self._thread = threading.Thread(target=self._run, name="audit-commit", daemon=True)
        self._thread.start()

    def take(self, at_ms: int) -> int:
        """The next sequence number, for an event of that time.

        Raises:
            SpoolUnavailable: the epoch has ended; nobody would ever say what became of the number.
        """
        with self._lock:
            if self._ended:
                raise SpoolUnavailable("closed")
            seq = self._counter.take()
            self._open[seq] = at_ms
        return seq

    def offer(
        self,
        payload: bytes,
        seq: int,
        tenant: str,
        *,
        durable: bool,
        waiter: Waiter | None = None,
        folded: int = 0,
    ) -> None:
        """Take a record, or say why not. Never blocks on the disk.

        Args:
            payload: Its bytes.
            seq: Its number; 0 if it has none.
            tenant: Whose share of the spool it uses.
            durable: Whether it may use the room kept for durable records.
            waiter: Who waits for it to be synced.
            folded: How many refusals it stands for, if it is a folded one: they stay counted if it is lost.

        Raises:
            SpoolUnavailable: there is no room; the number will be named in an `audit.loss` record.
        """
        size = len(payload) + frame.HEAD_BYTES
        with self._lock:
            self._open.pop(seq, None)
            queue = self._queue
            depth, queued = len(queue) + 1, self._queue_bytes + size
            if self._closing:
                reason: str | None = "closed"
            elif self._orphaned:
                reason = "vanished"
            elif queued > self._queue_bytes_max or depth > self._queue_records_max:
                reason = "queue"
            else:
                reason = self._usage.admit(tenant, size, durable=durable)
            if reason is None:
                queue.append(Taken(payload, seq, tenant, size, durable, waiter, folded))
                self._queue_bytes = queued
                if depth == 1:
                    self._queued_at = time.monotonic()
                if not self._urgent and (
                    waiter is not None or 2 * queued > self._queue_bytes_max or 2 * depth > self._queue_records_max
                ):
                    self._urgent = True
                    self._changed.notify()
                elif depth == 1:
                    self._changed.notify()
                return
            if seq:
                self._shed.add(seq)
                self._shed_folded += folded
        raise SpoolUnavailable(reason)

    def close(self, timeout_s: float) -> bool:
        """Write what is queued, say what is missing, and end the epoch.

        Returns:
            Whether the end mark is on disk.
        """
        with self._lock:
            self._closing = True
            self._changed.notify()
        self._thread.join(timeout_s)
        return not self._thread.is_alive() and self._counter.ended

    @property
    def depth(self) -> int:
        """Records in the queue."""
        return len(self._queue)

    # ---- the thread ----

    def _run(self) -> None:
        try:
            self._work()
        except Exception:  # noqa: BLE001  # the top of a thread: nobody above could catch it
            # Our own fault, whatever it is. Without this thread nobody would ever be released: fail closed instead.
            _log.exception("audit_commit_failed", producer=self._producer)
            with self._changed:
                self._closing = True
                left, self._queue = [*self._unsynced, *self._group, *self._queue], []
            self._metrics.spool_errors.labels("thread").inc()
            release_all([taken.waiter for taken in left if taken.waiter is not None], "the spool has failed")

    def _work(self) -> None:
        while True:
            with self._changed:
                self._await_work()
                group, self._queue = self._queue, []
                self._queue_bytes = 0
                self._urgent = False
                closing = self._closing
                queued_at = self._queued_at
                floor_ms = self._floor_ms()
                self._working_since = queued_at if group else 0.0
            self._metrics.queue_depth.set(len(group))
            if group:
                self._group = group
                self._commit(group, queued_at)
                self._group = []
            self._working_since = 0.0
            now = time.monotonic()
            if self._unsynced and now - self._unsynced_since >= self._limits.sync_interval_s:
                self._sync()
            if self._shed and now - self._loss_at >= _LOSS_S:
                self._loss_at = now
                self._report_shed()
            self._release(now)
            self._counter.floor_ms = floor_ms
            if closing:
                self._end()
                return

    def _await_work(self) -> None:
        """Wait, lock held, until there is a group to write or something to sync."""
        if not self._queue and not self._closing:
            left = self._unsynced_since + self._limits.sync_interval_s - time.monotonic() if self._unsynced else 1.0
            self._changed.wait(max(0.0, min(left, _HEARTBEAT_S)))
        if self._queue and not self._urgent and not self._closing:
            left = self._queued_at + self._limits.write_delay_s - time.monotonic()
            self._changed.wait_for(lambda: self._urgent or self._closing, max(0.0, left))
        if self._urgent and not self._closing:
            # Each sync costs the same for one record and for a hundred, most of it processor time of the kernel.
            left = self._synced_at + self._limits.gather_s - time.monotonic()
            if left > 0:
                self._changed.wait_for(lambda: self._closing, left)

    def _floor_ms(self) -> int:
        """Every event with an earlier id is in the group just taken, or written already."""
        now_ms = self._now_ns() // _NS_PER_MS
        oldest = next(iter(self._open.values()), now_ms)
        return max(0, min(oldest, now_ms) - _MINT_SLACK_MS)

    def _commit(self, group: list[Taken], queued_at: float) -> None:
        try:
            self._append(group)
        except OSError as exc:
            self._metrics.spool_errors.labels("write").inc()
            self._lose(group, exc)
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
            self._sync()
        if durable:
            self._metrics.emitted.labels("durable").inc(durable)
            self._metrics.emit_latency.labels("durable").observe(time.monotonic() - queued_at)
        if durable < len(group):
            self._metrics.emitted.labels("buffered").inc(len(group) - durable)
            self._metrics.emit_latency.labels("buffered").observe(written - queued_at)
        self._metrics.commit_records.observe(len(group))

    def _append(self, group: Sequence[Taken]) -> None:
        frames: list[bytes] = []
        runs: list[Range] = []  # numbers come in order but for few: a hundred records are two or three runs
        sizes: dict[str, int] = {}
        first = last = 0
        for payload, seq, tenant, size, _, _, _ in group:
            frames.append(frame.pack(payload))
            sizes[tenant] = sizes.get(tenant, 0) + size
            if seq == last + 1 and first:
                last = seq
            elif seq:
                if first:
                    runs.append((first, last))
                first = last = seq
        if first:
            runs.append((first, last))
        self._writer.append(frames, runs)
        with self._changed:
            self._usage.place(self._writer.name, sizes)

    def _sync(self) -> None:
        """Sync; if that fails, write everything since the last sync into a new file, once."""
        group, self._unsynced, self._unsynced_bytes = self._unsynced, [], 0
        try:
            self._writer.sync()
        except OSError:
            self._metrics.spool_errors.labels("sync").inc()
            placed = False
            try:
                with self._changed:
                    for taken in group:  # a second copy; the first leaves the books with its segment
                        self._usage.add(taken.tenant, taken.size)
                self._append(group)
                placed = True
                self._writer.sync()
            except OSError as exc:
                self._metrics.spool_errors.labels("sync").inc()
                self._lose(group, exc, placed=placed)
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
        self._synced_at = time.monotonic()
        release_all([taken.waiter for taken in group if taken.waiter is not None], None)

    def _lose(self, group: Sequence[Taken], exc: OSError, *, placed: bool = False) -> None:
        """Tell those who wait, count the rest, and remember the numbers until they can be reported.

        Args:
            group: The records.
            exc: What the disk said.
            placed: Whether they stand in a segment all the same, and leave the books with it.
        """
        sizes: Tally[str] = Tally()
        numbers = RangeSet((taken.seq, taken.seq) for taken in group if taken.seq)
        for taken in group:
            sizes[taken.tenant] += taken.size
        with self._changed:
            if not placed:
                self._usage.drop(sizes)
            self._shed.update(numbers)
            self._shed_folded += sum(taken.folded for taken in group)
        waiters = [taken.waiter for taken in group if taken.waiter is not None]
        if waiters:
            self._metrics.refused.labels("disk").inc(len(waiters))
            release_all(waiters, f"the spool cannot be written: {exc.strerror}")
        if len(group) > len(waiters):
            self._metrics.shed.labels("disk").inc(len(group) - len(waiters))

    def _report_shed(self) -> None:
        with self._changed:
            shed, self._shed = self._shed, RangeSet()
            folded, self._shed_folded = self._shed_folded, 0
        try:
            self._append_loss(shed, "shed", folded)
        except OSError:
            with self._changed:
                self._shed.update(shed)
                self._shed_folded += folded

    def _append_loss(self, missing: RangeSet, reason: str, folded: int = 0) -> None:
        """Name records that are missing, all or none, in as many loss records as their holes need."""
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
        self._writer.append([frame.pack(taken.payload) for taken in group], ranges, last_words=True)
        size = sum(taken.size for taken in group)
        with self._changed:  # beyond any bound: what is missing must be said, and it is little
            self._usage.add(NO_TENANT, size)
            self._usage.place(self._writer.name, {NO_TENANT: size})
        if not self._unsynced:
            self._unsynced_since = time.monotonic()
        self._unsynced += group  # a failed sync writes them again

    def _release(self, now: float) -> None:
        if now - self._released_at < _RELEASE_S:
            return
        self._released_at = now
        try:
            present = set(segments(self._folder))
        except OSError:  # the folder itself is gone
            present = set()
        if self._writer.gone:
            self._miss_segment()
        orphaned = not self._writer.owned()
        if orphaned and not self._orphaned:
            # Fail closed: whoever makes the folder anew begins its numbers anew, and may be another process.
            _log.error("audit_spool_vanished", producer=self._producer, folder=str(self._folder))
            self._metrics.spool_errors.labels("vanished").inc()
        with self._changed:
            self._orphaned = orphaned
            self._usage.keep(present)
            self._usage.see_free(free_bytes(self._folder))
            total = self._usage.total
            depth, queue_bytes = len(self._queue), self._queue_bytes
        self._metrics.spool_bytes.set(total)
        self._metrics.queue_depth.set(depth)
        self._metrics.queue_bytes.set(queue_bytes)

    def _miss_segment(self) -> None:
        """Nobody unlinks the active segment but by mistake. What stood in it is written again or named."""
        _log.error("audit_segment_vanished", producer=self._producer, segment=self._writer.name.text())
        self._metrics.spool_errors.labels("vanished").inc()
        gone = self._writer.held
        self._writer.close()
        known, self._unsynced, self._unsynced_bytes = self._unsynced, [], 0
        gone = gone.without(RangeSet((taken.seq, taken.seq) for taken in known if taken.seq))
        with self._changed:
            for taken in known:
                self._usage.add(taken.tenant, taken.size)
        try:
            if known:
                self._append(known)
                self._unsynced = known
                self._unsynced_since = time.monotonic()
                self._unsynced_bytes = sum(taken.size for taken in known)
        except OSError as exc:
            self._lose(known, exc)
        if gone:  # some may have been delivered; what was, is there, and what was not, is named
            try:
                self._append_loss(gone, "damaged")
            except OSError:
                with self._changed:
                    self._shed.update(gone)

    def _oldest_s(self) -> float:
        """How long the oldest record that is not written has waited. Called by whoever collects the metrics."""
        since = self._working_since or (self._queued_at if self._queue else 0.0)
        return time.monotonic() - since if since else 0.0

    def _end(self) -> None:
        try:
            self._sync()
            with self._changed:
                self._ended = True
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
