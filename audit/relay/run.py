"""The relay as a process: what `lychgate relay` runs beside services and a query API that share no disk with a gateway.

A gateway's supervisor relays what stands in its own spool folder. Whoever records on another machine needs this.
"""

import asyncio
import signal
import sys
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, Final

import structlog
from prometheus_client import CollectorRegistry

from audit.breaker import Breaker
from audit.delivery import make_sink
from audit.errors import AuditError, SinkUnavailable
from audit.guard import GuardedSink
from audit.kafka.health import Health
from audit.metrics import IngestMetrics, RelayMetrics, SinkMetrics
from audit.relay.held import held
from audit.relay.relay import Relay
from audit.settings import AuditSettings, StoreSettings
from audit.sinks import Sink

FLUSH_S: Final = 5.0
"""How long a stop waits for the sink. What is left then is on disk, and the next start delivers it."""
_PING_S: Final = 0.25
_OK, _CONFIGURATION = 0, 2

_log = structlog.get_logger("audit.relay")


def run(audit: AuditSettings, store: StoreSettings) -> int:
    """Relay everything below `audit.spool.folder` until SIGTERM or SIGINT, into the main sink alone.

    Returns:
        The exit code: 0, or 2 if the configuration does not hold.
    """
    try:
        with held(audit.spool.folder):
            asyncio.run(_relay(audit, store))
    except (AuditError, OSError) as exc:
        sys.stderr.write(f"{exc}\n")
        return _CONFIGURATION
    return _OK


async def _relay(audit: AuditSettings, store: StoreSettings) -> None:
    registry, reached = CollectorRegistry(), asyncio.Event()
    settings = audit.relay

    def problem() -> str | None:
        return None if reached.is_set() else "the store or the broker has not answered yet"

    metrics, counted = RelayMetrics(registry), IngestMetrics(registry)
    guards = SinkMetrics(registry)
    sink = GuardedSink(make_sink(audit, store, counted), Breaker(max_s=settings.backoff_max_s), guards)
    relay = Relay(
        audit.spool.folder,
        sink,
        batch_records=settings.batch_records,
        batch_bytes=settings.batch_bytes,
        poll_interval_s=settings.poll_interval_s,
        backoff_max_s=settings.backoff_max_s,
        adopt_after_s=settings.adopt_after_s,
        metrics=metrics,
    )
    health = None
    if settings.metrics_port is not None:
        health = Health(settings.metrics_port, registry, problem, host=settings.metrics_host)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    _log.info("audit_relay_started", folder=str(audit.spool.folder), sink=sink.name)
    try:
        await _until(stop, _reach_and_run(sink, relay, reached))
        delivered = await relay.flush(FLUSH_S)
        _log.info("audit_relay_stopped", delivered=delivered)
    finally:
        await sink.close()
        if health is not None:
            health.close()


async def _reach_and_run(sink: Sink, relay: Relay, reached: asyncio.Event) -> None:
    told = False
    while True:
        try:
            await sink.ping()
            break
        except SinkUnavailable as exc:
            if not told:
                told = True
                _log.warning("store_not_reached", reason=str(exc))
            await asyncio.sleep(exc.retry_after_s or _PING_S)
    reached.set()
    await relay.main.run()


async def _until(stop: asyncio.Event, work: Coroutine[Any, Any, None]) -> None:
    """Work until a stop is asked for, or until it fails.

    Raises:
        WrongRole: The store's login may do more than it must: nothing is written with it.
    """
    working, stopping = asyncio.ensure_future(work), asyncio.ensure_future(stop.wait())
    await asyncio.wait((working, stopping), return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if working.done():
        await working  # it only ends by failing
    working.cancel()
    with suppress(asyncio.CancelledError):
        await working
