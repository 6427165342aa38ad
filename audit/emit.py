"""Where an event enters: the emitter of one process, over its own spool folder.

Comes in: `AuditEvent` values, from the gateway, the services, the query API. Goes out: frames in the spool's segment
files. Called on the request's way, so everything here is a few microseconds; the disk is the commit thread's business.
"""

import asyncio
import concurrent.futures
import os
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import msgspec
import structlog
from prometheus_client import CollectorRegistry

from audit.codec import encode, encode_legible, is_shallow, timestamp, truncated
from audit.commit import GroupCommit
from audit.errors import SpoolUnavailable
from audit.event import AuditEvent, Producer
from audit.fold import FoldKey, Folds
from audit.ids import EventIds
from audit.journal import Journal
from audit.limits import SpoolLimits
from audit.metrics import EmitMetrics
from audit.metrics.emit import SAMPLE
from audit.redact import Mode, Report, WriteRedactor
from audit.spool.adopt import adopt
from audit.spool.epoch import next_epoch
from audit.spool.folder import Counter, holds, lock, loose
from audit.spool.folder import make as make_folder
from audit.spool.segment import segments
from audit.spool.writer import SegmentWriter
from audit.usage import Usage
from audit.waiters import Callback

_CLOSE_TIMEOUT_S = 10.0
_NS_PER_MS = 1_000_000

_log = structlog.get_logger("audit.emit")


class Stamp(NamedTuple):
    """The id and the number of an event, minted together."""

    event_id: str
    producer: Producer


