"""The consumer as a process: what `lychgate consumer` runs."""

import asyncio
import signal
import sys
from contextlib import suppress

import structlog
from prometheus_client import CollectorRegistry

from audit.errors import WrongRole
from audit.kafka.connection import Connection
from audit.kafka.consumer import Consumer
from audit.kafka.health import Health, Pulse
from audit.keeper.run import beside, make_keeper
from audit.metrics import IngestMetrics
from audit.settings import AuditSettings, StoreSettings
from audit.store import Store

_OK = 0
_CONFIGURATION = 2

_log = structlog.get_logger("audit.consumer")


def run(audit: AuditSettings, store: StoreSettings) -> int:
    """Consume until SIGTERM or SIGINT.

    Returns:
        The exit code: 0, or 2 if the configuration does not hold.
    """
    if audit.kafka.bootstrap_servers is None:
        sys.stderr.write(
            "audit.kafka.bootstrap_servers is not set: without a broker the gateway writes the store itself"
            " and there is nothing to consume\n"
        )
        return _CONFIGURATION
    try:
        asyncio.run(_consume(audit, store))
    except (WrongRole, OSError) as exc:
        sys.stderr.write(f"{exc}\n")
        return _CONFIGURATION
    return _OK


async def _consume(audit: AuditSettings, store_settings: StoreSettings) -> None:
    registry = CollectorRegistry()
    metrics = IngestMetrics(registry)
    pulse = Pulse()
    port = audit.kafka.consumer_metrics_port
    host = audit.kafka.consumer_metrics_host
    health = Health(port, registry, pulse.problem, host=host) if port is not None else None
    store = Store(store_settings.dsn(store_settings.writer), metrics=metrics)
    connection = Connection.of(audit.kafka)
    connection.require_private()
    consumer = Consumer(
        connection,
        store,
        topic=audit.kafka.topic,
        dead_letter_topic=audit.kafka.dead_letter_topic,
        group_id=audit.kafka.group_id,
        deadline_s=audit.kafka.deadline_s,
        batch_bytes=audit.kafka.batch_bytes,
        session_timeout_s=audit.kafka.session_timeout_s,
        metrics=metrics,
        pulse=pulse,
    )
    keeper = make_keeper(audit, store_settings, registry)
    task = asyncio.ensure_future(beside(consumer.run(), keeper))
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, task.cancel)
    _log.info("audit_consumer_started", topic=audit.kafka.topic, group_id=audit.kafka.group_id)
    try:
        with suppress(asyncio.CancelledError):
            await task
    finally:
        await store.close()
        if health is not None:
            health.close()
    _log.info("audit_consumer_stopped")
