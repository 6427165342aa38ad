"""What an operator brings to a deployment, for tests: rules, an issuer's keys, the store's passwords, as files."""

import asyncio
import json
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import unquote, urlsplit

import asyncpg
import httpx
import yaml

from lychgate.tokens import ALGORITHM, AUDIENCE, DevelopmentIssuer
from tests.builders.patience import PATIENCE_S
from tests.builders.private import private
from tests.servers.postgres import Logins

ROOT = Path(__file__).parents[2]
ISS = "https://id.example"
WITHIN_S = 90.0
"""How long anything may take on a machine that is busy with other tests: only a failure takes as long."""


@dataclass(frozen=True)
class Brought:
    """An issuer whose keys stand in a file.

    Attributes:
        folder: Where everything is; `keys.json`, `routes.toml`, `roles.toml`, `policies/`.
        issuer: Signs tokens.
    """

    folder: Path
    issuer: DevelopmentIssuer

    def bearer(self, role: str, tenant: str = "acme") -> dict[str, str]:
        """The header with a token of that role."""
        token = self.issuer.mint(roles=[role], tenant=tenant, user="u-1")
        return {"authorization": f"Bearer {token}"}


def bring(folder: Path) -> Brought:
    """Make what an operator brings, in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copytree(ROOT / "policies", folder / "policies", ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    shutil.copy(ROOT / "roles" / "roles.toml", folder)
    shutil.copy(ROOT / "routes.toml", folder)
    issuer = DevelopmentIssuer.open(folder.parent / f"{folder.name}-issuer", lambda: datetime.now(UTC), iss=ISS)
    (folder / "keys.json").write_text(json.dumps(issuer.jwks()))
    return Brought(folder, issuer)


def trusted(keys: str) -> list[dict[str, object]]:
    """The section `issuers` that believes it."""
    return [
        {
            "name": "staff",
            "iss": ISS,
            "jwks_file": keys,
            "audiences": [AUDIENCE],
            "algorithms": [ALGORITHM],
            "tenants": ["acme"],
            "roles": ["*"],
        }
    ]


def passwords(logins: Logins, folder: Path) -> dict[str, str]:
    """A file for each login with its password; returns login to user."""
    folder.mkdir(parents=True, exist_ok=True)
    users = {}
    for name in ("owner", "writer", "reader", "keeper"):
        at = urlsplit(getattr(logins, name))
        private(folder / name, f"{unquote(at.password or '')}\n")
        users[name] = str(at.username)
    return users


def store(logins: Logins) -> dict[str, object]:
    """Where the database is."""
    at = urlsplit(logins.owner)
    return {"host": at.hostname, "port": at.port, "database": at.path[1:]}


def write_yaml(file: Path, content: object) -> Path:
    """Write a configuration."""
    file.write_text(yaml.safe_dump(content, sort_keys=False))
    return file


def await_true(holds: Callable[[], bool], why: Callable[[], str], within_s: float = WITHIN_S) -> None:
    """Wait until something holds; fails with what `why` says."""
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline, why()
        time.sleep(0.05)


def answers(url: str, status: int = 200) -> bool:
    """Whether a GET has that status now."""
    try:
        return httpx.get(url, timeout=PATIENCE_S, trust_env=False).status_code == status
    except httpx.TransportError:
        return False


def fetch(dsn: str, query: str) -> list[asyncpg.Record]:
    """Rows, from outside a loop."""

    async def ask() -> list[asyncpg.Record]:
        connection = await asyncpg.connect(dsn)
        try:
            return list(await connection.fetch(query))
        finally:
            await connection.close()

    return asyncio.run(ask())


def refund(gateway: str, brought: Brought) -> int:
    """Ask for what a cashier may not do; returns the status. It is decided and recorded without any service."""
    path = f"{gateway}/payments/intents/pi-1001/refunds"
    return httpx.post(
        path, json={"amount": 1000}, headers=brought.bearer("Cashier"), timeout=PATIENCE_S, trust_env=False
    ).status_code
