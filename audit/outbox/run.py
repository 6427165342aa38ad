"""The relay of an outbox as a process: what `lychgate audit outbox relay` runs."""

import asyncio
import signal
import sys
import time
from contextlib import suppress

import structlog
from prometheus_client import CollectorRegistry

from audit.breaker import Breaker
from audit.delivery import make_sink
from audit.errors import AuditError
from audit.guard import GuardedSink
from audit.kafka.health import Health
from audit.metrics import IngestMetrics, OutboxMetrics, SinkMetrics
from audit.outbox.access import connecting
from audit.outbox.relay import OutboxRelay, Pace
from audit.settings import AuditSettings, StoreSettings

_OK = 0
_CONFIGURATION = 2
_STUCK_S = 15.0

_log = structlog.get_logger("audit.outbox")


def run(audit: AuditSettings, store: StoreSettings) -> int:
    """Relay until SIGTERM or SIGINT.

    Returns:
        The exit code: 0, or 2 if the configuration does not hold.
    """
    try:
        asyncio.run(_relay(audit, store))
    except (AuditError, OSError) as exc:
        sys.stderr.write(f"{exc}\n")
        return _CONFIGURATION
    return _OK


async def _relay(audit: AuditSettings, store: StoreSettings) -> None:
    settings = audit.outbox
    registry = CollectorRegistry()
    connect = connecting(settings)
    sink = GuardedSink(
        make_sink(audit, store, IngestMetrics(registry)),
        Breaker(max_s=settings.backoff_max_s),
        SinkMetrics(registry),
    )
    pace = Pace(
        settings.batch_records,
        settings.batch_bytes,
        settings.poll_interval_s,
        settings.backoff_max_s,
        settings.deliver_s,
    )
    relay = OutboxRelay(connect, settings.db_schema, sink, metrics=OutboxMetrics(registry), pace=pace)

    def problem() -> str | None:
        """Why it is not ready."""
        return None if time.monotonic() - relay.well_at < _STUCK_S else "the relay does not get on"

    health = None
    if settings.metrics_port is not None:
        health = Health(settings.metrics_port, registry, problem, host=settings.metrics_host)
    task = asyncio.ensure_future(relay.run())
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, task.cancel)
    _log.info("outbox_relay_started", schema=settings.db_schema, sink=sink.name)
    try:
        with suppress(asyncio.CancelledError):
            await task
    finally:
        await sink.close()
        if health is not None:
            health.close()
    _log.info("outbox_relay_stopped")
