"""A breaker in front of a sink: who is dead is noticed once, and asked about briefly until it is back."""

import random
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import structlog

from audit.breaker import Breaker, State
from audit.errors import SinkUnavailable
from audit.metrics.sink import SinkMetrics
from audit.sinks import Sink, Watermark

_log = structlog.get_logger("audit.guard")


class GuardedSink:
    """Another sink, left alone while it is away.

    While the breaker is open, calls fail at once and say how long to wait. When the time is over one call is the probe:
    the sink is pinged first, which has a short deadline of its own, and only if it answers is it given the batch.

    Args:
        sink: The other.
        breaker: Its own.
        metrics: Where its state and its errors are counted.
        now: Monotonic seconds.
        dice: From 0 to 1.
    """

    def __init__(
        self,
        sink: Sink,
        breaker: Breaker,
        metrics: SinkMetrics,
        *,
        now: Callable[[], float] = time.monotonic,
        dice: Callable[[], float] = random.random,
    ) -> None:
        self._sink = sink
        self._breaker = breaker
        self._metrics = metrics
        self._now = now
        self._dice = dice
        self._last_error = ""
        self._show()

    @property
    def name(self) -> str:
        """See `Sink`: the other's."""
        return self._sink.name

    async def deliver(self, records: Sequence[bytes]) -> None:
        """See `Sink`."""
        async with self._passage():
            await self._sink.deliver(records)

    async def report(self, marks: Sequence[Watermark]) -> None:
        """See `Sink`."""
        async with self._passage():
            await self._sink.report(marks)

    async def ping(self) -> None:
        """See `Sink`."""
        async with self._passage(ping=False):
            await self._sink.ping()

    async def close(self) -> None:
        """See `Sink`."""
        await self._sink.close()

    @asynccontextmanager
    async def _passage(self, *, ping: bool = True) -> AsyncIterator[None]:
        """Let one through, if any may go, and learn from how it ends."""
        breaker = self._breaker
        if not breaker.admits(self._now()):
            wait_s = breaker.wait_s(self._now())
            raise SinkUnavailable(
                f"{self.name}: left alone for {wait_s:.1f} s more after: {self._last_error}", retry_after_s=wait_s
            )
        self._show()
        try:
            if ping and breaker.state is State.HALF_OPEN:
                await self._sink.ping()
            yield
        except SinkUnavailable as exc:
            self._last_error = str(exc)
            breaker.failed(self._now(), self._dice())
            exc.retry_after_s = breaker.wait_s(self._now())
            self._metrics.errors.labels(self.name, exc.cause.value).inc()
            raise
        except BaseException:
            breaker.withdrawn()
            raise
        else:
            if breaker.state is not State.CLOSED:
                _log.info("audit_sink_back", sink=self.name, failures=breaker.failures)
            breaker.succeeded()
        finally:
            self._show()

    def _show(self) -> None:
        self._metrics.breaker_state.labels(self.name).set(self._breaker.state.value)
