"""From the spool folders to the sink: the shell that empties every producer's disk, in order, and never drops.

One relay a machine, in the supervisor. It also takes over the folders of producers that were killed and not started
again, so that nothing they wrote stays behind, and says each second how far each producer is complete.
"""

import asyncio
import os
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import structlog
from prometheus_client import CollectorRegistry

from audit.errors import AuditError, SinkUnavailable, SpoolBusy
from audit.ids import id_ms
from audit.metrics import RelayMetrics
from audit.sinks import Sink, Watermark
from audit.spool.adopt import adopt
from audit.spool.folder import Counter, CounterView, lock, peek
from audit.spool.reader import Batch, FolderReader, Position
from audit.spool.segment import LOSS, LOSS_REASONS, segments, stub

REGISTERED_MS = 1000
"""How long a new producer may take to become known to the store before its first events can count as late."""
_NOTHING_YET_MS = 1
"""The watermark of a producer with records on disk, of which nothing is known to be delivered."""
_HOUSE_S = 1.0
_REPORT_S = 1.0
_SAVE_S = 1.0
_BACKOFF_FIRST_S = 0.05
_BACKOFF_DOUBLINGS = 20
_MS = 1e-3
_NS = 1e-9
_NS_PER_MS = 1_000_000

_LOSS_MARK = f'"{LOSS}"'.encode()

_log = structlog.get_logger("audit.relay")


@dataclass(slots=True)
class _Folder:
    """One producer's folder."""

    reader: FolderReader
    mark: Watermark | None = None
    reported: Watermark | None = None
    free_since: float | None = None
    unreadable: str = ""
    promised: tuple[CounterView, Position] | None = None  # a floor, and how far must be delivered for it to hold

    @property
    def quiet(self) -> bool:
        """Whether all has been said of it: it has ended, and the sink knows."""
        return self.mark is not None and self.mark.ended and self.mark == self.reported


@dataclass(frozen=True, slots=True)
class RelayStatus:
    """How far the relay is, for people.

    Attributes:
        sink: Its name.
        caught_up: Whether everything that was on disk at the last look has been delivered.
        failures: Batches in a row that the sink did not take.
        last_error: Why, the last time.
        backlog_bytes: Undelivered bytes by producer.
    """

    sink: str
    caught_up: bool
    failures: int
    last_error: str
    backlog_bytes: dict[str, int] = field(default_factory=dict)


