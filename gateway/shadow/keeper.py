"""The supervisor's side of the shadow: takes what the relay has delivered, has a share of it decided, counts and tells.

Nothing waits for it. What comes faster than it is decided is dropped and counted, a process that ends is started again,
and a candidate that cannot be used is told of in the log, the status and a metric, and is otherwise as if it were not
there.
"""

import asyncio
import os
import signal
import socket
import sys
from asyncio.subprocess import Process
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

import structlog
from prometheus_client import CollectorRegistry

from audit.emit import Emitter
from gateway.clock import Clock
from gateway.control import Channel, ControlBroken
from gateway.shadow.event import diverged
from gateway.shadow.messages import Divergence, FromShadow, Judge, Judged, Load, Loaded, ToShadow
from gateway.shadow.metrics import ShadowMetrics
from gateway.shadow.sample import Sample
from gateway.shadow_settings import ShadowSettings
from gateway.sources import SourceFile
from policies.errors import Finding, PolicyErrors
from policies.load import SCHEMA_FILE, SourceText, read_folder

PROCESS: Final = (sys.executable, "-m", "gateway.shadow.process")
"""The command that becomes the shadow's process; the number of its channel's descriptor is added."""

QUEUE_RECORDS: Final = 10_000
QUEUE_BYTES: Final = 16 << 20
FOLDER_BYTES: Final = 8 << 20
"""A candidate larger than this is not read: 2,000 policies are 2 MiB."""
_BATCH_RECORDS: Final = 200
"""At 100 us each: the process answers within moments, and is asked again."""
_BATCH_BYTES: Final = 4 << 20
_IDLE_S: Final = 1.0
_LOAD_S: Final = 60.0
_JUDGE_S: Final = 10.0
_WAIT_FIRST_S: Final = 0.5
_WAIT_MAX_S: Final = 60.0
_WORD_CHARS: Final = 2_000
"""Of a problem, in the log and the status."""

_Answer = TypeVar("_Answer", Loaded, Judged)

_log = structlog.get_logger(__name__)


class Live(NamedTuple):
    """What the shadow has to know of the policies in force.

    Attributes:
        schema: Under which decisions are recorded.
        roles: The names of the role catalogue.
        strict: Whether any policy error denies.
    """

    schema: SourceFile
    roles: tuple[str, ...]
    strict: bool


class _Gone(Exception):
    """The process has ended, or does not answer."""