class Emitter:
    """The audit sink of one process. Safe to use from its loop and from other threads.

    Opening the folder takes its lock, ends a killed predecessor's epoch with an exact `audit.loss` record, and begins
    a new epoch.

    Attributes:
        producer_id: Whose records these are.
        epoch: Of this opening.
        predecessor_lost: The numbers a killed predecessor took and never wrote.
    """

    def __init__(
        self,
        folder: Path,
        producer_id: str,
        *,
        limits: SpoolLimits | None = None,
        redactor: WriteRedactor | None = None,
        metrics: EmitMetrics | None = None,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        """Open the folder.

        Raises:
            SpoolBusy: another process owns it.
            SpoolUnavailable: it cannot be made or written.
        """
        self._limits = limits or SpoolLimits()
        self._redactor = redactor
        self._looks = redactor is not None and redactor.mode is not Mode.OFF  # it gives up on what is nested too deep
        self._metrics = metrics or EmitMetrics(CollectorRegistry())
        self._cost = self._metrics.emit_duration.of(())
        self._now_ns = now_ns
        if redactor is not None:
            redactor.report_to(self._count_redacted, self._metrics.redaction_failures.inc)
            self._metrics.redacting(redactor.mode, redactor.classes)
            if redactor.mode is Mode.OFF:
                _log.warning("audit_redaction_off", producer=producer_id, meaning="secrets are written as they come")
        self._ids = EventIds(now_ns)
        self._folds = Folds()
        self._folding = threading.Lock()  # a stop flushes from another thread
        self._flushed = False
        self.producer_id = producer_id
        try:
            make_folder(folder)
            self._lock = lock(folder, self._limits.lock_wait_s)
        except OSError as exc:
            raise SpoolUnavailable(f"spool folder `{folder}` cannot be used: {exc.strerror}") from exc
        try:
            self._counter = Counter(folder)
            self.predecessor_lost = adopt(folder, self._counter, producer_id)
            usage = Usage(self._limits)
            present = segments(folder)
            for name in present:
                try:
                    usage.inherit(name, (folder / name.text()).stat().st_size)
                except FileNotFoundError:  # delivered and unlinked in this moment
                    continue
            self.epoch = next_epoch(max([self._counter.epoch, *(name.epoch for name in present)]), now_ns())
            self._counter.begin(self.epoch)
            writer = SegmentWriter(
                folder,
                producer_id,
                self.epoch,
                segment_bytes=self._limits.segment_bytes,
                reserve_bytes=self._limits.reserve_bytes,
                owned=partial(holds, folder, self._lock),
            )
            writer.open()
        except OSError as exc:
            os.close(self._lock)
            raise SpoolUnavailable(f"spool folder `{folder}` cannot be written: {exc.strerror}") from exc
        except BaseException:
            os.close(self._lock)
            raise
        journal = partial(
            Journal,
            writer,
            self._counter,
            usage,
            producer=producer_id,
            ids=self._ids,
            metrics=self._metrics,
            now_ns=now_ns,
        )
        self._commit = GroupCommit(
            folder,
            journal,
            self._counter,
            usage,
            producer=producer_id,
            limits=self._limits,
            metrics=self._metrics,
            now_ns=now_ns,
        )
        if (trouble := loose(folder)) is not None:
            _log.warning("audit_spool_open_to_others", folder=str(folder), reason=trouble)

    def stamp(self) -> Stamp:
        """An id and a number for an event that happens now."""
        event_id = self._ids.next()
        return Stamp(event_id, self.producer(event_id))

    def event_id(self) -> str:
        """A UUIDv7, later than every one before it in this process."""
        return self._ids.next()

    def producer(self, event_id: str | None = None) -> Producer:
        """The producer with the next number.

        Args:
            event_id: Of the event that will carry it, if its id was minted earlier: the watermark waits for it.
        """
        at_ms = self._now_ns() // _NS_PER_MS if event_id is None else int(event_id[:8] + event_id[9:13], 16)
        return Producer(self.producer_id, self.epoch, self._commit.take(at_ms))

    def number(self, at_ms: int) -> int:
        """The next number alone, for an event of that time, milliseconds since the epoch.

        Every number that is taken must be emitted, or it is reported as lost.
        """
        return self._commit.take(at_ms)

    def numbered(self, seq: int) -> Producer:
        """The producer with a number that was taken."""
        return Producer(self.producer_id, self.epoch, seq)

    def emit(self, event: AuditEvent, *, durable: bool = False, folded: int = 0) -> bool:
        """Take a record without waiting for the disk.

        Args:
            event: Stamped by this emitter.
            durable: Whether it may use the room kept for durable records; for completions of durable decisions.
            folded: How many refusals it stands for, if it is a folded one.

        Returns:
            False if it was shed; it is counted, and its number will be named in an `audit.loss` record.
        """
        began = 0.0 if event.producer.seq % SAMPLE else time.perf_counter()
        try:
            self._commit.offer(self._bytes(event), event.producer.seq, event.tenant_id, durable=durable, folded=folded)
        except SpoolUnavailable as exc:
            self._metrics.shed.labels(str(exc)).inc()
            return False
        if began:
            self._cost.observe(time.perf_counter() - began)
        return True

    def emit_durable(self, event: AuditEvent) -> asyncio.Future[None]:
        """Take a record; the future is done when it is synced.

        Raises:
            SpoolUnavailable: from the call if there is no room, from the future if the disk refused. The record is
                not safe and nothing may be done on its strength.
        """
        waiter = asyncio.get_running_loop().create_future()
        self._durably(event, waiter)
        return waiter

    def emit_and_wait(self, event: AuditEvent, timeout_s: float = 10.0) -> None:
        """As `emit_durable`, for threads without a loop.

        Raises:
            SpoolUnavailable: the record is not safe.
        """
        waiter: concurrent.futures.Future[None] = concurrent.futures.Future()
        self._durably(event, waiter)
        try:
            waiter.result(timeout_s)
        except TimeoutError as exc:
            raise SpoolUnavailable("the disk is too slow") from exc

    def render(self, event: AuditEvent) -> bytes | None:
        """The bytes an event is written as; None where something may have to be taken out of it first.

        For whoever writes many records that differ in a few values, and makes them from these bytes.
        """
        if self._redactor is not None and self._redactor.concerns(event):
            return None
        payload = encode(event)
        return payload if len(payload) <= self._limits.event_bytes else None

    def emit_rendered(self, payload: bytes, seq: int, tenant_id: str, *, durable: bool = False) -> bool:
        """As `emit`, for a record made from bytes that `render` gave."""
        began = 0.0 if seq % SAMPLE else time.perf_counter()
        try:
            self._commit.offer(payload, seq, tenant_id, durable=durable)
        except SpoolUnavailable as exc:
            self._metrics.shed.labels(str(exc)).inc()
            return False
        if began:
            self._cost.observe(time.perf_counter() - began)
        return True

    def emit_rendered_durable(self, payload: bytes, seq: int, tenant_id: str, then: Callable[[bool], None]) -> None:
        """Take a record made from bytes that `render` gave; `then` is called in this loop with whether it is synced.

        Raises:
            SpoolUnavailable: there is no room; `then` is not called.
        """
        began = 0.0 if seq % SAMPLE else time.perf_counter()
        waiter = Callback(asyncio.get_running_loop(), then)
        try:
            self._commit.offer(payload, seq, tenant_id, durable=True, waiter=waiter)
        except SpoolUnavailable as exc:
            self._metrics.refused.labels(str(exc)).inc()
            raise
        if began:
            self._cost.observe(time.perf_counter() - began)

    def emit_folded(self, key: FoldKey, trace_id: str | None, make: Callable[[Stamp], AuditEvent]) -> None:
        """Record a refusal of an unknown caller, together with those like it.

        Args:
            key: What makes them alike.
            trace_id: Of this refusal.
            make: Makes the record; called for the first of a fold only. Call `emit_due` about every second.
        """
        with self._folding:
            if self._flushed:  # too late to wait for others
                self._emit_fold(make(self.stamp()))
            elif self._folds.count(key, timestamp(self._now_ns()), trace_id):
                self._metrics.folded.inc()
            else:
                self._folds.open(key, make(self.stamp()), time.monotonic())

    def emit_due(self, *, everything: bool = False) -> None:
        """Emit the folded records whose second is over.

        One that is lost after all takes no count with it: the `audit.loss` record that names it says how many refusals
        it stood for (`details.folded`).
        """
        with self._folding:
            due = self._folds.due(time.monotonic(), everything=everything)
        for event in due:
            self._emit_fold(event)

    def close(self, timeout_s: float = _CLOSE_TIMEOUT_S) -> bool:
        """Write everything, write the end mark, give the folder up. Blocks; harmless when repeated.

        Returns:
            Whether the epoch ended cleanly.
        """
        if self._lock < 0:
            return True
        with self._folding:
            self._flushed = True
        self.emit_due(everything=True)
        clean = self._commit.close(timeout_s)
        if clean:
            self._counter.close()
            os.close(self._lock)
            self._lock = -1
        return clean

    async def aclose(self, timeout_s: float = _CLOSE_TIMEOUT_S) -> bool:
        """As `close`, without blocking the loop."""
        return await asyncio.to_thread(self.close, timeout_s)

    def _emit_fold(self, event: AuditEvent) -> None:
        self.emit(event, folded=event.aggregate.count if event.aggregate is not None else 1)

    def _durably(self, event: AuditEvent, waiter: asyncio.Future[None] | concurrent.futures.Future[None]) -> None:
        began = 0.0 if event.producer.seq % SAMPLE else time.perf_counter()
        try:
            self._commit.offer(self._bytes(event), event.producer.seq, event.tenant_id, durable=True, waiter=waiter)
        except SpoolUnavailable as exc:
            self._metrics.refused.labels(str(exc)).inc()
            raise
        if began:
            self._cost.observe(time.perf_counter() - began)

    def _count_redacted(self, report: Report) -> None:
        self._metrics.count_redacted(report, self._now_ns() / 1e9)

    def _bytes(self, event: AuditEvent) -> bytes:
        if self._redactor is not None:
            event = self._redactor.at_write(event)
        try:
            payload = encode(event)
            if len(payload) <= self._limits.event_bytes and (self._looks or is_shallow(payload)):
                return payload
        except (UnicodeError, TypeError, ValueError, RecursionError, msgspec.MsgspecError):
            # A value that no JSON holds (a lone surrogate, say) costs the parts it can stand in, not the record.
            self._metrics.redaction_failures.inc()
        self._metrics.truncated.inc()
        event = truncated(event)
        try:
            return encode(event)
        except UnicodeError:
            return encode_legible(event)