class Relay:
    """Empties all folders under a root into one sink."""

    def __init__(
        self,
        root: Path,
        sink: Sink,
        *,
        batch_records: int = 2000,
        batch_bytes: int = 4 << 20,
        poll_interval_s: float = 0.02,
        backoff_max_s: float = 5.0,
        adopt_after_s: float = 2.0,
        metrics: RelayMetrics | None = None,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._root = root
        self._sink = sink
        self._batch_records = batch_records
        self._batch_bytes = batch_bytes
        self._poll_interval_s = poll_interval_s
        self._backoff_max_s = backoff_max_s
        self._adopt_after_s = adopt_after_s
        self._metrics = metrics or RelayMetrics(CollectorRegistry())
        self._now_ns = now_ns
        self._folders: dict[str, _Folder] = {}
        self._turn = asyncio.Lock()
        self._disk = threading.Lock()  # a cancelled step leaves its thread running: the next one waits for it
        self._failures = 0
        self._last_error = ""
        self._caught_up = False
        self._found_ms = 0
        self._house_at = self._reported_at = self._saved_at = -1e9

    async def run(self) -> None:
        """Relay until cancelled."""
        while True:
            if not await self.step():
                await asyncio.sleep(self._poll_interval_s)

    async def flush(self, within_s: float) -> bool:
        """Deliver what is on disk.

        Returns:
            Whether all of it went within that time.
        """
        deadline = time.monotonic() + within_s
        self._house_at = self._reported_at = -1e9
        try:
            async with asyncio.timeout_at(asyncio.get_running_loop().time() + within_s):
                while await self.step() or not self._caught_up:
                    if time.monotonic() >= deadline:
                        return False
                self._reported_at = -1e9
                await self.step()
        except TimeoutError:
            return False
        return self._caught_up

    def status(self) -> RelayStatus:
        """How far it is."""
        with self._disk:
            backlog = {folder.reader.producer: folder.reader.backlog_bytes() for folder in self._folders.values()}
        return RelayStatus(self._sink.name, self._caught_up, self._failures, self._last_error, backlog)

    async def step(self) -> bool:
        """One round: read, deliver, advance, report.

        Returns:
            Whether there was anything to deliver. After a failure it returns when the pause is over.
        """
        async with self._turn:
            taken = await asyncio.to_thread(self._collect)
            records = [payload for _, batch in taken for payload in batch.records]
            try:
                if records:
                    began = time.monotonic()
                    await self._sink.deliver(records)
                    self._metrics.relayed.labels(self._sink.name).inc(len(records))
                    self._metrics.send_seconds.labels(self._sink.name).observe(time.monotonic() - began)
                await asyncio.to_thread(self._advance, taken)
                if time.monotonic() - self._reported_at >= _REPORT_S:
                    await self._report()
            except SinkUnavailable as exc:
                await self._pause(exc)
                return True
            self._failures = 0
            self._caught_up = not taken
            return bool(taken)

    async def _pause(self, exc: SinkUnavailable) -> None:
        self._failures += 1
        self._caught_up = False
        self._last_error = str(exc)
        self._metrics.failures.labels(self._sink.name).inc()
        if self._failures & (self._failures - 1) == 0:  # the 1st, 2nd, 4th, 8th ...: an outage does not fill the log
            _log.warning("audit_sink_unavailable", sink=self._sink.name, error=str(exc), failures=self._failures)
        ceiling = min(self._backoff_max_s, _BACKOFF_FIRST_S * 2 ** min(self._failures, _BACKOFF_DOUBLINGS))
        await asyncio.sleep(ceiling * (0.5 + random.random() / 2))  # noqa: S311  # jitter

    async def _report(self) -> None:
        # Also what has not moved: that nobody speaks any more is what a dead host looks like.
        held = [folder for folder in self._folders.values() if folder.mark and not folder.quiet]
        marks = [folder.mark for folder in held if folder.mark]
        if marks:
            await self._sink.report(marks)
            for folder, mark in zip(held, marks, strict=True):
                folder.reported = mark
        self._reported_at = time.monotonic()

    # ---- on a thread, one at a time ----

    def _collect(self) -> list[tuple[_Folder, Batch]]:
        with self._disk:
            now = time.monotonic()
            # INVARIANT: looked for before any counter is read, and each time. What a producer wrote is younger than its
            # folder, and counters stay half a second behind: nobody's watermark passes an event of a folder not seen.
            self._found_ms = self._now_ns() // _NS_PER_MS
            self._find()
            if now - self._house_at >= _HOUSE_S:
                self._keep_house(now)
            share = max(1, self._batch_records // max(1, len(self._folders)))
            taken: list[tuple[_Folder, Batch]] = []
            for folder in self._folders.values():
                batch = self._read(folder, share)
                if batch is not None:
                    taken.append((folder, batch))
            self._age(taken)
            return taken

    def _read(self, folder: _Folder, max_records: int) -> Batch | None:
        # The counter is read first: what its floor promises was on disk before we look.
        view = peek(folder.reader.path)
        try:
            end = folder.reader.end()
            batch = folder.reader.read(max_records, self._batch_bytes)
        except (OSError, AuditError) as exc:  # one folder's trouble must not stop the others
            if folder.unreadable != str(exc):
                folder.unreadable = str(exc)
                _log.exception("audit_spool_unreadable", folder=str(folder.reader.path))
            return None
        folder.unreadable = ""
        if view is None or not view.epoch:
            return batch
        if batch is not None:  # under load there is always something more: go by what was there when we looked
            folder.promised = folder.promised or (view, end)
            if folder.mark is None and batch.records:  # known from the first batch on, and waited for
                self._reported_at = -1e9
                folder.mark = Watermark(folder.reader.producer, view.epoch, _NOTHING_YET_MS, ended=False)
        else:
            folder.promised = None
            self._set_mark(folder, view)
        return batch

    def _set_mark(self, folder: _Folder, view: CounterView) -> None:
        if folder.mark is None:
            self._reported_at = -1e9  # to be known before anybody's watermark passes its first event
        folder.mark = self._mark(folder, view)

    def _mark(self, folder: _Folder, view: CounterView) -> Watermark | None:
        ended = view.ended and not any(name.epoch <= view.epoch for name in segments(folder.reader.path))
        if not ended and view.floor_ms == 0:
            return folder.mark
        known_ms = folder.mark.at_ms if folder.mark is not None else 0
        # Not beyond the moment the folders were looked for: who comes later is not among them. And a second more, in
        # which somebody on another machine can make himself known. The store never takes a mark back.
        at_ms = view.floor_ms or known_ms
        if not ended:
            at_ms = min(at_ms, self._found_ms - REGISTERED_MS)
        return Watermark(folder.reader.producer, view.epoch, at_ms, ended)

    def _advance(self, taken: list[tuple[_Folder, Batch]]) -> None:
        with self._disk:
            for folder, batch in taken:
                folder.reader.advance(batch)
                if folder.promised is not None and folder.reader.position >= folder.promised[1]:
                    self._set_mark(folder, folder.promised[0])
                    folder.promised = None
                for payload in batch.records:
                    if _LOSS_MARK in payload:
                        self._count_loss(payload)
                if batch.finished and (batch.damaged or batch.lost):
                    self._metrics.quarantined.inc()
                    _log.error(
                        "audit_segment_set_aside",
                        folder=str(folder.reader.path),
                        segment=batch.name.text(),
                        lost=batch.lost.count,
                    )
            now = time.monotonic()
            if now - self._saved_at >= _SAVE_S or any(batch.finished for _, batch in taken):
                self._saved_at = now
                self._save()

    def _count_loss(self, payload: bytes) -> None:
        known = stub(payload)
        if known is not None and known.event_type == LOSS and known.details is not None:
            reason = str(known.details.get("reason"))
            _log.error("audit_records_lost", **known.details)
            self._metrics.lost.labels(reason if reason in LOSS_REASONS else "other").inc(known.details.get("count", 0))

    def _save(self) -> None:
        for folder in self._folders.values():
            try:
                folder.reader.save()
            except OSError as exc:  # a full disk: after a crash now, duplicates
                _log.warning("audit_cursor_not_saved", folder=str(folder.reader.path), error=str(exc))

    def _find(self) -> None:
        """Know every folder there is."""
        try:
            found = sorted(entry.name for entry in os.scandir(self._root) if entry.is_dir(follow_symlinks=False))
        except FileNotFoundError:
            found = []
        for name in found:
            if name not in self._folders:
                self._folders[name] = _Folder(FolderReader(self._root / name, self._sink.name))
        for name in set(self._folders) - set(found):
            del self._folders[name]

    def _keep_house(self, now: float) -> None:
        """End the epochs of the dead, and say how much there is."""
        self._house_at = now
        for folder in self._folders.values():
            self._adopt_if_dead(folder, now)
        self._metrics.folders.set(len(self._folders))
        self._metrics.backlog_bytes.set(sum(folder.reader.backlog_bytes() for folder in self._folders.values()))

    def _adopt_if_dead(self, folder: _Folder, now: float) -> None:
        """End the epoch of a folder that nobody has owned for a while."""
        path = folder.reader.path
        view = peek(path)
        if view is None or view.ended:
            folder.free_since = None
            return
        try:
            held = lock(path)
        except (SpoolBusy, OSError):
            folder.free_since = None
            return
        try:
            if folder.free_since is None:
                folder.free_since = now
            if now - folder.free_since < self._adopt_after_s:
                return
            producer = folder.reader.producer
            counter = Counter(path)
            try:
                missing = adopt(path, counter, producer)
            finally:
                counter.close()
            self._metrics.adopted.inc()
            _log.warning("audit_spool_adopted", producer=producer, epoch=view.epoch, lost=missing.count)
        except (OSError, AuditError):
            _log.exception("audit_spool_not_adopted", folder=str(path))
        finally:
            os.close(held)

    def _age(self, taken: list[tuple[_Folder, Batch]]) -> None:
        oldest = 0.0
        for _, batch in taken:
            known = stub(batch.records[0]) if batch.records else None
            if known is not None:
                try:
                    oldest = max(oldest, self._now_ns() * _NS - id_ms(known.event_id) * _MS)
                except (ValueError, msgspec.MsgspecError):
                    continue
        self._metrics.oldest_seconds.set(oldest)
