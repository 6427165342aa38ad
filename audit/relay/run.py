"""The relay alone, as a process: what `lychgate audit relay` runs beside a service on a machine without a gateway.

It empties the spool folders of this machine into the broker, or into the store where none is configured. The gateway
does the same for the folders of its own machine: one relay a spool, so this refuses a root that another one holds.
"""

import asyncio
import fcntl
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import structlog
from prometheus_client import CollectorRegistry

from audit.breaker import Breaker
from audit.delivery import make_sink
from audit.errors import AuditError, SpoolBusy, SpoolUnavailable
from audit.guard import GuardedSink
from audit.metrics import IngestMetrics, RelayMetrics, SinkMetrics
from audit.relay.relay import Relay
from audit.settings import AuditSettings, StoreSettings

_OK = 0
_CONFIGURATION = 2
_FLUSH_S = 5.0
_LOCK = "relay.lock"

_log = structlog.get_logger("audit.relay")


def run(audit: AuditSettings, store: StoreSettings) -> int:
    """Relay until SIGTERM or SIGINT; what is on disk then is delivered before it ends, if the sink takes it.

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


@contextmanager
def held(root: Path) -> Iterator[None]:
    """Be the only one of these over a root.

    Raises:
        SpoolBusy: Another one is.
        SpoolUnavailable: It cannot be written.
    """
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(root / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as exc:
        raise SpoolUnavailable(f"audit.spool.folder `{root}` cannot be used: {exc.strerror}") from exc
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            raise SpoolBusy(f"audit.spool.folder `{root}`: another relay is at it") from exc
        yield
    finally:
        os.close(lock)


async def _relay(audit: AuditSettings, store: StoreSettings) -> None:
    registry = CollectorRegistry()
    settings = audit.relay
    sink = GuardedSink(
        make_sink(audit, store, IngestMetrics(registry)), Breaker(max_s=settings.backoff_max_s), SinkMetrics(registry)
    )
    relay = Relay(
        audit.spool.folder,
        sink,
        batch_records=settings.batch_records,
        batch_bytes=settings.batch_bytes,
        poll_interval_s=settings.poll_interval_s,
        backoff_max_s=settings.backoff_max_s,
        adopt_after_s=settings.adopt_after_s,
        metrics=RelayMetrics(registry),
    )
    task = asyncio.ensure_future(relay.run())
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, task.cancel)
    _log.info("audit_relay_started", folder=str(audit.spool.folder), sink=sink.name)
    try:
        with suppress(asyncio.CancelledError):
            await task
        if not await relay.flush(_FLUSH_S):
            _log.warning("audit_left_in_spool", backlog_bytes=relay.status().backlog_bytes)
    finally:
        await sink.close()
    _log.info("audit_relay_stopped")
