"""The one-machine stack, from nothing to ready and back to nothing.

    state folder > ports > PostgreSQL > migrate > processes > ready > (watch) > processes stopped > PostgreSQL stopped

Everything is built in this order and taken down in reverse, however it ends. A process that dies is started again;
one that keeps dying ends the stack with its last words.
"""

import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from types import FrameType
from urllib.parse import urlsplit

from audit.errors import SealRefused
from audit.integrity.keys import make_seal_key
from audit.settings import LoginSettings, StoreSettings
from lychgate.clock import utc_now
from lychgate.errors import ChildFailed, ConfigurationError
from lychgate.findings import catalogue_of, configuration_findings
from lychgate.postgres import PostgresServer
from lychgate.postgres.cluster import OWNER, kept_secret
from lychgate.postgres.place import Say
from lychgate.settings import Settings, inherited
from lychgate.store import bring_forward
from lychgate.tokens import DevelopmentIssuer
from lychgate.up import offer, plan
from lychgate.up.child import Child, ChildSpec
from lychgate.up.predecessor import StateFolder
from lychgate.up.settings import SEAL_KEY
from lychgate.up.summary import Summary

_POLL_S = 0.1
_PROBE_S = 2.0
_DEATHS, _WITHIN_S = 3, 60.0
"""A process that dies three times in a minute will not live."""


class Stop:
    """Whether somebody asked us to stop, and how urgently."""

    def __init__(self) -> None:
        self._asked = threading.Event()
        self.urgent = False

    def ask(self, _number: int, _frame: FrameType | None) -> None:
        """The signal handler: the first time stop cleanly, the second time at once."""
        self.urgent = self._asked.is_set()
        self._asked.set()

    @property
    def asked(self) -> bool:
        """Whether to stop."""
        return self._asked.is_set()

    def pause(self) -> None:
        """Wait a moment, or less if asked to stop."""
        self._asked.wait(_POLL_S)


@contextmanager
def stop_signals() -> Iterator[Stop]:
    """SIGINT, SIGTERM and SIGHUP ask for a stop while this holds."""
    stop = Stop()
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(number, stop.ask) for number in numbers]
    try:
        yield stop
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


