"""Everything a round runs on, each part with a pid of its own: PostgreSQL, the broker, consumers, services, gateway.

Only through what an operator has as well: `lychgate.yaml`, commands, signals, ports, the spool's folder, SQL.
"""

import asyncio
import json
import os
import secrets
import signal
import sys
import time
import urllib.error
import urllib.request
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from lychgate.clock import utc_now
from lychgate.tokens import ALGORITHM, AUDIENCE, NAME, DevelopmentIssuer
from tests.builders.private import private
from tests.chaos.machine import Clock, Disk, low_port
from tests.chaos.plan import Form
from tests.chaos.process import ROOT, NotStarted, Process, gone, hold, tell
from tests.chaos.servers import Servers
from tests.servers.kafka.admin import create_topic

SERVICES = ("product", "order", "inventory", "loyalty", "payment", "customer", "integration")
NODE = "chaos"
WORKERS = 2
CONSUMERS = 2
PARTITIONS = 4
_SEGMENT_BYTES, _SPOOL_BYTES = 256 << 10, 6 << 20
_READY_WITHIN_S = 60.0
_POLL_S = 0.05


@dataclass
class Known:
    """What a spool's counter said of one epoch when we last looked.

    Attributes:
        taken: Numbers taken, at least.
        exact: Whether the owner stood still and never took another.
    """

    taken: int = 0
    exact: bool = False


