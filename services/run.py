"""The services as a process: one or all seven, each on its own port, in one loop.

In come the names and the settings; out comes an exit code, after a signal has ended it. The composition root of this
package: everything is built here, in the order in which it is needed, and closed in reverse. Called by
`lychgate service NAME`.
"""

import asyncio
import signal
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack, nullcontext
from functools import partial
from typing import cast, get_args

import httpx
import structlog
import uvicorn
from prometheus_client import CollectorRegistry

from audit.errors import AuditError
from audit.opening import open_producer
from audit.private_file import NotPrivate, read_private
from audit.producer import AuditProducer
from audit.settings import AuditSettings
from roles.errors import ContextUnusable
from roles.security_context import (
    ContextVerifier,
    JwksKeys,
    KeySource,
    SecretFileKeys,
    SecurityContextExtractor,
    current_context,
)
from services.app import create_app
from services.clock import Clock, utc_now
from services.desk import Backend
from services.machine_token import FileToken, IssuedToken
from services.onward import Onward, TokenSource
from services.seed import sample_store
from services.settings import OnwardSettings, SamplesSettings, ServiceName, TrustSettings

_LOG = structlog.get_logger(__name__)

NAMES: tuple[ServiceName, ...] = get_args(ServiceName)
BACKLOG = 512
FAILED = 2
"""The exit code for usage and configuration."""

Ready = Callable[[Mapping[str, int]], None]
"""Told each service's port once all of them listen."""


class CannotServe(Exception):
    """The services cannot be started as they are configured; the message is for the person at the terminal."""


def run(
    names: Sequence[str],
    *,
    samples: SamplesSettings,
    audit: AuditSettings,
    ready: Ready | None = None,
    clock: Clock = utc_now,
) -> int:
    """Serve until SIGTERM or SIGINT.

    Args:
        names: Of the services; `all` for all seven.
        samples: Section `samples`.
        audit: Section `audit`: where events are spooled.
        ready: Told the ports once all services listen.
        clock: What time it is.

    Returns:
        0 after a signal; 2 when a name, a port, a key or the spool cannot be used, which the log explains.
    """
    try:
        asyncio.run(_serve(_chosen(names), samples, audit, ready, clock))
    except CannotServe as exc:
        _LOG.error("services_not_started", problem=str(exc))
        return FAILED
    return 0


def _chosen(names: Sequence[str]) -> tuple[ServiceName, ...]:
    wanted = NAMES if "all" in names else tuple(dict.fromkeys(names))
    for name in wanted:
        if name not in NAMES:
            raise CannotServe(f"no service is called `{name}`; there are {', '.join(NAMES)}, and `all` for all of them")
    return cast("tuple[ServiceName, ...]", wanted)


async def _serve(
    names: Sequence[ServiceName],
    samples: SamplesSettings,
    audit: AuditSettings,
    ready: Ready | None,
    clock: Clock,
) -> None:
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(
            httpx.AsyncClient(timeout=samples.onward.timeout_s, follow_redirects=False, trust_env=False)
        )
        sockets = {name: _listening(stack, name, samples) for name in names}
        store = sample_store()
        onward = _onward(samples.onward, http)
        public_keys = JwksKeys(samples.trust.jwks_url, client=http, monotonic=time.monotonic)
        servers = []
        for name in names:
            registry = CollectorRegistry()
            producer = _producer(stack, name, audit, registry)
            extractor = SecurityContextExtractor(
                ContextVerifier(samples.trust.issuer, name),
                _keys(name, samples.trust, public_keys, clock),
                clock=lambda: clock().timestamp(),
            )
            backend = Backend(name, store, producer, clock, onward, samples.heartbeat_s)
            servers.append(_Server(name, create_app(backend, extractor, registry), samples.drain_s))
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, _stop, servers)
        ports: dict[str, int] = {name: listener.getsockname()[1] for name, listener in sockets.items()}
        async with asyncio.TaskGroup() as tasks:
            for name, server in zip(names, servers, strict=True):
                tasks.create_task(server.serve(sockets=[sockets[name]]), name=f"service {name}")
            # the sockets listen already: from here on a connection waits at worst, it is not refused
            await _LOG.ainfo("services_listening", **ports)
            if ready is not None:
                ready(ports)


class _Server(uvicorn.Server):
    """A uvicorn server among several: the process's signals are not its own."""

    def __init__(self, name: str, app: object, drain_s: float) -> None:
        super().__init__(
            uvicorn.Config(
                app,  # type: ignore[arg-type] # uvicorn's own name for an ASGI application is private
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                ws="none",  # whatever is installed besides
                timeout_graceful_shutdown=max(1, round(drain_s)),
            )
        )
        self.name = name

    def capture_signals(self) -> nullcontext[None]:  # type: ignore[override] # any context manager does
        """Leave the signals to `_serve`, which stops all servers on one."""
        return nullcontext()


def _stop(servers: Sequence[_Server]) -> None:
    for server in servers:
        server.should_exit = True


def _listening(stack: AsyncExitStack, name: ServiceName, samples: SamplesSettings) -> socket.socket:
    """A socket that listens on the service's port."""
    port: int = getattr(samples.ports, name)
    family = socket.AF_INET6 if ":" in samples.host else socket.AF_INET
    # With its protocol said: asyncio sends at once (TCP_NODELAY) only on sockets that say TCP, and a small answer would
    # otherwise wait for the acknowledgement of its own head, 40 ms.
    listener = stack.enter_context(socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP))
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((samples.host, port))
        listener.listen(BACKLOG)
    except OSError as exc:
        raise CannotServe(f"service {name} cannot listen on {samples.host}:{port}: {exc.strerror}") from exc
    return listener


def _producer(stack: AsyncExitStack, name: str, audit: AuditSettings, registry: CollectorRegistry) -> AuditProducer:
    """The service's own spool folder, opened."""
    try:
        producer = open_producer(
            name,
            spool=audit.spool.folder,
            calls=current_context,
            rules=audit.redaction.rules(),
            limits=audit.spool.limits(),
            registry=registry,
        )
    except AuditError as exc:
        raise CannotServe(f"service {name} has no place for its audit events: {exc}") from exc
    stack.push_async_callback(producer.aclose)
    return producer


def _keys(name: ServiceName, trust: TrustSettings, public: KeySource, clock: Clock) -> KeySource:
    """What the service believes: its secret where it shares one with the gateway, else the gateway's public keys."""
    path = trust.secret_files.get(name)
    if path is None:
        return public
    try:
        return SecretFileKeys(partial(read_private, path), clock=lambda: clock().timestamp(), monotonic=time.monotonic)
    except (OSError, ContextUnusable) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else exc
        raise CannotServe(f"service {name} cannot use the key in {path}: {reason}") from exc


def _onward(settings: OnwardSettings, http: httpx.AsyncClient) -> Onward | None:
    """The way to other services; none without a machine token to show."""
    machine = settings.machine
    tokens: TokenSource
    if machine.token_file is not None:
        try:
            read_private(machine.token_file)
        except NotPrivate as exc:
            raise CannotServe(f"services cannot use the token in {exc}") from exc
        except OSError:
            pass  # it may come yet, and is read at each use
        tokens = FileToken(machine.token_file)
    elif machine.issuer_url is not None and machine.role is not None:
        tokens = IssuedToken(
            http,
            machine.issuer_url,
            user=machine.user,
            tenant=machine.tenant,
            role=machine.role,
            monotonic=time.monotonic,
        )
    else:
        return None
    return Onward(http, settings.exchange_url, tokens)
