"""The real supervisor with real workers as processes, in front of a scripted service, over a real store.

As a program (`python -m tests.gateway.supervisor.process`) it is the supervisor: it reads its sections as JSON from
standard input, as `lychgate gateway` hands them over.
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from audit.settings import AuditSettings, StoreSettings
from gateway.decision_settings import DecisionApiSettings
from gateway.doors.settings import DoorSettings
from gateway.fleet_settings import RedisSettings, RevocationSettings
from gateway.service_settings import ServiceSettings
from gateway.settings import (
    ContextSettings,
    GatewaySettings,
    IssuerSettings,
    OpsSettings,
    PolicySettings,
    TenancySettings,
)
from gateway.shadow_settings import ShadowSettings
from gateway.supervisor.app import run
from gateway.supervisor.configuration import Configuration
from gateway.telemetry_settings import TelemetrySettings
from tests.builders import plane, tokens
from tests.builders.patience import PATIENCE_S
from tests.gateway.supervisor.crews import alive
from tests.servers.ports import free_port

PLATFORM = "platform"


def sections(folder: Path, store_dsn: str, service_port: int, **changes: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration on free ports in a folder of its own; `changes` are merged into their sections."""
    (folder / "routes.toml").write_text(plane.ROUTES)
    (folder / "jwks.json").write_text(tokens.jwks(tokens.signing_key().public()))
    login = urlsplit(store_dsn)
    found: dict[str, Any] = {
        "gateway": {
            "host": "127.0.0.1",
            "port": free_port(),
            "workers": 2,
            "node": "test",
            "routes_file": str(folder / "routes.toml"),
            "roles_file": str(plane.ROOT / "roles" / "roles.toml"),
            "drain_s": 5,
        },
        "ops": {"port": free_port()},
        "context": {"key_file": str(folder / "keys" / "context.jwk")},
        "tenancy": {},
        "policies": {"folder": str(plane.ROOT / "policies")},
        "shadow": {},
        "revocation": {"folder": str(folder / "revocations")},
        "redis": {},
        "audit": {"spool": {"folder": str(folder / "spool")}},
        "store": {
            "host": login.hostname,
            "port": login.port,
            "database": login.path[1:],
            "writer": {"user": login.username, "password": login.password},
        },
        "issuers": [
            {
                "name": "dev",
                "iss": tokens.ISS,
                "jwks_file": str(folder / "jwks.json"),
                "audiences": [tokens.AUDIENCE],
                "algorithms": ["ES256"],
                "tenants": ["*"],
                "roles": ["*"],
                "refresh_s": 0.5,
                "unknown_kid_interval_s": 0.1,
            }
        ],
        "doors": {},
        "services": {"order": {"urls": [f"http://127.0.0.1:{service_port}"]}},
    }
    for name, section in changes.items():
        found[name] = {**found.get(name, {}), **section}
    return found


def token(role: str, tenant: str = "acme", **changes: Any) -> dict[str, str]:
    """The `Authorization` field of a caller who holds a role now."""
    return {"authorization": f"Bearer {plane.token(role, tenant_id=tenant, **changes)}"}


class Gateway:
    """A running gateway.

    Attributes:
        url: The public port.
        ops_url: The operations port.
        process: The supervisor.
        public: A client of the public port.
        ops: A client of the operations port.
    """

    def __init__(self, configuration: Mapping[str, Any], process: asyncio.subprocess.Process, log: Path) -> None:
        self.url = f"http://127.0.0.1:{configuration['gateway']['port']}"
        self.ops_url = f"http://127.0.0.1:{configuration['ops']['port']}"
        self.process = process
        self.public = httpx.AsyncClient(base_url=self.url, timeout=PATIENCE_S, trust_env=False)
        self.ops = httpx.AsyncClient(base_url=self.ops_url, timeout=PATIENCE_S, trust_env=False)
        self._log = log

    @property
    def log(self) -> str:
        """What it wrote on standard output and error."""
        return self._log.read_text()

    async def until_ready(self, within_s: float = PATIENCE_S) -> None:
        """Poll `/readyz` until it says so."""
        await self.until("ready", self._ready, within_s)

    async def _ready(self) -> bool:
        try:
            return (await self.ops.get("/readyz")).is_success
        except httpx.TransportError:
            if self.process.returncode is not None:
                raise AssertionError(f"the gateway ended with {self.process.returncode}:\n{self.log}") from None
            return False

    async def until(self, what: str, condition: Any, within_s: float = PATIENCE_S) -> None:
        """Poll an async condition until it holds."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + within_s
        while not await condition():
            if loop.time() > deadline:
                raise AssertionError(f"not within {within_s} s: {what}\n{self.log}")
            await asyncio.sleep(0.05)

    async def status(self) -> dict[str, Any]:
        """`/internal/status`, as a SuperAdmin sees it."""
        answer = await self.ops.get("/internal/status", headers=token("SuperAdmin", PLATFORM))
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def pids(self) -> list[int]:
        """The workers' process ids, by slot."""
        return [worker["pid"] for worker in (await self.status())["workers"]]

    async def stop(self, number: signal.Signals = signal.SIGTERM, within_s: float = PATIENCE_S) -> int:
        """Send a signal and wait for the end; returns the exit code."""
        if self.process.returncode is None:
            self.process.send_signal(number)
        async with asyncio.timeout(within_s):
            return await self.process.wait()


@asynccontextmanager
async def started(configuration: Mapping[str, Any], folder: Path) -> AsyncIterator[Gateway]:
    """Start a gateway; at the end stop it, and see that nothing of it is left."""
    log = folder / "gateway.log"
    with log.open("wb") as file:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.gateway.supervisor.process",
            stdin=asyncio.subprocess.PIPE,
            stdout=file,
            stderr=file,
            cwd=plane.ROOT,
            start_new_session=True,
        )
    if process.stdin is None:
        raise RuntimeError("no standard input")
    process.stdin.write(json.dumps(configuration).encode())
    process.stdin.close()
    gateway = Gateway(configuration, process, log)
    try:
        yield gateway
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        await gateway.public.aclose()
        await gateway.ops.aclose()


async def gone(pids: list[int], within_s: float = PATIENCE_S) -> bool:
    """Whether all of these processes end within that time."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within_s
    while any(alive(pid) for pid in pids):
        if loop.time() > deadline:
            return False
        await asyncio.sleep(0.02)
    return True


def main() -> int:
    """Be the supervisor."""
    given = json.load(sys.stdin)
    configuration = Configuration(
        gateway=GatewaySettings(**given["gateway"]),
        ops=OpsSettings(**given["ops"]),
        issuers=[IssuerSettings(**issuer) for issuer in given["issuers"]],
        context=ContextSettings(**given["context"]),
        tenancy=TenancySettings(**given["tenancy"]),
        policies=PolicySettings(**given["policies"]),
        services={name: ServiceSettings(**service) for name, service in given["services"].items()},
        shadow=ShadowSettings(**given["shadow"]),
        audit=AuditSettings(**given["audit"]),
        store=StoreSettings(**given["store"]),
        doors=DoorSettings(**given["doors"]),
        decision_api=DecisionApiSettings(**given.get("decision_api", {})),
        revocation=RevocationSettings(**given["revocation"]),
        redis=RedisSettings(**given["redis"]),
        telemetry=TelemetrySettings(**given.get("telemetry", {})),
    )
    return run(configuration)


if __name__ == "__main__":
    os.environ.pop("PYTEST_CURRENT_TEST", None)
    sys.exit(main())