class Stack:
    """Everything on one machine.

    Args:
        settings: The configuration.
        config: The file it came from, for the processes; None for the default.
        free_ports: Whether every port is a free one instead of the configured one.
        say: Told in one line whatever was healed, set aside or started again.
        stop: Whether to stop.
    """

    def __init__(self, settings: Settings, config: Path | None, *, free_ports: bool, say: Say, stop: Stop) -> None:
        self._settings = settings
        self._config = config
        self._free_ports = free_ports
        self._say = say
        self._stop = stop
        self._logs = settings.up.state_folder / "logs"
        self._children: dict[str, Child] = {}
        self._deaths: dict[str, deque[float]] = {}
        self._environment: dict[str, str] = {}

    def run(self, ready: Callable[[Summary], None]) -> None:
        """Bring everything up, tell `ready`, and watch over it until asked to stop.

        Raises:
            LychgateError: Something is in the way, or keeps dying; everything is stopped again.
        """
        up = self._settings.up
        catalogue = catalogue_of(self._settings.gateway.roles_file)
        if findings := configuration_findings(self._settings):
            raise ConfigurationError("\n".join(findings))
        requests = offer.requests(self._settings.policies.origin(), catalogue)
        with ExitStack() as stack:
            state = stack.enter_context(StateFolder(up.state_folder, self._say))
            self._logs.mkdir(mode=0o700, exist_ok=True)
            ports = plan.choose_ports(self._settings, free=self._free_ports)
            machine = next(role.name for role in catalogue.roles if role.machine)
            self._environment = inherited(plan.variables(self._settings, ports, machine))
            self._make_seal_key(up.state_folder)
            specs = plan.children(self._settings, ports, self._config)
            postgres = self._postgres(up.state_folder)
            stack.callback(postgres.stop)
            stack.callback(self._stop_children)
            self._start([spec for spec in specs if not spec.needs_store], state)
            self._open_store(postgres)
            self._start([spec for spec in specs if spec.needs_store], state)
            self._await_ready(specs)
            if self._stop.asked:
                return
            issuer = DevelopmentIssuer.open(up.state_folder / "issuer", utc_now, iss=ports.url(ports.issuer))
            tokens = offer.tokens(issuer, catalogue, up.token_ttl_s)
            files = offer.keep_tokens((up.state_folder / "tokens").absolute(), tokens)
            ready(Summary(ports, postgres.port, tokens, files, requests, self._logs))
            self._watch(postgres, state)

    def _make_seal_key(self, folder: Path) -> None:
        """Make the key that signs seals, once; one that was configured is whoever's who configured it."""
        if self._settings.audit.integrity.key_file is not None:
            return
        try:
            made = make_seal_key(folder / SEAL_KEY)
        except SealRefused as exc:
            raise ConfigurationError(str(exc)) from exc
        if made:
            self._say(f"made {folder / SEAL_KEY}, which signs what the audit's store held")

    def _postgres(self, folder: Path) -> PostgresServer:
        port = 0 if self._free_ports else self._settings.up.postgres_port
        return PostgresServer(folder / "postgres", port=port, log=self._logs / "postgres.log", say=self._say)

    def _open_store(self, postgres: PostgresServer) -> None:
        """Start PostgreSQL, bring the store forward, and remember how to log in."""
        postgres.start()
        store = _logins(self._settings.up.state_folder / "postgres", postgres)
        bring_forward(_store_settings(self._settings.store, store))
        self._environment |= plan.store_variables(store)

    def _start(self, specs: Iterable[ChildSpec], state: StateFolder) -> None:
        """Start processes and write down who they are."""
        for spec in specs:
            self._children[spec.name] = Child(spec, self._environment, self._logs)
        state.record({name: child.id for name, child in self._children.items()})

    def _await_ready(self, specs: tuple[ChildSpec, ...]) -> None:
        """Wait until all are ready, or one has died, or somebody wants to stop, or the time is over."""
        deadline = time.monotonic() + self._settings.up.ready_within_s
        waiting = [(spec.name, url) for spec in specs for url in spec.ready_urls]
        while waiting and not self._stop.asked:
            for child in self._children.values():
                _require_alive(child)
            waiting = [(name, url) for name, url in waiting if not _is_ready(url)]
            if waiting and time.monotonic() >= deadline:
                name, url = waiting[0]
                child = self._children[name]
                raise ChildFailed(
                    f"{name} is not ready after {self._settings.up.ready_within_s:g} s ({url}); "
                    f"the end of {child.log}:\n{child.last_words()}"
                )
            if waiting:
                self._stop.pause()

    def _watch(self, postgres: PostgresServer, state: StateFolder) -> None:
        """Start again what dies, until asked to stop."""
        while not self._stop.asked:
            if postgres.pid is None:
                raise ChildFailed(f"PostgreSQL died; its last words:\n{postgres.last_words()}")
            for child in [child for child in self._children.values() if child.exit_code is not None]:
                self._count_death(child)
                self._say(f"{_death(child)}\nstarting it again")
                self._start([child.spec], state)
            self._stop.pause()

    def _count_death(self, child: Child) -> None:
        """Remember a death; too many in a short time end the stack."""
        deaths = self._deaths.setdefault(child.spec.name, deque(maxlen=_DEATHS))
        deaths.append(time.monotonic())
        if len(deaths) == _DEATHS and deaths[-1] - deaths[0] < _WITHIN_S:
            raise ChildFailed(f"{_death(child)}\nit died {_DEATHS} times within {_WITHIN_S:g} s")

    def _stop_children(self) -> None:
        """Stop the gateway, so that nothing new comes in and its records are delivered; then the others together."""
        deadline = time.monotonic() + self._settings.up.stop_within_s
        for first in (True, False):
            group = [child for child in self._children.values() if child.spec.stops_first is first]
            for child in group:
                child.ask_to_stop()
            for child in group:
                self._await_end(child, deadline)

    def _await_end(self, child: Child, deadline: float) -> None:
        """Wait for one process to end; kill it when its time is over or somebody is in a hurry."""
        while child.exit_code is None:
            if self._stop.urgent or time.monotonic() >= deadline:
                self._say(f"{child.spec.name} is killed: it did not stop in time")
                child.kill()
                return
            time.sleep(_POLL_S / 2)


def _is_ready(url: str) -> bool:
    """Whether it answers with success. The standard library will do: importing httpx takes longer than all probes."""
    parts = urlsplit(url)
    connection = HTTPConnection(parts.hostname or plan.HOST, parts.port, timeout=_PROBE_S)
    try:
        connection.request("GET", parts.path)
        return connection.getresponse().status < HTTPStatus.MULTIPLE_CHOICES
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def _require_alive(child: Child) -> None:
    """A process that ends before it is ready will not become so.

    Raises:
        ChildFailed: With its last words and, for a wrong configuration, its exit code.
    """
    if child.exit_code is not None:
        raise ChildFailed(_death(child), exit_code=2 if child.exit_code == ConfigurationError.exit_code else 1)


def _death(child: Child) -> str:
    """How a process ended, and the end of its log."""
    code = child.exit_code
    how = f"was killed by {signal.Signals(-code).name}" if code is not None and code < 0 else f"ended with {code}"
    return f"{child.spec.name} {how}; the end of {child.log}:\n{child.last_words()}"


def _logins(folder: Path, postgres: PostgresServer) -> plan.Store:
    """The logins of the store, with their password files beside the data."""
    for user in ("writer", "reader", "keeper"):
        kept_secret(folder / f"{user}.password")

    def login(user: str, file: str) -> plan.Login:
        return plan.Login(user, (folder / f"{file}.password").absolute())

    return plan.Store(
        postgres.port,
        login(OWNER, "owner"),
        login("audit_writer", "writer"),
        login("audit_reader", "reader"),
        login("audit_keeper", "keeper"),
    )


def _store_settings(configured: StoreSettings, store: plan.Store) -> StoreSettings:
    """The configured section, pointed at the server we started."""
    logins = {
        name: LoginSettings(user=login.user, password_file=login.password_file) for name, login in store.logins.items()
    }
    return configured.model_copy(update={"host": plan.HOST, "port": store.port, **logins})
