"""The project of `deploy/compose.yaml`, read with the code that `docker compose config` is made of."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from tests.servers.programs import built

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "deploy" / "compose.yaml"
ISSUERS = json.dumps(
    [
        {
            "name": "staff",
            "iss": "https://id.example",
            "jwks_url": "https://id.example/jwks",
            "audiences": ["lychgate"],
            "tenants": ["acme"],
            "roles": ["*"],
        }
    ]
)
Container = dict[str, Any]


def load(**variables: str) -> "subprocess.CompletedProcess[str]":
    """Load it with these variables and no others of ours."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return subprocess.run(
        [built("compose"), str(FILE)], env={**kept, **variables}, capture_output=True, text=True, check=False
    )


def project(**variables: str) -> dict[str, Any]:
    """The project as an engine would be told it."""
    done = load(**{"LYCHGATE_ISSUERS": ISSUERS, **variables})
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def samples() -> dict[str, str]:
    """The variables of `samples.env`."""
    lines = (ROOT / "deploy" / "compose" / "samples.env").read_text().splitlines()
    pairs = (line.split("=", 1) for line in lines if line and not line.startswith("#"))
    return {name: value.strip("'") for name, value in pairs}
