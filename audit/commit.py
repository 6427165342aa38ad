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
from audit.ids import EventIds
from audit.limits import SpoolLimits
from audit.metrics import EmitMetrics
from audit.ranges import Range, RangeSet
from audit.spool import frame
from audit.spool.adopt import loss_event
from audit.spool.folder import Counter
from audit.spool.segment import segments
from audit.spool.writer import SegmentWriter
from audit.usage import Usage
from audit.waiters import Waiter, release_all

_log = structlog.get_logger("audit.spool")


_HEARTBEAT_S = 0.5  # how often an idle producer says that it has nothing left: twice per reported watermark
_RELEASE_S = 0.1  # how often the books look for segments the relay has unlinked
_UNSYNCED_BYTES = 2 << 20  # what a failed sync would have to write again is kept in memory: not more than this
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
        self._open: dict[int, int] = {}  # numbers taken and not yet offered, with their time; in order of taking
        # The thread's own:
        self._group: list[Taken] = []
        self._unsynced: list[Taken] = []
        self._unsynced_bytes = 0
        self._unsynced_since = 0.0
        self._synced_at = 0.0
        self._shed = RangeSet()
        self._released_at = 0.0
        metrics.bound(queue_bytes=limits.queue_bytes, spool_bytes=limits.max_bytes)
        metrics.watch_queue(lambda: len(self._queue), lambda: self._queue_bytes, lambda: self._usage.total)
        counter.floor_ms = self._floor_ms()  # at once: the relay cannot report a producer that has said nothing yet
        self._thread = threading.Thread(target=self._run, name="audit-commit", daemon=True)
        self._thread.start()

    def take(self, at_ms: int) -> int:
        """The next sequence number, for an event of that time."""
        with self._lock:
            seq = self._counter.take()
            self._open[seq] = at_ms
        return seq

    def offer(self, payload: bytes, seq: int, tenant: str, *, durable: bool, waiter: Waiter | None = None) -> None:
        """Take a record, or say why not. Never blocks on the disk.

        Raises:
            SpoolUnavailable: there is no room; the number will be named in an `audit.loss` record.
        """
        size = len(payload) + frame.HEAD_BYTES
        with self._lock:
            self._open.pop(seq, None)
            if self._closing:
                reason: str | None = "closed"
            elif self._queue_bytes + size > self._limits.queue_bytes:
                reason = "queue"
            else:
                reason = self._usage.refusal(tenant, size, durable=durable)
            if reason is None:
                self._usage.add(tenant, size)
                first = not self._queue
                self._queue.append(Taken(payload, seq, tenant, size, durable, waiter))
                self._queue_bytes += size
                if first:
                    self._queued_at = time.monotonic()
                if not self._urgent and (waiter is not None or 2 * self._queue_bytes > self._limits.queue_bytes):
                    self._urgent = True
                    self._changed.notify()
                elif first:
                    self._changed.notify()
                return
            if seq:
                self._shed.add(seq)
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
            if group:
                self._group = group
                self._commit(group, queued_at)
                self._group = []
            now = time.monotonic()
            if self._unsynced and now - self._unsynced_since >= self._limits.sync_interval_s:
                self._sync()
            if self._shed:
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
            self._metrics.emit_latency.of(("durable",)).observe(time.monotonic() - queued_at, durable)
        if durable < len(group):
            self._metrics.emitted.labels("buffered").inc(len(group) - durable)
            self._metrics.emit_latency.of(("buffered",)).observe(written - queued_at, len(group) - durable)
        self._metrics.commit_records.observe(len(group))

    def _append(self, group: Sequence[Taken]) -> None:
        frames: list[bytes] = []
        runs: list[Range] = []  # numbers come in order but for few: a hundred records are two or three runs
        sizes: dict[str, int] = {}
        first = last = 0
        for payload, seq, tenant, size, _, _ in group:
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
            try:
                with self._changed:
                    for taken in group:  # a second copy; the first leaves the books with its segment
                        self._usage.add(taken.tenant, taken.size)
                self._append(group)
                self._writer.sync()
            except OSError as exc:
                self._metrics.spool_errors.labels("sync").inc()
                self._lose(group, exc)
                return
        self._synced_at = time.monotonic()
        release_all([taken.waiter for taken in group if taken.waiter is not None], None)

    def _lose(self, group: Sequence[Taken], exc: OSError) -> None:
        """Tell those who wait, count the rest, and remember the numbers until they can be reported."""
        sizes: Tally[str] = Tally()
        numbers = RangeSet((taken.seq, taken.seq) for taken in group if taken.seq)
        for taken in group:
            sizes[taken.tenant] += taken.size
        with self._changed:
            self._usage.drop(sizes)
            self._shed.update(numbers)
        waiters = [taken.waiter for taken in group if taken.waiter is not None]
        if waiters:
            self._metrics.refused.labels("disk").inc(len(waiters))
            release_all(waiters, f"the spool cannot be written: {exc.strerror}")
        if len(group) > len(waiters):
            self._metrics.shed.labels("disk").inc(len(group) - len(waiters))

    def _report_shed(self) -> None:
        with self._changed:
            shed, self._shed = self._shed, RangeSet()
        try:
            self._append_loss(shed, "shed")
        except OSError:
            with self._changed:
                self._shed.update(shed)

    def _append_loss(self, missing: RangeSet, reason: str) -> None:
        event = loss_event(
            self._producer, self._epoch, missing, reason=reason, event_id=self._ids.next(), now_ns=self._now_ns()
        )
        self._writer.append([frame.pack(encode(event))], list(missing))

    def _release(self, now: float) -> None:
        if now - self._released_at < _RELEASE_S:
            return
        self._released_at = now
        try:
            present = set(segments(self._folder))
        except OSError:  # the folder itself is gone
            present = set()
        if self._writer.size and self._writer.name not in present:
            # Nobody unlinks the active segment but by mistake. What is written into it from now on would be lost.
            _log.error("audit_segment_vanished", producer=self._producer, segment=self._writer.name.text())
            self._metrics.spool_errors.labels("vanished").inc()
            self._writer.close()
        with self._changed:
            self._usage.keep(present)

    def _end(self) -> None:
        try:
            self._sync()
            taken = self._counter.seq
            if taken:
                missing = RangeSet([(1, taken)]).without(self._writer.seen)
                unwritten = missing.without(self._shed)
                if self._shed:
                    self._append_loss(self._shed, "shed")
                if unwritten:
                    self._append_loss(unwritten, "unwritten")
            self._writer.end(taken, clean=True)
            self._counter.end()
        except OSError:
            # Without an end mark, whoever adopts the folder says what is missing.
            self._metrics.spool_errors.labels("end").inc()
        finally:
            self._writer.close()
