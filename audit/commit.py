"""The queue before the disk, and the thread that empties it: group commit.

While one group is being synced the next one gathers, so the cost of a sync is shared by as many records as arrive
meanwhile. A group with a durable record is written and synced at once, and all its waiters are released by one call
into their loop; a group of buffered records is written after `write_delay_s` and synced after `sync_interval_s`.
"""

import threading
import time
from collections.abc import Callable
from pathlib import Path

import structlog

from audit.errors import SpoolUnavailable
from audit.journal import Journal, Taken
from audit.limits import SpoolLimits
from audit.metrics import EmitMetrics
from audit.spool import frame
from audit.spool.folder import Counter, free_bytes
from audit.spool.segment import segments
from audit.usage import Usage
from audit.waiters import Waiter, release_all

_log = structlog.get_logger("audit.spool")

_HEARTBEAT_S = 0.5  # how often an idle producer says that it has nothing left: twice per reported watermark
_RELEASE_S = 0.1  # how often the books look for segments the relay has unlinked
_MINT_SLACK_MS = 500  # an id is minted before its number is taken; the watermark stays behind by this
_NS_PER_MS = 1_000_000
_tuple = tuple.__new__


class GroupCommit:
    """Takes records from any thread and brings them to disk from its own."""

    def __init__(
        self,
        folder: Path,
        journal: Callable[[threading.Lock], Journal],
        counter: Counter,
        usage: Usage,
        *,
        producer: str,
        limits: SpoolLimits,
        metrics: EmitMetrics,
        now_ns: Callable[[], int],
    ) -> None:
        self._folder = folder
        self._counter = counter
        self._usage = usage
        self._producer = producer
        self._limits = limits
        self._metrics = metrics
        self._now_ns = now_ns
        self._queue_bytes_max, self._queue_records_max = limits.queue_bytes, limits.queue_records
        self._half_bytes, self._half_records = limits.queue_bytes // 2, limits.queue_records // 2
        # Taken by itself on a request's way: a condition's own `with` costs two calls more.
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._journal = journal(self._lock)
        # Guarded by the lock:
        self._queue: list[Taken] = []
        self._queue_bytes = 0
        self._queued_at = 0.0
        self._urgent = False
        self._closing = False
        self._refusing: str | None = None  # why nothing is taken: `closed`, or `vanished` with the folder
        self._open: dict[int, int] = {}  # numbers taken and not yet offered, with their time; in order of taking
        # The thread's own:
        self._group: list[Taken] = []
        self._working_since = 0.0  # since when the oldest record of the group in hand waits; 0 while there is none
        self._released_at = 0.0
        metrics.bound(queue_bytes=limits.queue_bytes, spool_bytes=limits.max_bytes, queue_records=limits.queue_records)
        metrics.watch_queue(lambda: len(self._queue), lambda: self._queue_bytes, lambda: self._usage.total)
        metrics.queue_oldest_seconds.set_function(self._oldest_s)
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
            if self._journal.ended:
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
            depth, queued = len(queue), self._queue_bytes + size
            reason = self._refusing
            if reason is None:
                if queued > self._queue_bytes_max or depth >= self._queue_records_max:
                    reason = "queue"
                else:
                    reason = self._usage.admit(tenant, size, durable=durable)
            if reason is None:
                # A named tuple's own constructor is a call into Python: a quarter of what all this takes.
                queue.append(_tuple(Taken, (payload, seq, tenant, size, durable, waiter, folded)))
                self._queue_bytes = queued
                if not depth:
                    self._queued_at = time.monotonic()
                if not self._urgent and (
                    waiter is not None or queued > self._half_bytes or depth >= self._half_records
                ):
                    self._urgent = True
                    self._changed.notify()
                elif not depth:
                    self._changed.notify()
                return
            if seq:
                self._journal.shed(seq, folded)
        raise SpoolUnavailable(reason)

    def close(self, timeout_s: float) -> bool:
        """Write what is queued, say what is missing, and end the epoch.

        Returns:
            Whether the end mark is on disk.
        """
        with self._lock:
            self._closing = True
            self._refusing = "closed"
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
                self._refusing = "closed"
                left, self._queue = [*self._journal.unsynced, *self._group, *self._queue], []
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
            if group:
                self._group = group
                self._journal.write(group, queued_at)
                self._group = []
            self._working_since = 0.0
            now = time.monotonic()
            due = self._journal.sync_due(self._limits.sync_interval_s)
            if due is not None and due <= 0:
                self._journal.sync()
            self._journal.report_shed()
            self._release(now)
            self._counter.floor_ms = floor_ms
            if closing:
                self._journal.end()
                return

    def _await_work(self) -> None:
        """Wait, lock held, until there is a group to write or something to sync."""
        if not self._queue and not self._closing:
            due = self._journal.sync_due(self._limits.sync_interval_s)
            self._changed.wait(max(0.0, min(due, _HEARTBEAT_S)) if due is not None else _HEARTBEAT_S)
        if self._queue and not self._urgent and not self._closing:
            left = self._queued_at + self._limits.write_delay_s - time.monotonic()
            self._changed.wait_for(lambda: self._urgent or self._closing, max(0.0, left))
        if self._urgent and not self._closing:
            # Each sync costs the same for one record and for a hundred, most of it processor time of the kernel.
            left = self._journal.synced_at + self._limits.gather_s - time.monotonic()
            if left > 0:
                self._changed.wait_for(lambda: self._closing, left)

    def _floor_ms(self) -> int:
        """Every event with an earlier id is in the group just taken, or written already."""
        now_ms = self._now_ns() // _NS_PER_MS
        oldest = next(iter(self._open.values()), now_ms)
        return max(0, min(oldest, now_ms) - _MINT_SLACK_MS)

    def _release(self, now: float) -> None:
        if now - self._released_at < _RELEASE_S:
            return
        self._released_at = now
        try:
            present = set(segments(self._folder))
        except OSError:  # the folder itself is gone
            present = set()
        orphaned = not self._journal.look()
        if orphaned and self._refusing is None:
            # Fail closed: whoever makes the folder anew begins its numbers anew, and may be another process.
            _log.error("audit_spool_vanished", producer=self._producer, folder=str(self._folder))
            self._metrics.spool_errors.labels("vanished").inc()
        with self._changed:
            if not self._closing:
                self._refusing = "vanished" if orphaned else None
            self._usage.keep(present)
            self._usage.see_free(free_bytes(self._folder))

    def _oldest_s(self) -> float:
        """How long the oldest record that is not written has waited. Called by whoever collects the metrics."""
        since = self._working_since or (self._queued_at if self._queue else 0.0)
        return time.monotonic() - since if since else 0.0
