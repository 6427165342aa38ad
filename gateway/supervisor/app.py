"""The gateway's supervisor, put together: `lychgate gateway` calls `run`.

In the order of a start: read and check everything, bind, open the supervisor's own spool, start workers, fetch keys,
relay what all of them record, open the operations port. A stop goes back: not ready, drain the workers, close the port,
end the own records, deliver what is left. Nothing survives it.
"""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import Final

import msgspec
import structlog
import uvloop
from prometheus_client import CollectorRegistry

from audit.emit import Emitter
from audit.errors import SpoolBusy, SpoolUnavailable, WrongRole
from audit.fold import WINDOW_S
from audit.metrics import EmitMetrics
from audit.redact import KeyNames, WriteRedactor
from audit.settings import AuditSettings, RedactionSettings, StoreSettings
from gateway.clock import Clock
from gateway.control import RedactionConfig, WorkerConfig
from gateway.fleet.errors import JournalBroken
from gateway.fleet.member import Member
from gateway.fleet_settings import RedisSettings, RevocationSettings
from gateway.identify.keys import KeyPlace
from gateway.metrics import GatewayMetrics, SupervisorMetrics
from gateway.ops.app import create_app
from gateway.ops.door import Door
from gateway.ops.guard import Guard
from gateway.ops.revocations import add_revocations
from gateway.ops.server import OpsServer
from gateway.service_settings import ServiceSettings
from gateway.settings import (
    ContextSettings,
    GatewaySettings,
    IssuerSettings,
    OpsSettings,
    PolicySettings,
    TenancySettings,
)
from gateway.snapshot import Snapshot
from gateway.sources import Sources
from gateway.supervisor.certificates import tls_source, utc
from gateway.supervisor.child import WORKER
from gateway.supervisor.crew import Crew
from gateway.supervisor.delivery import Delivery
from gateway.supervisor.errors import StartRefused
from gateway.supervisor.listen import PortUnavailable, public_socket
from gateway.supervisor.reload import Reload
from gateway.supervisor.sources import checked, read_sources
from gateway.supervisor.supervisor import Supervisor
from gateway.supervisor.totals import Totals

SUCCESS: Final = 0
FAILED: Final = 1
REFUSED: Final = 2

_OPS_BACKLOG: Final = 128
_METRICS_POLL_S: Final = 5.0
"""How much of a worker's counting is lost with it at most."""
_FIRST_KEYS_S: Final = 1.0
"""Workers wait this long for the issuers' keys, so that most starts build one snapshot and not two."""

_log = structlog.get_logger(__name__)


def run(
    *,
    gateway: GatewaySettings,
    ops: OpsSettings,
    issuers: Sequence[IssuerSettings],
    context: ContextSettings,
    tenancy: TenancySettings,
    policies: PolicySettings,
    services: Mapping[str, ServiceSettings],
    audit: AuditSettings,
    store: StoreSettings,
    revocation: RevocationSettings,
    redis: RedisSettings,
    log_format: str = "json",
    worker_command: Sequence[str] = WORKER,
) -> int:
    """Run the gateway until SIGTERM or SIGINT.

    Args:
        gateway: The public door and its workers.
        ops: The operations port.
        issuers: Whose tokens are believed.
        context: How security contexts are signed.
        tenancy: Whether tenants may be crossed.
        policies: Where they are.
        services: Where requests go.
        audit: Spool, redaction, relay.
        store: Where the relay delivers, where no broker is configured.
        revocation: Where what is revoked is kept.
        redis: What the fleet speaks through.
        log_format: `json` or `console`, for the workers.
        worker_command: What becomes a worker.

    Returns:
        0 after a clean stop, 1 when something of ours broke, 2 when it cannot run as configured; the reason is on
        standard error.
    """
    try:
        read = partial(
            read_sources,
            gateway=gateway,
            issuers=issuers,
            context=context,
            tenancy=tenancy,
            policies=policies,
            services=services,
        )
        tls = tls_source(gateway.tls, utc(Clock().now()))
        sources = msgspec.structs.replace(read(), tls=tls)
        snapshot = checked(sources)
        with ExitStack() as stack:
            public = stack.enter_context(public_socket(gateway.host, gateway.port, gateway.backlog))
            ops_socket = stack.enter_context(public_socket(ops.host, ops.port, _OPS_BACKLOG))
            parts = _Parts(read, gateway, ops, issuers, audit, store, revocation, redis, log_format, worker_command)
            stack.callback(parts.member.close)
            stack.callback(parts.emitter.close)
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                return runner.run(parts.serve(sources, snapshot, public, ops_socket))
    except (StartRefused, PortUnavailable, SpoolBusy, SpoolUnavailable, JournalBroken) as exc:
        sys.stderr.write(f"{exc}\n")
        return REFUSED


