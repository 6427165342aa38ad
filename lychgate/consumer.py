"""`lychgate consumer`: from Kafka into the store, until told to stop."""

import asyncio
import signal

import structlog
from prometheus_client import CollectorRegistry

from audit.errors import WrongRole
from audit.kafka.consumer import Consumer
from audit.metrics import IngestMetrics
from audit.settings import AuditSettings, StoreSettings
from audit.store import Store
from lychgate.errors import ConfigurationError

_log = structlog.get_logger(__name__)


def run(audit: AuditSettings, store: StoreSettings) -> int:
    """Consume until SIGTERM or SIGINT.

    Args:
        audit: Section `audit`: the broker.
        store: Section `store`: the writer's login.

    Returns:
        The exit code: 0 after a signal.

    Raises:
        ConfigurationError: No broker is configured, or the login may do more than a writer must.
    """
    servers = audit.kafka.bootstrap_servers
    if servers is None:
        raise ConfigurationError(
            "audit.kafka.bootstrap_servers is not set: without a broker the gateway writes directly"
        )
    try:
        asyncio.run(_consume(servers, audit, store))
    except WrongRole as exc:
        raise ConfigurationError(str(exc)) from exc
    return 0


async def _consume(servers: str, audit: AuditSettings, settings: StoreSettings) -> None:
    metrics = IngestMetrics(CollectorRegistry())
    store = Store(settings.dsn(settings.writer), metrics=metrics)
    consumer = Consumer(
        servers,
        store,
        topic=audit.kafka.topic,
        dead_letter_topic=audit.kafka.dead_letter_topic,
        group_id=audit.kafka.group_id,
        batch_records=audit.relay.batch_records,
        deadline_s=audit.kafka.deadline_s,
        batch_bytes=audit.kafka.batch_bytes,
        metrics=metrics,
    )
    running = asyncio.ensure_future(consumer.run())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, running.cancel)
    _log.info("consumer_started", topic=audit.kafka.topic, group_id=audit.kafka.group_id)
    try:
        await running
    except asyncio.CancelledError:
        _log.info("consumer_stopped")
    finally:
        await store.close()
