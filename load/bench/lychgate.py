"""Lychgate as it runs in production: `lychgate gateway` from a file, its spool on disk, its relay into PostgreSQL.

The worker runs alone on the measured core. Supervisor (with the relay) and PostgreSQL run on the other core and stand
back there: they must not take from the load generator what would then be missing in the number.
Nothing they do is lost from the sum: after each round `settled` waits until every record is in the store, and only then
is their processor time read.
"""

import json
import os
import sys
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from audit.settings import LoginSettings, StoreSettings
from load.bench import proc
from load.bench.machine import ROOT, BenchError, Processes, measured_core, other_core, second_core, wait_for
from load.bench.peers import KEPT, Peer
from load.bench.work import AUDIENCE, ISS
from lychgate.ports import free_port
from lychgate.postgres import PostgresServer
from lychgate.postgres.cluster import OWNER
from lychgate.store import bring_forward
from roles.security_context.keys import new_private_jwk

SERVICES: Final = ("product", "order", "inventory", "loyalty", "payment", "customer", "integration", "audit")
_DECISIONS: Final = "lychgate_decisions_total{"
_SETTLED_S: Final = 300.0
_PASSWORD: Final = "of-a-server-that-is-gone-at-the-end"  # noqa: S105 - as it says
_CONNECTIONS: Final = 20_000
"""The limit of a worker, above what the memory line opens."""