class _Parts:
    """Every object of the supervisor, built in the order of the way; and the order in which they live and end."""

    def __init__(
        self,
        read: Callable[[], Sources],
        gateway: GatewaySettings,
        ops: OpsSettings,
        issuers: Sequence[IssuerSettings],
        audit: AuditSettings,
        store: StoreSettings,
        revocation: RevocationSettings,
        redis: RedisSettings,
        log_format: str,
        worker_command: Sequence[str],
    ) -> None:
        self._read = read
        self._gateway = gateway
        self._ops = ops
        self._places = [_place(issuer) for issuer in issuers]
        self._audit = audit
        self._log_format = log_format
        self._worker_command = worker_command
        self._clock = Clock()
        self._own = CollectorRegistry()
        self._totals = Totals(self._own)
        self._metrics = SupervisorMetrics(self._own)
        self._metrics.info.info({"version": _version()})
        self._delivery = Delivery(audit, store, self._own)
        try:
            self.member = Member(revocation, redis, gateway.node, self._clock, self._own)
        except ValueError as exc:
            raise StartRefused(f"redis: {exc}") from exc
        producer_id = f"{gateway.node}-supervisor"
        self.emitter = Emitter(
            audit.spool.folder / producer_id,
            producer_id,
            limits=audit.spool.limits(),
            redactor=_redactor(audit.redaction),
            metrics=EmitMetrics(self._own),
        )

    async def serve(self, sources: Sources, snapshot: Snapshot, public: socket.socket, ops: socket.socket) -> int:
        """Run until told to stop; returns the exit code."""
        supervisor = Supervisor(
            sources,
            snapshot,
            partial(self._crew, public),
            self._delivery,
            self._metrics,
            self._places,
            self._clock,
            _version(),
            self.member,
        )
        self.member.register.tell = supervisor.crew.revoke
        code = SUCCESS
        try:
            async with supervisor.fetcher:
                await self._live(supervisor, public, ops)
        except* WrongRole as group:
            sys.stderr.write(f"{group.exceptions[0]}\n")
            code = REFUSED
        finally:
            await self._delivery.close()
        return code

    def _crew(self, public: socket.socket, on_kid_unknown: Callable[[str, str], None]) -> Crew:
        return Crew(
            slots=self._gateway.workers or os.cpu_count() or 1,
            configure=lambda slot: self._worker(slot, public.fileno()),
            totals=self._totals,
            metrics=self._metrics,
            on_kid_unknown=on_kid_unknown,
            backoff_s=self._gateway.restart_backoff_s,
            command=self._worker_command,
            revoked=self.member.register.standing,
        )

    def _worker(self, slot: int, listen_fd: int) -> WorkerConfig:
        producer_id = f"{self._gateway.node}-w{slot}"
        redaction = self._audit.redaction
        return WorkerConfig(
            slot=slot,
            listen_fd=listen_fd,
            producer_id=producer_id,
            spool_folder=str(self._audit.spool.folder / producer_id),
            limits=self._gateway.limits.limits(),
            hops=self._gateway.trusted_hops.config(),
            spool=self._audit.spool.limits(),
            redaction=RedactionConfig(
                mode=redaction.mode,
                classes=redaction.paths,
                at_write=redaction.at_write,
                key_names=redaction.key_names,
            ),
            log_format=self._log_format,
        )

    def _port(self, supervisor: Supervisor) -> tuple[Door, OpsServer]:
        metrics = GatewayMetrics(self._own, supervisor.snapshot.services)
        door = Door(supervisor, self.emitter, self._clock, metrics)
        shown = CollectorRegistry()
        shown.register(self._totals)
        app = create_app(supervisor, door, shown, self._metrics, metrics_open=self._ops.metrics_open)
        add_revocations(
            app,
            Guard(door, self._metrics),
            self.member.register,
            lambda: {issuer.name for issuer in supervisor.sources.issuers},
            self.member.metrics.changes.labels("here").inc,
        )
        return door, OpsServer(app)

    async def _live(self, supervisor: Supervisor, public: socket.socket, ops: socket.socket) -> None:
        crew = supervisor.crew
        door, server = self._port(supervisor)
        reload = Reload(supervisor, self._read, self._gateway.tls, self._metrics, self._clock)
        stop, hurry = asyncio.Event(), asyncio.Event()
        _on_signals(stop, hurry, crew, reload)
        async with asyncio.TaskGroup() as tasks:
            serving = tasks.create_task(server.serve_on(ops))
            background = [
                tasks.create_task(supervisor.fetcher.run()),
                tasks.create_task(self._delivery.run()),
                tasks.create_task(self.member.run(lambda: supervisor.snapshot.bundle.version)),
                tasks.create_task(_every(_METRICS_POLL_S, partial(crew.ask_metrics, _METRICS_POLL_S))),
                tasks.create_task(_every(WINDOW_S, door.tick)),
            ]
            await supervisor.first_keys(_FIRST_KEYS_S)
            await self.member.first_contact()
            tasks.create_task(crew.run(supervisor.sources))
            # Not before: what workers begin with must be on its way to them before anything newer can be.
            background += [tasks.create_task(reload.run()), tasks.create_task(reload.watch())]
            _log.info("gateway_started", pid=os.getpid(), public=_address(public), ops=_address(ops))
            await stop.wait()
            _log.info("gateway_stopping", within_s=self._gateway.drain_s)
            supervisor.draining = True
            with suppress(TimeoutError):  # who sends traffic learns that we are not ready before we refuse any
                async with asyncio.timeout(self._gateway.unready_s):
                    await hurry.wait()
            public.close()  # the workers have it still; when they have drained nobody listens
            killed = await crew.drain(self._gateway.drain_s)
            server.stop()
            await serving
            await self.emitter.aclose()
            for task in background:
                task.cancel()
        # After the last record of this machine: what the sink does not take now the next start delivers.
        delivered = await self._delivery.flush()
        _log.info("gateway_stopped", killed=killed, delivered=delivered)


