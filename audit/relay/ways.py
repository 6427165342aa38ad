"""The folders as one sink goes through them: what it reads next, what it was given, what it is moved over. On threads.

What was read and not yet taken stays in hand, two batches at most, and is offered again after a pause.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import msgspec
import structlog

from audit.errors import AuditError, SinkUnavailable
from audit.ids import id_ms
from audit.metrics import RelayMetrics
from audit.relay.folders import Folders
from audit.relay.skip import held_beyond, skip
from audit.sinks.port import Watermark
from audit.spool.folder import CounterView, peek
from audit.spool.reader import Batch, FolderReader, Position
from audit.spool.segment import LOSS, LOSS_REASONS, SegmentName, stub

_SAVE_S = 1.0
SAVE_RECORDS = 20_000
"""A cursor on disk is never further behind than this and a batch, so a crash costs no more duplicates."""
REGISTERED_MS = 1000
"""How long a new producer may take to become known to the store before its first events can count as late."""
_NOTHING_YET_MS = 1
"""The watermark of a producer with records on disk, of which nothing is known to be delivered."""
AHEAD = 2
"""Batches in hand: one with the sink, one read meanwhile."""
_QUIET_S = 1.0
_MS = 1e-3
_NS = 1e-9
_NS_PER_MS = 1_000_000

_LOSS_SAYS = ("producer", "epoch", "missing", "count", "reason", "folded")
_LOSS_MARK = f'"{LOSS}"'.encode()

_log = structlog.get_logger("audit.relay")


class Pace(NamedTuple):
    """How a lane goes.

    Attributes:
        batch_records: Most records in one batch.
        batch_bytes: Most bytes in one batch.
        poll_interval_s: Pause when there was nothing.
        backoff_max_s: Longest pause after failures.
        deliver_s: A sink beside the main one that takes longer has failed.
    """

    batch_records: int = 2000
    batch_bytes: int = 4 << 20
    poll_interval_s: float = 0.02
    backoff_max_s: float = 5.0
    deliver_s: float = 30.0


@dataclass(slots=True, eq=False)
class Way:
    """One folder, for one sink.

    Attributes:
        name: The folder's name.
        reader: Of that sink.
        mark: What may be reported when all in hand is delivered.
        reported: What was.
        promised: A counter as it was seen, and how far must be delivered for its floor to hold.
        quiet: An ended epoch of which all was read, and until when that is believed.
        trouble: What was last wrong with it.
    """

    name: str
    reader: FolderReader
    mark: Watermark | None = None
    reported: Watermark | None = None
    promised: tuple[CounterView, Position] | None = None
    quiet: tuple[int, float] | None = None
    trouble: str = ""

    @property
    def settled(self) -> bool:
        """Whether all has been said of it: it has ended, and the sink knows."""
        return self.mark is not None and self.mark.ended and self.mark == self.reported


Taken: TypeAlias = list[tuple[Way, Batch]]


class Ways:
    """All folders, for one sink. Its methods block, and take turns.

    Args:
        sink: The sink's name.
        folders: Shared by all lanes.
        pace: How.
        metrics: Where it counts.
        main: Whether it is the main sink: watermarks are made, losses counted.
        bound_bytes: Bytes of one folder that may be kept for this sink alone; None: as many as there are.
        now_ns: Nanoseconds since the epoch.

    Attributes:
        pending: Read and not delivered, oldest first.
        urgent: Whether there is a producer the sink has not been told of: it must be known before anybody's watermark
            passes its first event.
        look_s: How long the last look took that found nothing.
    """

    def __init__(
        self,
        sink: str,
        folders: Folders,
        pace: Pace,
        metrics: RelayMetrics,
        *,
        main: bool,
        bound_bytes: int | None,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self.pending: deque[Taken] = deque()
        self.urgent = False
        self.look_s = 0.0
        self._found_ms = 0
        self.required = bound_bytes is None
        self._sink = sink
        self._folders = folders
        self._pace = pace
        self._metrics = metrics
        self._main = main
        self._bound_bytes = bound_bytes
        self._now_ns = now_ns
        self._ways: dict[str, Way] = {}
        self._unknown: set[str] = set()
        self._turn = threading.Lock()  # a cancelled step leaves its thread running: the next one waits for it
        self._active = 1
        self._last_served = ""
        self._unsaved = 0
        self._saved_at = -1e9
        folders.holders.append(self)

    def __iter__(self) -> Iterator[Way]:
        return iter(list(self._ways.values()))

    def place(self, folder: str) -> SegmentName | None:
        """See `Holder`."""
        way = self._ways.get(folder)
        return way.reader.place if way is not None else None

    def backlog(self) -> dict[str, int]:
        """Undelivered bytes by producer."""
        with self._turn:
            return self._lag()

    def collect(self) -> None:
        """Take the next batch in hand, if there is one and a hand is free.

        Raises:
            SinkUnavailable: the folders cannot be looked for now.
        """
        with self._turn:
            if len(self.pending) >= AHEAD:
                return
            now = time.monotonic()
            # INVARIANT: looked for before any counter is read, and each time. What a producer wrote is younger than its
            # folder, and counters stay half a second behind: nobody's watermark passes an event of a folder not seen.
            looked_ms = self._now_ns() // _NS_PER_MS
            self._look(now)
            self._found_ms = looked_ms
            taken: Taken = []
            try:
                self._read_all(now, taken)
            finally:  # also of a fault of ours in the middle: what was read is read once, and must be in some hand
                if taken:
                    self.pending.append(taken)
            self.look_s = time.monotonic() - now if not taken else 0.0
            self.age()

    def _look(self, now: float) -> None:
        try:
            names = self._folders.look(now)
        except OSError as exc:  # too many open files, a disk that is gone: it passes, or somebody is told of the outage
            raise SinkUnavailable(f"{self._sink}: the spool cannot be read: {exc.strerror}") from exc
        self._know(names)

    def _know(self, names: Sequence[str]) -> None:
        for name in names:
            if name not in self._ways:
                try:
                    self._ways[name] = Way(name, FolderReader(self._folders.root / name, self._sink))
                except OSError as exc:  # it stays unknown, so all of it is kept
                    if name not in self._unknown:
                        _log.warning("audit_spool_unreadable", folder=name, sink=self._sink, error=str(exc))
                    self._unknown.add(name)
                else:
                    self._unknown.discard(name)
        if len(names) < len(self._ways):
            for name in set(self._ways) - set(names):
                del self._ways[name]

    def _read_all(self, now: float, taken: Taken) -> None:
        """A batch over all folders that have something, beginning behind the one that was served last."""
        names = sorted(self._ways)
        first = next((at for at, name in enumerate(names) if name > self._last_served), 0)
        share = max(1, self._pace.batch_records // self._active)
        left_records, left_bytes = self._pace.batch_records, self._pace.batch_bytes
        for name in names[first:] + names[:first]:
            if left_records <= 0 or left_bytes <= 0:
                break
            way = self._ways[name]
            batch = None
            with self._tolerant(way):
                batch = self._read(way, min(share, left_records), left_bytes, now)
            if batch is not None:
                taken.append((way, batch))
                left_records -= len(batch.records)
                left_bytes -= batch.size
                self._last_served = name
        self._active = max(1, len(taken))

    def _read(self, way: Way, max_records: int, max_bytes: int, now: float) -> Batch | None:
        # The counter is read first: what its floor promises was on disk before we look.
        view = peek(way.reader.path)
        if way.quiet is not None:
            if view is not None and view.ended and way.quiet[0] == view.epoch and now < way.quiet[1]:
                return None
            way.quiet = None
        if view is not None and way.reader.place is not None and way.reader.place.epoch > view.epoch:
            way.reader.forget()  # the folder was emptied by hand and begun anew
        end = way.reader.end() if self._main else (0, 0, 0)
        batch = way.reader.read(max_records, max_bytes)
        way.trouble = ""
        if way.reader.producer != way.name:
            self._folders.named(way.name, way.reader.producer)
        if view is not None and view.epoch:
            self._believe(way, view, end, batch, now)
        return batch

    def _believe(self, way: Way, view: CounterView, end: Position, batch: Batch | None, now: float) -> None:
        """Take what a counter says, as it was before the folder was read."""
        in_hand = any(way is held for taken in self.pending for held, _ in taken)
        if batch is None and not in_hand:
            ended = view.ended and way.reader.passed(view.epoch)
            if ended:
                way.quiet = (view.epoch, now + _QUIET_S)
            if self._main:
                way.promised = None
                self._set_mark(way, view, ended=ended)
        elif self._main:  # under load there is always something more: go by what was there when we looked
            way.promised = way.promised or (view, end)
            # Known from the first batch on, and waited for; also an opening whose predecessor was reported as ended.
            # Of a first batch there may have been room for the segment's header alone.
            if way.mark is None or (way.mark.ended and way.mark.epoch != view.epoch):
                self.urgent = True
                way.mark = Watermark(way.reader.producer, view.epoch, _NOTHING_YET_MS, ended=False)

    def _set_mark(self, way: Way, view: CounterView, *, ended: bool) -> None:
        """Take what a counter promises; it holds once all that was in hand when it was read is delivered."""
        if not ended and view.floor_ms == 0:
            return
        if way.mark is None:
            self.urgent = True
        # Not beyond the moment the folders were looked for: who comes later is not among them. And a second more, in
        # which somebody on another machine can make himself known. The store never takes a mark back.
        at_ms = view.floor_ms or (way.mark.at_ms if way.mark is not None else 0)
        if not ended:
            at_ms = min(at_ms, self._found_ms - REGISTERED_MS)
        way.mark = Watermark(way.reader.producer, view.epoch, at_ms, ended)

    @contextmanager
    def _tolerant(self, way: Way) -> Iterator[None]:
        """One folder's trouble must not stop the others; it is said once."""
        try:
            yield
        except (OSError, AuditError) as exc:
            if way.trouble != str(exc):
                way.trouble = str(exc)
                _log.exception("audit_spool_unreadable", folder=str(way.reader.path), sink=self._sink)

    def _lag(self) -> dict[str, int]:
        behind: dict[str, int] = {}
        for way in self:
            with self._tolerant(way):
                behind[way.reader.producer] = way.reader.backlog_bytes()
        return behind

    def advance(self, taken: Taken) -> None:
        """The oldest in hand was delivered."""
        with self._turn:
            if not self.pending or self.pending[0] is not taken:
                return  # a cancelled step's thread was here already
            self.pending.popleft()
            finished = False
            for way, batch in taken:
                if batch.finished and (batch.damaged or batch.lost):  # before the cursor can pass it
                    self._folders.damaged(way.name, batch.name, batch.lost.count)
                way.reader.advance(batch)
                if way.promised is not None and way.reader.position >= way.promised[1]:
                    self._set_mark(way, way.promised[0], ended=False)
                    way.promised = None
                self._unsaved += len(batch.records)
                if self._main:
                    for payload in batch.records:
                        if _LOSS_MARK in payload:
                            self._count_loss(payload)
                if batch.finished:
                    finished = True
                    self._folders.clear(way.name)
            now = time.monotonic()
            if finished or now - self._saved_at >= _SAVE_S or self._unsaved >= SAVE_RECORDS:
                self._save(now)

    def save(self) -> None:
        """Bring all cursors to disk."""
        with self._turn:
            self._save(time.monotonic())

    def _save(self, now: float) -> None:
        self._saved_at, self._unsaved = now, 0
        for way in self:
            try:
                way.reader.save()
            except OSError as exc:  # a full disk: after a crash now, duplicates
                _log.warning("audit_cursor_not_saved", folder=str(way.reader.path), error=str(exc))

    def keep_house(self) -> list[tuple[Way, dict[str, Any]]]:
        """Say how far behind the sink is, and move it on if that is too far; while nothing is with the sink.

        Returns:
            What it was moved over and nobody has recorded.
        """
        with self._turn:
            # A sink that takes nothing reads nothing: what it does not know of it would hold for ever.
            with suppress(SinkUnavailable):  # said when something is to be read
                self._look(time.monotonic())
            lag = sum(self._lag().values())
            self._metrics.sink_lag_bytes.labels(self._sink).set(lag)
            if self._main:
                self._metrics.backlog_bytes.set(lag)
            if self._bound_bytes is not None:
                for way in self:
                    with self._tolerant(way):
                        self._move_on(way)
            return [(way, details) for way in self for details in way.reader.skipped]

    def _move_on(self, way: Way) -> None:
        """Give up what is kept for this sink alone beyond its bound, oldest first."""
        needed = [lane.place(way.name) for lane in self._folders.holders if lane is not self and lane.required]
        while held_beyond(way.reader, needed) > (self._bound_bytes or 0):
            self.pending = deque(
                left for taken in self.pending if (left := [item for item in taken if item[0] is not way])
            )
            details = skip(way.reader, self._sink)
            if details is None:
                return
            self._metrics.sink_skipped.labels(self._sink).inc(details["count"])
            _log.error("audit_sink_skipped", **details)
            self._folders.clear(way.name)

    def _count_loss(self, payload: bytes) -> None:
        known = stub(payload)
        if known is not None and known.event_type == LOSS and known.details is not None:
            said = known.details
            reason, count = str(said.get("reason")), said.get("count")
            _log.error("audit_records_lost", **{name: said[name] for name in _LOSS_SAYS if name in said})
            self._metrics.lost.labels(reason if reason in LOSS_REASONS else "other").inc(
                count if isinstance(count, int) and count > 0 else 0
            )

    def age(self) -> None:
        """How old the oldest record in hand is."""
        oldest = 0.0
        for _, batch in self.pending[0] if self.pending else ():
            known = stub(batch.records[0]) if batch.records else None
            if known is not None:
                try:
                    oldest = max(oldest, self._now_ns() * _NS - id_ms(known.event_id) * _MS)
                except (ValueError, msgspec.MsgspecError):
                    continue
        self._metrics.sink_oldest_seconds.labels(self._sink).set(oldest)
        if self._main:
            self._metrics.oldest_seconds.set(oldest)
