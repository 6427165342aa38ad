"""The gateway's supervisor, put together: `lychgate gateway` calls `run`.

In the order of a start: read and check everything, bind, open the supervisor's own spool, start workers, fetch keys,
relay what all of them record, open the operations port and the doors. A stop goes back: not ready, drain the workers,
close port and doors, end the own records, deliver what is left. Nothing survives it.
"""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import Final

import msgspec
import structlog
import uvloop
from prometheus_client import CollectorRegistry

from audit.emit import Emitter
from audit.errors import SpoolBusy, SpoolFormat, SpoolUnavailable, WrongRole
from audit.fold import WINDOW_S
from audit.metrics import EmitMetrics
from audit.redact import WriteRedactor
from gateway.certificate_metrics import CertificateMetrics
from gateway.clock import Clock
from gateway.control import WorkerConfig
from gateway.doors.errors import CannotListen
from gateway.fleet.errors import JournalBroken
from gateway.fleet.member import Member
from gateway.freshness_metrics import FreshnessMetrics
from gateway.identify.keys import KeyPlace
from gateway.metrics import SupervisorMetrics
from gateway.settings import IssuerSettings
from gateway.snapshot import Snapshot
from gateway.sources import Sources
from gateway.supervisor.certificates import tls_source, utc
from gateway.supervisor.child import WORKER
from gateway.supervisor.configuration import Configuration
from gateway.supervisor.context_keys import ContextKeys
from gateway.supervisor.crew import Crew
from gateway.supervisor.decision import DecisionSources
from gateway.supervisor.delivery import Delivery
from gateway.supervisor.errors import StartRefused
from gateway.supervisor.freshness import Freshness
from gateway.supervisor.listen import PortUnavailable, public_socket
from gateway.supervisor.live import Live
from gateway.supervisor.port import build_port
from gateway.supervisor.reload import Reload
from gateway.supervisor.shadow import start_shadow
from gateway.supervisor.sources import checked, read_rules, read_sources, watched
from gateway.supervisor.supervisor import Supervisor
from gateway.supervisor.telemetry import start_telemetry
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


def run(configuration: Configuration, *, log_format: str = "json", worker_command: Sequence[str] = WORKER) -> int:
    """Run the gateway until SIGTERM or SIGINT.

    Args:
        configuration: Everything it is told.
        log_format: `json` or `console`, for the workers.
        worker_command: What becomes a worker.

    Returns:
        0 after a clean stop, 1 when something of ours broke, 2 when it cannot run as configured; the reason is on
        standard error.
    """
    gateway, ops = configuration.gateway, configuration.ops
    try:
        decision = DecisionSources(configuration.decision_api, strict=configuration.policies.strict)
        keys = ContextKeys(configuration.context)
        read = decision.beside(
            partial(
                read_sources,
                gateway=gateway,
                issuers=configuration.issuers,
                context=lambda: keys.source(Clock().now()),
                tenancy=configuration.tenancy,
                policies=configuration.policies,
                services=configuration.services,
            )
        )
        tls = tls_source(gateway.tls, utc(Clock().now()))
        sources = msgspec.structs.replace(read(), tls=tls)
        snapshot = checked(sources)
        with ExitStack() as stack:
            public = stack.enter_context(public_socket(gateway.host, gateway.port, gateway.backlog))
            ops_socket = stack.enter_context(public_socket(ops.host, ops.port, _OPS_BACKLOG))
            parts = _Parts(configuration, read, decision, keys, log_format, worker_command)
            stack.callback(parts.member.close)
            stack.callback(parts.emitter.close)
            if parts.exporter is not None:
                stack.callback(parts.exporter.close)
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                return runner.run(parts.serve(sources, snapshot, public, ops_socket))
    except (
        StartRefused,
        PortUnavailable,
        CannotListen,
        SpoolBusy,
        SpoolFormat,
        SpoolUnavailable,
        JournalBroken,
    ) as exc:
        sys.stderr.write(f"{exc}\n")
        return REFUSED