def _on_signals(stop: asyncio.Event, hurry: asyncio.Event, crew: Crew, reload: Reload) -> None:
    """The first SIGTERM or SIGINT asks for a stop; the second is somebody who does not want to wait. SIGHUP: reload."""

    def told() -> None:
        if stop.is_set():
            hurry.set()
            crew.kill()
        stop.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told)
    loop.add_signal_handler(signal.SIGHUP, reload.ask)


async def _every(seconds: float, work: Callable[[], Awaitable[None] | None]) -> None:
    """Do something again and again until cancelled."""
    while True:
        await asyncio.sleep(seconds)
        done = work()
        if done is not None:
            await done


def _place(issuer: IssuerSettings) -> KeyPlace:
    return KeyPlace(
        issuer.name,
        url=issuer.jwks_url,
        file=issuer.jwks_file,
        refresh_s=issuer.refresh_s,
        unknown_kid_interval_s=issuer.unknown_kid_interval_s,
    )


def _redactor(settings: RedactionSettings) -> WriteRedactor:
    return WriteRedactor(
        settings.paths, mode=settings.mode, at_write=settings.at_write, keys=KeyNames(settings.key_names)
    )


def _address(sock: socket.socket) -> str:
    host, port = sock.getsockname()[:2]
    return f"{host}:{port}"


def _version() -> str:
    """Of the installed package; a checkout that is not installed has none."""
    try:
        return version("lychgate")
    except PackageNotFoundError:
        return "0"
