"""PostgreSQL, broker, relay and consumer for one run, each a process, all gone at its end."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from audit.settings import LoginSettings, StoreSettings
from load.bench import proc
from load.bench.machine import ROOT, BenchError
from lychgate.ports import free_port
from lychgate.postgres import PostgresServer
from lychgate.postgres.cluster import OWNER
from lychgate.store import bring_forward
from tests.servers.kafka.admin import create_topic
from tests.servers.kafka.server import KafkaServer, own_server

_PASSWORD = "of-a-server-that-is-gone-at-the-end"  # noqa: S105 - as it says
_PARTITIONS = 6
_STOP_S = 20.0


class House:
    """What is behind one producer's spool.

    Attributes:
        spool: The root of the spool folders.
        postgres: The store's server.
        store: How it is reached.
        kafka: The broker, in the form that has one.
        running: Name to process.
    """

    def __init__(self, folder: Path, postgres: PostgresServer, kafka: KafkaServer | None) -> None:
        self._folder = folder
        self.spool = folder / "spool"
        self.spool.mkdir(mode=0o700)
        self.postgres = postgres
        self.kafka = kafka
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        if postgres.place is None:
            raise BenchError("PostgreSQL is not started")
        logins = {
            name: LoginSettings.model_validate({"user": f"audit_{name}", "password": _PASSWORD})
            for name in ("writer", "reader", "keeper")
        }
        owner = LoginSettings(user=OWNER, password_file=postgres.place.folder / "owner.password")
        self.store = StoreSettings(port=postgres.port, owner=owner, **logins)
        bring_forward(self.store)

    @property
    def owner_dsn(self) -> str:
        """For whoever looks from outside."""
        return self.store.dsn(self.store.owner)

    def start(self, what: str) -> None:
        """Start `relay` or `consumer`."""
        audit: dict[str, Any] = {"spool": {"folder": str(self.spool)}}
        if self.kafka is not None:
            audit["kafka"] = {"bootstrap_servers": self.kafka.bootstrap_servers}
        store = self.store.model_dump(mode="json")
        for name in ("writer", "reader", "keeper"):
            store[name]["password"] = _PASSWORD
        file = self._folder / "told.json"
        file.write_text(json.dumps({"audit": audit, "store": store}), encoding="utf-8")
        command = [sys.executable, "-m", "load.audit.relaying", what, str(file)]
        with (self._folder / f"{what}.log").open("ab") as log:
            self.running[what] = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)

    def emit(self, producer: str, count: int, rate: float = 0) -> "subprocess.Popen[str]":
        """Start a producer; `rate` 0 is as fast as it can."""
        command = [sys.executable, "-m", "load.audit.emitting", str(self.spool / producer), str(count), str(rate)]
        return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def cpu_s(self) -> dict[str, float]:
        """Processor time so far, by what it was for."""
        pids = {name: process.pid for name, process in self.running.items()}
        if self.postgres.pid is not None:
            pids["postgres"] = self.postgres.pid
        if self.kafka is not None and self.kafka.pid is not None:
            pids["kafka"] = self.kafka.pid
        return {name: proc.cpu_s(proc.tree(pid)) for name, pid in pids.items()}

    def stop(self) -> None:
        """End what was started here."""
        for process in self.running.values():
            process.terminate()
        for process in self.running.values():
            try:
                process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.running.clear()


@contextmanager
def house(folder: Path, *, broker: bool) -> Iterator[House]:
    """A house with nothing running in it but its servers."""
    with ExitStack() as stack:
        postgres = stack.enter_context(PostgresServer(folder / "postgres", port=free_port()))
        kafka = None
        if broker:
            (folder / "kafka").mkdir()
            kafka = own_server(folder / "kafka")
            stack.callback(kafka.stop)
            kafka.start()
            for topic, partitions in (
                ("audit.events.v1", _PARTITIONS),
                ("audit.events.v1.dlq", 1),
                ("audit.checkpoints", 1),
            ):
                asyncio.run(create_topic(kafka.bootstrap_servers, topic, partitions))
        made = House(folder, postgres, kafka)
        stack.callback(made.stop)
        yield made