class _Parts:
    """Every object of the supervisor, built in the order of the way; and the order in which they live and end."""

    def __init__(
        self,
        configuration: Configuration,
        read: Callable[[], Sources],
        decision: DecisionSources,
        keys: ContextKeys,
        log_format: str,
        worker_command: Sequence[str],
    ) -> None:
        gateway, audit, policies = configuration.gateway, configuration.audit, configuration.policies
        self._configuration = configuration
        self._read = read
        self._decision = decision
        self._keys = keys
        self._gateway = gateway
        self._policies = policies
        self._places = [_place(issuer) for issuer in configuration.issuers]
        self._audit = audit
        self._log_format = log_format
        self._worker_command = worker_command
        self._clock = Clock()
        self._own = CollectorRegistry()
        self._totals = Totals(self._own)
        self._metrics = SupervisorMetrics(self._own)
        self._metrics.info.info({"version": _version()})
        self._delivery = Delivery(audit, configuration.store, self._own)
        self._freshness = Freshness(FreshnessMetrics(self._own), self._metrics, self._clock, policies.stale_after_s)
        try:
            self.member = Member(configuration.revocation, configuration.redis, gateway.node, self._clock, self._own)
        except ValueError as exc:
            raise StartRefused(f"redis: {exc}") from exc
        producer_id = f"{gateway.node}-supervisor"
        self.emitter = Emitter(
            audit.spool.folder / producer_id,
            producer_id,
            limits=audit.spool.limits(),
            redactor=WriteRedactor.of(audit.redaction.rules()),
            metrics=EmitMetrics(self._own),
        )
        self._delivery.record_with(self.emitter)
        self.exporter = start_telemetry(configuration.telemetry, _version(), gateway.node, self._own)

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
            self._freshness,
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
            on_told=self.exporter.take if self.exporter is not None else lambda _: None,
        )

    def _worker(self, slot: int, listen_fd: int) -> WorkerConfig:
        producer_id = f"{self._gateway.node}-w{slot}"
        return WorkerConfig(
            slot=slot,
            listen_fd=listen_fd,
            producer_id=producer_id,
            spool_folder=str(self._audit.spool.folder / producer_id),
            limits=self._gateway.limits.limits(),
            hops=self._gateway.trusted_hops.config(),
            spool=self._audit.spool.limits(),
            redaction=self._audit.redaction.rules(),
            log_format=self._log_format,
            sampling=self._configuration.telemetry.sampling(),
        )

    def _live_rules(self, supervisor: Supervisor) -> Live:
        return Live(
            supervisor,
            partial(read_rules, self._gateway, self._policies),
            self._decision.into,
            (*watched(self._gateway, self._policies), *self._decision.paths),
            self._freshness,
            settle_s=self._policies.settle_s,
            poll_s=self._policies.poll_s,
        )

    async def _live(self, supervisor: Supervisor, public: socket.socket, ops: socket.socket) -> None:
        crew = supervisor.crew
        door, doors, server = build_port(
            self._configuration,
            supervisor,
            self._decision,
            self.member,
            self.emitter,
            self._clock,
            self._totals,
            self._metrics,
            self._own,
            _here(public),
        )
        await doors.open()
        reload = Reload(
            supervisor,
            self._read,
            self._gateway.tls,
            self._metrics,
            self._clock,
            self._freshness,
            self._keys,
            CertificateMetrics(self._own),
        )
        stop, hurry = asyncio.Event(), asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            shadow = start_shadow(
                self._configuration.shadow,
                self._policies,
                supervisor,
                self._delivery,
                self.emitter,
                self._clock,
                self._own,
                tasks,
            )
            _on_signals(stop, hurry, crew, (reload.ask, shadow[0]))
            serving = tasks.create_task(server.serve_on(ops))
            background = [
                tasks.create_task(supervisor.fetcher.run()),
                tasks.create_task(self._delivery.run()),
                *shadow[1],
                tasks.create_task(self.member.run(lambda: supervisor.snapshot.bundle.version)),
                tasks.create_task(_every(_METRICS_POLL_S, partial(crew.ask_metrics, _METRICS_POLL_S))),
                tasks.create_task(_every(WINDOW_S, door.tick)),
            ]
            await supervisor.first_keys(_FIRST_KEYS_S)
            await self.member.first_contact()
            tasks.create_task(crew.run(supervisor.sources))
            # Not before: what workers begin with must be on its way to them before anything newer can be.
            background += [tasks.create_task(work()) for work in (reload.run, reload.watch, reload.watch_keys)]
            if self._policies.watch:
                background.append(tasks.create_task(self._live_rules(supervisor).run()))
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
            await doors.close()
            await serving
            for task in shadow[1]:  # it records, so it ends before what it records with
                task.cancel()
            await self.emitter.aclose()
            for task in background:
                task.cancel()
        # After the last record of this machine: what the sink does not take now the next start delivers.
        delivered = await self._delivery.flush()
        _log.info("gateway_stopped", killed=killed, delivered=delivered)


def _on_signals(stop: asyncio.Event, hurry: asyncio.Event, crew: Crew, reloads: Sequence[Callable[[], None]]) -> None:
    """The first SIGTERM or SIGINT asks for a stop; the second is somebody who does not want to wait. SIGHUP: reload."""

    def told() -> None:
        if stop.is_set():
            hurry.set()
            crew.kill()
        stop.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told)
    loop.add_signal_handler(signal.SIGHUP, lambda: [ask() for ask in reloads])


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


def _address(sock: socket.socket) -> str:
    host, port = sock.getsockname()[:2]
    return f"{host}:{port}"


def _here(sock: socket.socket) -> str:
    """As this machine reaches a port that may listen on every address."""
    host, port = sock.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - what is replaced
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _version() -> str:
    """Of the installed package; a checkout that is not installed has none."""
    try:
        return version("lychgate")
    except PackageNotFoundError:
        return "0"