@dataclass
class Stack:
    """One round's processes.

    Args:
        home: Its folder.
        servers: What they rest on.
        form: With or without the broker.
        name: Of its database and topics.
        fake_clock: Whether the gateway's clock is to be moved.
    """

    home: Path
    servers: Servers
    form: Form
    name: str
    fake_clock: bool
    counters: dict[tuple[str, int], Known] = field(default_factory=dict)
    deaths: dict[tuple[str, int], float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.logs = self.home / "logs"
        self.logs.mkdir(parents=True)
        self.disk = Disk(self.home / "disk")
        self.clock = Clock(self.home) if self.fake_clock else None
        self.ports = {name: low_port() for name in ("gateway", "ops", *SERVICES)}
        self.topic = f"audit-{self.name}"
        self.issuer = DevelopmentIssuer.open(
            self.home / "issuer", lambda: utc_now() - timedelta(hours=2), iss="https://issuer.chaos.example"
        )  # so that a clock that was put back believes its tokens
        self._config = self.home / "lychgate.yaml"
        self.gateway = self._process("gateway", "gateway", clock=True)
        self.services = self._process("services", "service", "all", clock=True)
        self.consumers = [
            self._process(f"consumer-{n}", "consumer") for n in range(CONSUMERS if self.form is Form.KAFKA else 0)
        ]

    @property
    def spool(self) -> Path:
        """Every producer's folder is in it."""
        return self.disk.folder / "spool"

    @property
    def url(self) -> str:
        """The public port."""
        return f"http://127.0.0.1:{self.ports['gateway']}"

    @property
    def dsn(self) -> str:
        """The owner's, who sees every row."""
        return self.servers.postgres.dsn(self.name)

    @property
    def dead_letter_topic(self) -> str:
        """Where the consumers put what cannot become a row."""
        return f"{self.topic}.dlq"

    @property
    def workers(self) -> list[int]:
        """The gateway's workers."""
        return self.gateway.pids[1:]

    async def start(self) -> None:
        """Bring the store forward and everything up.

        Raises:
            NotStarted: A part is not there in time.
        """
        self.disk.make()
        self._config.touch(mode=0o600)
        private(self._config, json.dumps(self._configuration()))
        (self.home / "jwks.json").write_text(json.dumps(self.issuer.jwks()), encoding="utf-8")
        migrate = self._process("migrate", "migrate")
        migrate.start()
        if not await gone(migrate.pids, _READY_WITHIN_S) or "applied" not in migrate.last_words():
            raise NotStarted(f"the store was not brought forward:\n{migrate.last_words()}")
        if self.servers.broker is not None and self.form is Form.KAFKA:
            await create_topic(self.servers.broker.bootstrap_servers, self.topic, PARTITIONS)
            await create_topic(self.servers.broker.bootstrap_servers, self.dead_letter_topic, 1)
        for process in (self.services, *self.consumers, self.gateway):
            process.start()
        await self.ready()

    async def ready(self) -> None:
        """Wait until gateway and services answer.

        Raises:
            NotStarted: They do not.
        """
        await self.ready_gateway()
        for name in SERVICES:
            await self._answers(self.services, f"http://127.0.0.1:{self.ports[name]}/healthz")

    async def ready_gateway(self) -> None:
        """Wait until the gateway says so.

        Raises:
            NotStarted: It does not.
        """
        await self._answers(self.gateway, f"http://127.0.0.1:{self.ports['ops']}/readyz")

    async def mend(self) -> None:
        """Undo every fault: wake what stands, start what is dead, empty the disk, set the clock."""
        self.disk.free()
        self.move_clock(0)
        processes = (self.services, *self.consumers, self.gateway)
        for process in processes:
            tell(process.pids, signal.SIGCONT)
        await self.servers.mend()
        for process in processes:
            if process.pid is None:
                process.start()
        await self.ready()

    async def stop(self) -> None:
        """End whatever is left, and give the disk up. Safe to call at any time."""
        for process in (self.services, self.gateway, *self.consumers):
            tell(process.pids, signal.SIGCONT)
        await asyncio.gather(*(process.kill() for process in (self.services, self.gateway, *self.consumers)))
        self.disk.give_up()

    def move_clock(self, seconds: int) -> None:
        """Move the gateway's, where it has one of its own."""
        if self.clock is not None:
            self.clock.move(seconds)

    async def kill(self, pids: list[int]) -> None:
        """SIGKILL to processes that own spool folders; what their counters say at that moment is remembered."""
        await hold(pids)
        now = time.time()
        for key, owner in self.look().items():
            if owner in pids:
                self.counters[key].exact = True
                self.deaths[key] = now
        tell(pids, signal.SIGKILL)
        await gone(pids)

    def look(self) -> dict[tuple[str, int], int]:
        """Read every counter, and who owns its folder.

        The counter's layout is `audit/spool/folder.py`'s: magic, epoch, numbers taken, whether it ended.
        """
        owners: dict[tuple[str, int], int] = {}
        for file in self.spool.glob("*/counter"):
            with suppress(OSError, ValueError):
                data = file.read_bytes()
                if not data.startswith(b"lgcount1"):
                    continue
                epoch, taken, ended = (int.from_bytes(data[at : at + 8], "little") for at in (8, 16, 24))
                known = self.counters.setdefault((file.parent.name, epoch), Known())
                known.taken = max(known.taken, taken)
                if not ended:
                    text = (file.parent / "lock").read_text(encoding="ascii").strip("\0 ")
                    owners[file.parent.name, epoch] = int(text.removeprefix("pid "))
        return owners

    def _process(self, name: str, *words: str, clock: bool = False) -> Process:
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("LYCHGATE_", "PYTEST_"))}
        for alias in ("AUDIT_RETENTION_DAYS", "AUDIT_REDACTION_PATHS", "KAFKA_BOOTSTRAP_SERVERS"):
            kept.pop(alias, None)
        environment = {**kept, **(self.clock.variables() if clock and self.clock is not None else {})}
        command = [sys.executable, "-P", "-m", "lychgate", *words, "--config", str(self._config)]
        return Process(name, command, environment, self.logs / f"{name}.log")

    async def _answers(self, process: Process, url: str) -> None:
        deadline = time.monotonic() + _READY_WITHIN_S
        while not await asyncio.to_thread(_is_ready, url):
            if time.monotonic() > deadline:
                raise NotStarted(f"{process.name} is not ready ({url}):\n{process.last_words()}")
            if process.pid is None:
                process.start()
            await asyncio.sleep(_POLL_S)

    def _configuration(self) -> dict[str, Any]:
        ops = f"http://127.0.0.1:{self.ports['ops']}"
        audit: dict[str, Any] = {
            "spool": {"folder": str(self.spool), "segment_bytes": _SEGMENT_BYTES, "max_bytes": _SPOOL_BYTES},
        }
        if self.form is Form.KAFKA and self.servers.broker is not None:
            audit["kafka"] = {
                "bootstrap_servers": self.servers.broker.bootstrap_servers,
                "topic": self.topic,
                "dead_letter_topic": self.dead_letter_topic,
                "group_id": f"{self.topic}-store",
                "deadline_s": 3.0,
            }
        return {
            "gateway": {
                "host": "127.0.0.1",
                "port": self.ports["gateway"],
                "workers": WORKERS,
                "node": NODE,
                "routes_file": str(ROOT / "routes.toml"),
                "roles_file": str(ROOT / "roles" / "roles.toml"),
                "drain_s": 5,
                "trusted_hops": {"networks": ["127.0.0.0/8"], "count": 1},
            },
            "ops": {"port": self.ports["ops"]},
            "context": {"key_file": str(self.home / "keys" / "context.jwk")},
            "revocation": {"folder": str(self.home / "revocations")},
            "policies": {"folder": str(ROOT / "policies")},
            "issuers": [
                {
                    "name": NAME,
                    "iss": self.issuer.iss,
                    "jwks_file": str(self.home / "jwks.json"),
                    "audiences": [AUDIENCE],
                    "algorithms": [ALGORITHM],
                    "tenants": ["*"],
                    "roles": ["*"],
                }
            ],
            "services": {name: f"http://127.0.0.1:{self.ports[name]}" for name in SERVICES},
            "samples": {
                "ports": {name: self.ports[name] for name in SERVICES},
                "trust": {"jwks_url": f"{ops}/.well-known/jwks.json"},
            },
            "audit": audit,
            "store": {
                "port": self.servers.postgres.port,
                "database": self.name,
                "owner": self._login(self.servers.postgres.dsn()),
                **{name: {"user": f"audit_{name}", "password": password} for name, password in PASSWORDS.items()},
            },
        }

    @staticmethod
    def _login(dsn: str) -> dict[str, str]:
        user, _, password = dsn.removeprefix("postgresql://").partition("@")[0].partition(":")
        return {"user": user, "password": password}


PASSWORDS = {name: secrets.token_urlsafe(16) for name in ("writer", "reader", "keeper")}
"""One run's: roles belong to the server, not to a round's database."""


def _is_ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310 - our own ports
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
