"""One sink's loop: read, deliver, advance; what the sink does not take waits on disk, and is offered after a pause.

A sink that is not required and falls too far behind is moved on: exactly what it missed is named in an event.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeAlias

import structlog

from audit.errors import AuditError, SinkUnavailable
from audit.metrics import RelayMetrics
from audit.relay.folders import Folders
from audit.relay.ways import AHEAD, Pace, Taken, Ways
from audit.sinks.port import Sink

_REPORT_S = 1.0
_HOUSE_S = 1.0
_BACKOFF_FIRST_S = 0.05
_BACKOFF_DOUBLINGS = 20
_LOOK_SHARE = 4  # looking through very many folders takes a fifth of the time at most

_log = structlog.get_logger("audit.relay")

Tell: TypeAlias = Callable[[dict[str, Any]], Awaitable[None]]
"""Has an event recorded with these details; raises `AuditError` where that is not possible now."""


class Lane:
    """Empties all folders into one sink.

    Args:
        sink: Where to.
        folders: Where from; shared by all lanes.
        pace: How.
        metrics: Where it counts.
        main: Whether watermarks go with it, and what it cannot do ends the process.
        bound_bytes: Bytes of one folder that may be kept for this sink alone; None: as many as there are.
        now_ns: Nanoseconds since the epoch.

    Attributes:
        tell: Who records what was passed over; nobody yet.
        failures: Batches in a row that the sink did not take.
        last_error: Why, the last time.
        caught_up: Whether everything that was on disk at the last look has been delivered.
    """

    def __init__(
        self,
        sink: Sink,
        folders: Folders,
        pace: Pace,
        metrics: RelayMetrics,
        *,
        main: bool,
        bound_bytes: int | None,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self.sink = sink
        self.required = bound_bytes is None
        self.tell: Tell | None = None
        self.failures = 0
        self.last_error = ""
        self.caught_up = False
        self._ways = Ways(sink.name, folders, pace, metrics, main=main, bound_bytes=bound_bytes, now_ns=now_ns)
        self._folders = folders
        self._pace = pace
        self._metrics = metrics
        self._main = main
        self._turn = asyncio.Lock()
        self._reported_at = self._house_at = -1e9
        metrics.sink_up.labels(sink.name).set(1)

    def backlog(self) -> dict[str, int]:
        """Undelivered bytes by producer."""
        return self._ways.backlog()

    async def run(self) -> None:
        """Relay until cancelled."""
        while True:
            try:
                went = await self.step()
            except Exception as exc:
                if self._main:
                    raise
                # A fault of ours beside the main sink: it must cost this sink its pauses and nobody anything else.
                _log.exception("audit_sink_failed", sink=self.sink.name)
                try:
                    await self._pause(SinkUnavailable(type(exc).__name__))
                except Exception:  # noqa: BLE001  # the same fault again, in what a pause does besides
                    await asyncio.sleep(self._pace.backoff_max_s)
                went = True
            if not went:
                await asyncio.sleep(max(self._pace.poll_interval_s, _LOOK_SHARE * self._ways.look_s))

    async def flush(self, within_s: float) -> bool:
        """Deliver what is on disk.

        Returns:
            Whether all of it went within that time.
        """
        self._folders.hurry()
        self._reported_at = -1e9
        try:
            async with asyncio.timeout(within_s):
                while await self.step() or not self.caught_up:
                    if self.failures and not self.required:
                        break  # a dead sink beside the main one makes no stop longer
                self._reported_at = -1e9
                await self.step()
        except TimeoutError:
            self.caught_up = False
        except Exception:
            if self._main:
                raise
            self.caught_up = False
            _log.exception("audit_sink_failed", sink=self.sink.name)
        await asyncio.to_thread(self._ways.save)
        return self.caught_up

    async def step(self) -> bool:
        """One round: read, deliver, advance, report.

        Returns:
            Whether there was anything to deliver. After a failure it returns when the pause is over.
        """
        async with self._turn:
            try:
                if not self._ways.pending:
                    await asyncio.to_thread(self._ways.collect)
                taken = self._ways.pending[0] if self._ways.pending else []
                if taken:
                    await self._deliver(taken)
                if self._main and (self._ways.urgent or time.monotonic() - self._reported_at >= _REPORT_S):
                    await self._report()
            except SinkUnavailable as exc:
                await self._pause(exc)
                return True
            if self.failures:
                self.failures = 0
                self._metrics.sink_up.labels(self.sink.name).set(1)
            self.caught_up = not taken
            await self._keep_up()
            return bool(taken)

    async def _deliver(self, taken: Taken) -> None:
        records = [payload for _, batch in taken for payload in batch.records]
        if records:
            ahead = None
            if 2 * len(records) >= self._pace.batch_records and len(self._ways.pending) < AHEAD:
                ahead = asyncio.ensure_future(
                    asyncio.to_thread(self._ways.collect)
                )  # the next, while this one is with it
            began = time.monotonic()
            try:
                await self._into_sink(records)
            finally:
                if ahead is not None:
                    await asyncio.gather(ahead, return_exceptions=True)
            self._metrics.relayed.labels(self.sink.name).inc(len(records))
            self._metrics.send_seconds.labels(self.sink.name).observe(time.monotonic() - began)
        await asyncio.to_thread(self._ways.advance, taken)

    async def _into_sink(self, records: Sequence[bytes]) -> None:
        if self._main:
            await self.sink.deliver(records)
            return
        try:
            async with asyncio.timeout(self._pace.deliver_s):
                await self.sink.deliver(records)
        except TimeoutError:
            raise SinkUnavailable(f"{self.sink.name}: no answer in {self._pace.deliver_s:g} s") from None

    async def _pause(self, exc: SinkUnavailable) -> None:
        self.failures += 1
        self.caught_up = False
        self.last_error = str(exc)
        self._metrics.failures.labels(self.sink.name).inc()
        self._metrics.sink_up.labels(self.sink.name).set(0)
        self._ways.age()
        if self.failures & (self.failures - 1) == 0:  # the 1st, 2nd, 4th, 8th ...: an outage does not fill the log
            _log.warning("audit_sink_unavailable", sink=self.sink.name, error=str(exc), failures=self.failures)
        await self._keep_up()
        if exc.retry_after_s is not None:  # a breaker stands before the sink, and knows when it may be asked again
            await asyncio.sleep(exc.retry_after_s)
            return
        ceiling = min(self._pace.backoff_max_s, _BACKOFF_FIRST_S * 2 ** min(self.failures, _BACKOFF_DOUBLINGS))
        await asyncio.sleep(ceiling * (0.5 + random.random() / 2))  # noqa: S311  # jitter

    async def _report(self) -> None:
        self._ways.urgent = False
        # Also what has not moved: that nobody speaks any more is what a dead host looks like.
        ways = [way for way in self._ways if way.mark and not way.settled]
        marks = [way.mark for way in ways if way.mark]
        if marks:
            await self.sink.report(marks)
            for way, mark in zip(ways, marks, strict=True):
                way.reported = mark
        self._reported_at = time.monotonic()

    async def _keep_up(self) -> None:
        """Once a second: how far behind it is, whether that is too far, and what of it is not recorded yet."""
        if time.monotonic() - self._house_at < _HOUSE_S:
            return
        self._house_at = time.monotonic()
        untold = await asyncio.to_thread(self._ways.keep_house)
        for way, details in untold:
            if self.tell is None:
                return
            try:
                await self.tell(details)
            except AuditError as exc:  # it stands in the cursor until it is recorded
                _log.warning("audit_skip_not_recorded", sink=self.sink.name, error=str(exc))
                return
            way.reader.skipped.remove(details)