class Shadow:
    """The shadow set of a gateway.

    Args:
        folder: Of the candidate.
        settings: Which share, and how many events.
        live: Says what of the policies in force matters here.
        emitter: Where divergences are recorded.
        clock: For their time.
        registry: Where it counts.
        command: What becomes the process.
    """

    def __init__(
        self,
        folder: Path,
        settings: ShadowSettings,
        live: Callable[[], Live],
        emitter: Emitter,
        clock: Clock,
        registry: CollectorRegistry,
        *,
        command: Sequence[str] = PROCESS,
    ) -> None:
        self._folder = folder
        self._settings = settings
        self._sample = Sample(settings.sample)
        self._live = live
        self._emitter = emitter
        self._clock = clock
        self._metrics = ShadowMetrics(registry)
        self._command = command
        self._queue: deque[bytes] = deque()
        self._queued_bytes = 0
        self._something = asyncio.Event()
        self._asked = True
        self._under: Live | None = None
        self._pid: int | None = None
        self._version = ""
        self._problem = "not read yet"
        self._counts: Counter[str] = Counter()
        self._second = (0.0, 0)

    def offer(self, records: Sequence[bytes]) -> None:
        """Take records that were delivered; returns at once."""
        if not self._version:
            return  # there is nothing to decide by, and nobody knows when there will be
        for record in self._sample.chosen(records):
            if len(self._queue) >= QUEUE_RECORDS or self._queued_bytes + len(record) > QUEUE_BYTES:
                self._drop("queue", 1)
                continue
            self._queue.append(record)
            self._queued_bytes += len(record)
        if self._queue:
            self._something.set()

    def ask(self) -> None:
        """Have the candidate read anew, soon."""
        self._asked = True
        self._something.set()

    def status(self) -> dict[str, Any]:
        """For `/internal/status`."""
        return {
            "folder": str(self._folder),
            "sample": self._settings.sample,
            "pid": self._pid,
            "version": self._version,
            "problem": self._problem,
            "waiting": len(self._queue),
            **{name: self._counts[name] for name in ("compared", "diverged", "undecidable", "dropped", "withheld")},
        }

    async def run(self) -> None:
        """Decide until cancelled; a process that ends is started again, later each time."""
        wait_s = _WAIT_FIRST_S
        while True:
            compared = self._counts["compared"]
            try:
                async with self._process() as (process, channel):
                    await self._serve(process, channel)
            except (_Gone, OSError, ControlBroken) as exc:
                self._gone(str(exc), wait_s)
            except Exception as exc:  # noqa: BLE001 - whatever it is, it is no reason to stop a gateway
                self._gone(f"unforeseen {type(exc).__name__}", wait_s)
            self._metrics.in_use.set(0)
            self._metrics.restarts.inc()
            self._asked = True
            wait_s = _WAIT_FIRST_S if self._counts["compared"] > compared else wait_s
            await asyncio.sleep(wait_s)
            wait_s = min(2 * wait_s, _WAIT_MAX_S)

    def _gone(self, reason: str, wait_s: float) -> None:
        self._version, self._problem = "", f"the process is gone: {reason}"
        self._drop("process", len(self._queue))
        self._queue.clear()
        self._queued_bytes = 0
        _log.warning("shadow_process_gone", reason=reason, again_in_s=wait_s)

    # --- the process

    @asynccontextmanager
    async def _process(self) -> AsyncIterator[tuple[Process, Channel[ToShadow, FromShadow]]]:
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                process = await asyncio.create_subprocess_exec(
                    *self._command,
                    str(theirs.fileno()),
                    stdin=asyncio.subprocess.DEVNULL,
                    pass_fds=(theirs.fileno(),),
                    start_new_session=True,
                )
            except BaseException:
                ours.close()
                raise
        channel: Channel[ToShadow, FromShadow] = await Channel.over(ours, FromShadow)
        self._pid = process.pid
        try:
            yield process, channel
        finally:
            self._pid = None
            _kill(process)
            with suppress(ConnectionError):
                await channel.close()
            await process.wait()

    async def _serve(self, process: Process, channel: Channel[ToShadow, FromShadow]) -> None:
        replies = aiter(channel)
        while True:
            if self._asked or self._live() != self._under:
                await self._load(channel, replies)
            batch = self._batch()
            if not batch:
                await self._idle(process)
                continue
            channel.send(Judge(tuple(batch)))
            try:
                judged = await _reply(replies, Judged, _JUDGE_S)
            except _Gone:
                self._drop("process", len(batch))
                raise
            self._take(judged)

    async def _idle(self, process: Process) -> None:
        """Wait for something to do, a while.

        Raises:
            _Gone: There is nobody to do it.
        """
        self._something.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(_IDLE_S):
                await self._something.wait()
        if process.returncode is not None:
            raise _Gone(f"it ended with {process.returncode}")

    async def _load(self, channel: Channel[ToShadow, FromShadow], replies: AsyncIterator[FromShadow]) -> None:
        """Read the candidate and hand it over; without one, wait for what asks again."""
        self._asked = False
        self._under = live = self._live()
        try:
            files, schema = await asyncio.to_thread(_read, self._folder)
        except PolicyErrors as exc:
            self._refused(str(exc))
            return
        channel.send(
            Load(
                tuple(SourceFile(*file) for file in files),
                SourceFile(*schema),
                live.schema,
                live.roles,
                live.strict,
            )
        )
        loaded = await _reply(replies, Loaded, _LOAD_S)
        if loaded.problem:
            self._refused(loaded.problem)
            return
        self._version, self._problem = loaded.version, ""
        self._metrics.declare(loaded.actions)
        self._metrics.loads.labels("installed").inc()
        self._metrics.in_use.set(1)
        _log.info("shadow_installed", version=loaded.version, sample=self._settings.sample)

    def _refused(self, problem: str) -> None:
        self._version, self._problem = "", problem[:_WORD_CHARS]
        self._queue.clear()
        self._queued_bytes = 0
        self._metrics.loads.labels("refused").inc()
        self._metrics.in_use.set(0)
        _log.error("shadow_refused", reason=self._problem)

    def _batch(self) -> list[bytes]:
        batch: list[bytes] = []
        size = 0
        while self._queue and len(batch) < _BATCH_RECORDS and size < _BATCH_BYTES:
            record = self._queue.popleft()
            size += len(record)
            batch.append(record)
        self._queued_bytes -= size
        return batch

    # --- what it said

    def _take(self, judged: Judged) -> None:
        compared = judged.same + len(judged.diverged)
        self._counts["compared"] += compared
        self._metrics.compared.inc(compared)
        for why, count in judged.undecidable.items():
            self._counts["undecidable"] += count
            self._metrics.undecided(why, count)
        for found in judged.diverged:
            self._counts["diverged"] += 1
            self._metrics.diverged(found.action, found.kind)
            self._record(found)

    def _record(self, found: Divergence) -> None:
        """Record a divergence, unless this second has had its share: a wholly different set must not fill the spool."""
        now = self._clock.now()
        began, count = self._second
        if not began <= now < began + 1.0:
            began, count = now, 0
        if count >= self._settings.events_per_s:
            self._counts["withheld"] += 1
            self._metrics.unrecorded.inc()
            return
        self._second = (began, count + 1)
        stamp = self._emitter.stamp()
        self._emitter.emit(diverged(found, self._version, stamp.event_id, stamp.producer, self._clock.text(now)))

    def _drop(self, why: str, count: int) -> None:
        self._counts["dropped"] += count
        self._metrics.dropped.labels(why).inc(count)


def _read(folder: Path) -> tuple[list[SourceText], SourceText]:
    """The candidate's texts.

    Raises:
        PolicyErrors: As `read_folder`, or it is too large to be one.
    """
    total = 0
    for path in [*folder.glob("*.cedar"), folder / SCHEMA_FILE]:
        if path.exists() and not path.is_file():
            raise PolicyErrors([Finding(path.name, 0, 0, "not a file")])
        total += path.stat().st_size if path.exists() else 0
    if total > FOLDER_BYTES:
        raise PolicyErrors([Finding(str(folder), 0, 0, f"larger than {FOLDER_BYTES} bytes")])
    return read_folder(folder)


async def _reply(replies: AsyncIterator[FromShadow], wanted: type[_Answer], within_s: float) -> _Answer:
    """The next answer.

    Raises:
        _Gone: There is none, in time or at all.
    """
    try:
        async with asyncio.timeout(within_s):
            found = await anext(replies)
    except TimeoutError:
        raise _Gone(f"no answer within {within_s:g} s") from None
    except StopAsyncIteration:
        raise _Gone("it ended") from None
    if not isinstance(found, wanted):
        raise _Gone(f"it answered `{type(found).__name__}`")
    return found


def _kill(process: Process) -> None:
    # Not `Process.kill`: CPython's polls first, which reaps the child behind its watcher's back and loses the code.
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)
