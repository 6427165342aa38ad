"""One worker process, as its parent sees it: started, spoken to, waited for.

The supervisor's `Crew` holds one `Child` a slot. A child is alive from `start` until `attend` returns; everything that
waits for its answer is told when it goes.
"""

import asyncio
import os
import signal
import socket
import sys
from asyncio.subprocess import Process
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final, Self

import structlog

from gateway.control import (
    AskMetrics,
    Channel,
    Commit,
    Configure,
    ControlBroken,
    Drain,
    Drained,
    Family,
    FromWorker,
    Hello,
    Install,
    Installed,
    KidUnknown,
    MetricsReply,
    Revoke,
    Revoked,
    Told,
    ToWorker,
    WorkerConfig,
    supervisor_channel,
)
from gateway.sources import Sources

WORKER: Final = (sys.executable, "-m", "gateway.worker")
"""The command that becomes a worker; the number of its control descriptor is added."""

_EXIT_S: Final = 2.0
"""After its channel has closed a worker has nothing left to do; one that is still there then is killed."""

_log = structlog.get_logger(__name__)


class ChildGone(Exception):
    """The worker ended before it answered."""


class Child:
    """A running worker.

    Attributes:
        slot: Which of the workers it is.
        version: Of the sources it decides by; None before the first, and when it is gone or has been killed.
        told: Whether it knows everything that is revoked, and so may have sources.
        drained: Whether it said that it left nothing behind.
    """

    def __init__(
        self,
        slot: int,
        process: Process,
        channel: Channel[ToWorker, FromWorker],
        on_kid_unknown: Callable[[str, str], None],
        on_told: Callable[[Told], None],
    ) -> None:
        self.slot = slot
        self.version: str | None = None
        self.told = False
        self.drained = False
        self._process = process
        self._channel = channel
        self._on_kid_unknown = on_kid_unknown
        self._on_told = on_told
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._gone = False

    @classmethod
    async def start(
        cls,
        command: Sequence[str],
        config: WorkerConfig,
        on_kid_unknown: Callable[[str, str], None],
        on_told: Callable[[Told], None] = lambda _: None,
    ) -> Self:
        """Start a process and configure it.

        It leads a session of its own: Ctrl-C in a terminal reaches the supervisor, which then drains.

        Args:
            command: See `WORKER`.
            config: Its first frame.
            on_kid_unknown: Called with issuer and key id when it meets a token it has no key for.
            on_told: Called with what it tells of requests.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                process = await asyncio.create_subprocess_exec(
                    *command,
                    str(theirs.fileno()),
                    stdin=asyncio.subprocess.DEVNULL,
                    pass_fds=(theirs.fileno(), config.listen_fd),
                    start_new_session=True,
                )
            except BaseException:
                ours.close()
                raise
        child = cls(config.slot, process, await supervisor_channel(ours), on_kid_unknown, on_told)
        child._channel.send(Configure(config))
        return child

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    async def attend(self) -> int:
        """Take in what it says until it is gone.

        Returns:
            The exit code, negative for a signal.
        """
        try:
            async for message in self._channel:
                self._take(message)
        except ControlBroken as exc:
            _log.error("worker_broke_protocol", slot=self.slot, pid=self.pid, reason=str(exc))
            self.kill()
        finally:
            self._forsake()
            await self._channel.close()
        try:
            async with asyncio.timeout(_EXIT_S):
                return await self._process.wait()
        except TimeoutError:
            self.kill()
            return await self._process.wait()

    async def install(self, seq: int, sources: Sources, within_s: float) -> Installed:
        """Have it decide by these sources.

        Raises:
            ChildGone: It ended first.
            TimeoutError: It did not answer in time.
        """
        return self._took(await self._ask(seq, Install(seq, sources), within_s))

    async def prepare(self, seq: int, sources: Sources, within_s: float) -> Installed:
        """Have it build these sources, and hold what it has built under `seq` until `commit`.

        Raises:
            ChildGone: It ended first.
            TimeoutError: It did not answer in time.
        """
        reply: Installed = await self._ask(seq, Install(seq, sources, hold=True), within_s)
        return reply

    async def commit(self, seq: int, prepared: int, within_s: float) -> Installed:
        """Have it decide by what it holds under `prepared`.

        Raises:
            ChildGone: It ended first.
            TimeoutError: It did not answer in time.
        """
        return self._took(await self._ask(seq, Commit(seq, prepared), within_s))

    def _took(self, reply: Installed) -> Installed:
        if reply.problem is None:
            self.version = reply.version
        return reply

    async def revoke(self, message: Revoke, within_s: float) -> None:
        """Have it hold credentials against these entries too.

        Raises:
            ChildGone: It ended first.
            TimeoutError: It did not answer in time.
        """
        await self._ask(message.seq, message, within_s)

    async def ask_metrics(self, seq: int, within_s: float) -> tuple[Family, ...]:
        """Have it say what it has counted.

        Raises:
            ChildGone: It ended first.
            TimeoutError: It did not answer in time.
        """
        reply: MetricsReply = await self._ask(seq, AskMetrics(seq), within_s)
        return reply.families

    def drain(self, within_s: float) -> None:
        """Ask it to finish and leave."""
        self._send(Drain(within_s))

    def kill(self) -> None:
        """End it now; nothing when it has ended."""
        self.version = None  # it takes a moment to end: nobody shall count on it meanwhile
        # Not `Process.kill`: CPython's polls first, which reaps the child behind its watcher's back and loses the code.
        if self._process.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(self._process.pid, signal.SIGKILL)

    async def _ask(self, seq: int, message: ToWorker, within_s: float) -> Any:
        """Send and wait for the answer with the same number."""
        if self._gone:
            raise ChildGone
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting[seq] = future
        try:
            self._send(message)
            async with asyncio.timeout(within_s):
                return await future
        finally:
            self._waiting.pop(seq, None)

    def _send(self, message: ToWorker) -> None:
        try:
            self._channel.send(message)
        except ControlBroken as exc:
            _log.error("worker_does_not_read", slot=self.slot, pid=self.pid, reason=str(exc))
            self.kill()

    def _take(self, message: FromWorker) -> None:
        match message:
            case Hello():
                _log.info("worker_started", slot=self.slot, pid=message.pid)
            case Installed(seq=seq) | Revoked(seq=seq) | MetricsReply(seq=seq):
                future = self._waiting.get(seq)
                if future is not None and not future.done():
                    future.set_result(message)
            case KidUnknown():
                self._on_kid_unknown(message.issuer, message.kid)
            case Told():
                self._on_told(message)
            case Drained():
                self.drained = True

    def _forsake(self) -> None:
        """Tell everyone who waits that there will be no answer."""
        self._gone, self.version = True, None
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(ChildGone())