@dataclass(frozen=True, slots=True)
class Lychgate(Peer):
    """A running gateway.

    Attributes:
        ops: The operations port.
        store: The PostgreSQL it delivers into; its processes are counted apart.
    """

    ops: int = 0
    store: PostgresServer | None = None

    @property
    def stored_by(self) -> tuple[int, ...]:
        """The processes of PostgreSQL."""
        pid = self.store.pid if self.store is not None else None
        return tuple(proc.tree(pid)) if pid is not None else ()

    def metrics(self) -> dict[str, float]:
        """Everything counted, summed over labels."""
        found: dict[str, float] = {}
        for series, value in self._series():
            name = series.partition("{")[0]
            found[name] = found.get(name, 0.0) + value
        return found

    def memo_hit_rate(self) -> float:
        """The share of decisions, 0 to 1, that were remembered; by whatever was asked since the start."""
        decisions = [(series, value) for series, value in self._series() if series.startswith(_DECISIONS)]
        remembered = sum(value for series, value in decisions if 'source="memo"' in series)
        return remembered / max(1.0, sum(value for _, value in decisions))

    def _series(self) -> list[tuple[str, float]]:
        """Every series with its labels, and its value."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.ops}/internal/metrics", timeout=20) as answer:
            lines = [line for line in answer.read().decode().splitlines() if not line.startswith("#")]
        return [(series, float(value)) for series, _, value in (line.rpartition(" ") for line in lines)]

    def settled(self) -> None:
        """Wait until every record is in the store.

        Raises:
            BenchError: It takes too long.
        """

        def nothing_left() -> bool:
            counted = self.metrics()
            return counted.get("audit_relay_backlog_bytes", 1) == 0 and counted.get("audit_queue_depth", 1) == 0

        # Twice: a buffered record may be on its way from memory to the disk while the disk is looked at.
        for _ in range(2):
            wait_for(f"{self.name}: all records in the store", nothing_left, _SETTLED_S)

    def lost(self) -> int:
        """Records given up or missing; anything but 0 and its numbers are worth nothing."""
        counted = self.metrics()
        return int(sum(counted.get(f"audit_{name}_total", 0) for name in ("emit_failures", "lost")))


def open_store(server: PostgresServer) -> StoreSettings:
    """Give a started server the schema, and let it have what the other core has to spare."""
    if server.place is None or server.pid is None:
        raise BenchError("PostgreSQL is not started")
    settings = StoreSettings(
        port=server.port,
        owner=LoginSettings(user=OWNER, password_file=server.place.folder / "owner.password"),
        writer=LoginSettings.model_validate({"user": "audit_writer", "password": _PASSWORD}),
        reader=LoginSettings.model_validate({"user": "audit_reader", "password": _PASSWORD}),
        keeper=LoginSettings.model_validate({"user": "audit_keeper", "password": _PASSWORD}),
    )
    bring_forward(settings)
    for pid in proc.tree(server.pid):
        proc.pin(pid, other_core())
        proc.yield_to_others(pid)
    return settings


class Gateways:
    """Starts gateways.

    Args:
        home: A folder for configurations and spools.
        jwks: The issuer's public keys.
        store: Where they deliver.
        server: The same, running.
    """

    def __init__(self, home: Path, jwks: Path, store: StoreSettings, server: PostgresServer) -> None:
        self._home = home
        self._jwks = jwks
        self._store = store
        self._server = server

    def start(
        self,
        processes: Processes,
        key: str,
        upstreams: Mapping[str, int],
        *,
        alg: Literal["EdDSA", "HS256"] = "EdDSA",
        workers: int = 1,
    ) -> Lychgate:
        """Start one and wait until it is ready.

        Args:
            processes: Keeps it.
            key: In the results, and of its folder.
            upstreams: Service to port; `order` for those that are not named.
            alg: How contexts are signed.
            workers: On the measured core; the second elsewhere where there are cores enough.
        """
        folder = self._home / key
        folder.mkdir()
        port, ops = free_port(), free_port()
        file = folder / "lychgate.yaml"
        configuration = self._configuration(folder, key, port, ops, upstreams, alg, workers)
        file.touch(0o600)  # the passwords stand in it
        file.write_text(json.dumps(configuration, indent=1), encoding="utf-8")  # JSON is YAML
        environment = {name: value for name, value in os.environ.items() if not name.startswith("LYCHGATE_")}
        command = [sys.executable, "-P", "-m", "lychgate", "gateway", "--config", str(file)]
        supervisor = processes.start(key, command, core=other_core(), env=environment)

        def ready() -> bool:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{ops}/readyz", timeout=5) as answer:
                    return bool(answer.status == 200)
            except OSError:
                return False

        processes.await_ready(key, ready)
        family = proc.tree(supervisor)
        front = tuple(pid for pid in family if "gateway.worker" in proc.command(pid))
        helpers = tuple(pid for pid in family if pid not in front)
        places = (measured_core(), second_core() or measured_core())
        for n, pid in enumerate(front):
            proc.pin(pid, places[n % 2])
        for pid in helpers:
            proc.yield_to_others(pid)
        name = f"Lychgate, {alg}" + (f", {workers} workers" if workers > 1 else "")
        return Lychgate(name, key, port, front, helpers, authorizes=True, ops=ops, store=self._server)

    def _configuration(
        self,
        folder: Path,
        key: str,
        port: int,
        ops: int,
        upstreams: Mapping[str, int],
        alg: str,
        workers: int,
    ) -> dict[str, Any]:
        """What an operator would write; the shipped routes, roles and policies."""
        issuer = {"name": "bench", "iss": ISS, "jwks_file": str(self._jwks), "audiences": [AUDIENCE]}
        context: dict[str, Any] = {"alg": alg, "key_file": str(folder / "context.jwk")}
        if alg == "HS256":
            context["hs256_key_files"] = {name: str(self._secret(folder, name)) for name in SERVICES}
        return {
            "gateway": {
                "host": "127.0.0.1",
                "port": port,
                "workers": workers,
                "node": key.replace("_", "-"),
                "routes_file": str(ROOT / "routes.toml"),
                "roles_file": str(ROOT / "roles" / "roles.toml"),
                "limits": {"connections": _CONNECTIONS, "upstream_idle_connections": KEPT},
            },
            "ops": {"port": ops},
            "issuers": [{**issuer, "algorithms": ["RS256"], "tenants": ["*"], "roles": ["*"]}],
            "context": context,
            "revocation": {"folder": str(folder / "revocations")},
            "policies": {"folder": str(ROOT / "policies")},
            "services": {name: f"http://127.0.0.1:{upstreams.get(name, upstreams['order'])}" for name in SERVICES},
            "audit": {"spool": {"folder": str(folder / "spool"), "max_bytes": 4 << 30}},
            "store": {
                "port": self._store.port,
                "writer": {"user": self._store.writer.user, "password": self._store.writer.secret()},
            },
        }

    @staticmethod
    def _secret(folder: Path, service: str) -> Path:
        file = folder / f"{service}.jwk"
        file.touch(0o600)
        file.write_text(new_private_jwk("HS256"), encoding="utf-8")
        return file
