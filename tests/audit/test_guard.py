"""Tests of `audit.guard`, on a sink that does as it is told; `test_outage_story` has a real one."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from audit.breaker import Breaker
from audit.emit import Emitter
from audit.errors import Cause, SinkUnavailable
from audit.guard import GuardedSink
from audit.metrics import SinkMetrics
from audit.relay import Relay
from audit.sinks import Watermark
from tests.audit.test_relay import stamped


class Told:
    """A sink that fails while it is told to, and remembers what it was asked."""

    name = "kafka"

    def __init__(self) -> None:
        self.error: BaseException | None = None
        self.ping_error: BaseException | None = None
        self.asked: list[str] = []
        self.held: asyncio.Event | None = None

    async def _ask(self, what: str, error: BaseException | None) -> None:
        self.asked.append(what)
        if self.held is not None:
            await self.held.wait()
        if error is not None:
            raise error

    async def deliver(self, records: Sequence[bytes]) -> None:
        """See `Sink`."""
        await self._ask("deliver", self.error)

    async def report(self, marks: Sequence[Watermark]) -> None:
        """See `Sink`."""
        await self._ask("report", self.error)

    async def ping(self) -> None:
        """See `Sink`."""
        await self._ask("ping", self.ping_error)

    async def close(self) -> None:
        """See `Sink`."""
        await self._ask("close", None)


class Guarded:
    """A guard, its sink, its clock and its numbers."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.sink = Told()
        self.now = 0.0
        self.guard = GuardedSink(
            self.sink,
            Breaker(first_s=1.0, max_s=4.0),
            SinkMetrics(self.registry),
            now=lambda: self.now,
            dice=lambda: 1.0,
        )

    def state(self) -> float | None:
        """As it is scraped."""
        return self.registry.get_sample_value("audit_sink_breaker_state", {"sink": "kafka"})

    def errors(self, error: str) -> float | None:
        """As they are scraped."""
        return self.registry.get_sample_value("audit_sink_errors_total", {"sink": "kafka", "error": error})


async def test_an_open_breaker_answers_at_once_and_says_how_long_and_why() -> None:
    """The first failure reaches the sink, the next ones do not; each says when to come again."""
    told = Guarded()
    told.sink.error = SinkUnavailable("told: gone", cause=Cause.TLS)
    with pytest.raises(SinkUnavailable) as first:
        await told.guard.deliver([b"x"])
    assert first.value.retry_after_s == 1.0
    assert (told.state(), told.errors("tls")) == (2, 1)
    told.now = 0.75
    for call in (told.guard.deliver([b"x"]), told.guard.report([]), told.guard.ping()):
        with pytest.raises(SinkUnavailable, match=r"left alone for 0\.2 s more after: told: gone") as next_one:
            await call
        assert next_one.value.retry_after_s == 0.25
    assert told.sink.asked == ["deliver"]
    assert told.errors("tls") == 1


async def test_the_probe_asks_before_it_brings() -> None:
    """Half open: a ping first; the batch goes only after an answer, and closes the breaker."""
    told = Guarded()
    told.sink.error = told.sink.ping_error = SinkUnavailable("gone")
    with pytest.raises(SinkUnavailable):
        await told.guard.report([])
    told.now = 1.0
    with pytest.raises(SinkUnavailable) as second:
        await told.guard.deliver([b"x"])
    assert second.value.retry_after_s == 2.0
    assert told.sink.asked == ["report", "ping"]
    told.sink.error = told.sink.ping_error = None
    told.now = 3.0
    await told.guard.deliver([b"x"])
    assert told.sink.asked == ["report", "ping", "ping", "deliver"]
    assert told.state() == 0
    await told.guard.deliver([b"x"])
    assert told.sink.asked[-2:] == ["deliver", "deliver"]


async def test_a_ping_is_a_probe_of_its_own() -> None:
    """What waits for the sink at the start closes the breaker with one question, not two."""
    told = Guarded()
    told.sink.ping_error = SinkUnavailable("gone")
    with pytest.raises(SinkUnavailable):
        await told.guard.ping()
    told.now, told.sink.ping_error = 1.0, None
    await told.guard.ping()
    assert told.sink.asked == ["ping", "ping"]
    assert told.state() == 0


async def test_one_is_out_at_most() -> None:
    """While the probe is out, others are refused; when it is cancelled, the next may go."""
    told = Guarded()
    told.sink.error = SinkUnavailable("gone")
    with pytest.raises(SinkUnavailable):
        await told.guard.deliver([b"x"])
    told.now, told.sink.error, told.sink.held = 1.0, None, asyncio.Event()
    probe = asyncio.ensure_future(told.guard.deliver([b"x"]))
    await asyncio.sleep(0)
    assert told.state() == 1
    with pytest.raises(SinkUnavailable):
        await told.guard.deliver([b"y"])
    probe.cancel()
    with pytest.raises(asyncio.CancelledError):
        await probe
    assert told.state() == 2
    told.sink.held.set()
    await told.guard.deliver([b"z"])
    assert told.state() == 0


async def test_what_is_no_failure_of_the_sink_is_passed_on_and_counts_for_nothing() -> None:
    """An error of ours opens nothing; closing goes through whatever the state."""
    told = Guarded()
    told.sink.error = ZeroDivisionError()
    with pytest.raises(ZeroDivisionError):
        await told.guard.deliver([b"x"])
    assert told.state() == 0
    assert told.guard.name == "kafka"
    told.sink.error = SinkUnavailable("gone")
    with pytest.raises(SinkUnavailable):
        await told.guard.deliver([b"x"])
    await told.guard.close()
    assert told.sink.asked[-1] == "close"


async def test_the_relay_waits_as_long_as_the_breaker_says(tmp_path: Path) -> None:
    """It comes back when the time is over, not before, and loses nothing."""
    told = Guarded()
    emitter = Emitter(tmp_path / "p", "p")
    await emitter.emit_durable(stamped(emitter))
    told.sink.error = SinkUnavailable("gone")
    told.sink.ping_error = None
    guard = GuardedSink(told.sink, Breaker(first_s=0.3, max_s=0.3), SinkMetrics(CollectorRegistry()), dice=lambda: 1.0)
    relay = Relay(tmp_path, guard, backoff_max_s=60.0)
    loop = asyncio.get_running_loop()
    began = loop.time()
    assert await relay.step()
    assert loop.time() - began >= 0.25
    assert relay.status().failures == 1
    told.sink.error = None
    while not relay.status().caught_up:
        await relay.step()
    assert "deliver" in told.sink.asked
    assert relay.status().failures == 0
    await emitter.aclose()
