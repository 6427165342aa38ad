"""The whole of Lychgate as a user has it: `lychgate up --json` on free ports in a folder of its own, once a session."""

import base64
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.builders.patience import PATIENCE_S

ROOT = Path(__file__).resolve().parents[2]
READY_WITHIN_S = 90.0


@dataclass(frozen=True)
class Stack:
    """A running stack.

    Attributes:
        folder: Its state folder.
        gateway: The public address.
        ops: The operations address.
        query: The query API's own address, which only the gateway should use.
        tenant: The tenant of the tokens.
        tokens: Role to token.
        process: `lychgate up`.
    """

    folder: Path
    gateway: str
    ops: str
    query: str
    tenant: str
    tokens: Mapping[str, str]
    process: "subprocess.Popen[bytes]"

    def client(self, role: str | None) -> httpx.AsyncClient:
        """A client of the public port that shows this role's token; None shows nothing."""
        headers = {"authorization": f"Bearer {self.tokens[role]}"} if role else {}
        return httpx.AsyncClient(base_url=self.gateway, headers=headers, timeout=PATIENCE_S, trust_env=False)

    def mint(self, *words: str) -> str:
        """A token from `lychgate token mint`."""
        done = subprocess.run(
            [sys.executable, "-m", "lychgate", "token", "mint", *words],
            cwd=ROOT,
            env={**environment(self.folder), "LYCHGATE_UP__ISSUER_PORT": self.issuer_port},
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    @property
    def issuer_port(self) -> str:
        """The development issuer's, as the tokens name it."""
        part = next(iter(self.tokens.values())).split(".")[1]
        claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
        issuer: str = claims["iss"]
        return issuer.rpartition(":")[2]


def environment(folder: Path) -> dict[str, str]:
    """Ours, with the state in a folder of the test's."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LYCHGATE_")}
    return {**kept, "LYCHGATE_UP__STATE_FOLDER": str(folder)}


def start(folder: Path, *words: str, cwd: Path = ROOT) -> Stack:
    """Start a stack and wait for the line that says it is ready; `words` go to `lychgate up`."""
    with (folder.parent / "up.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "lychgate", "up", "--json", "--free-ports", *words],
            cwd=cwd,
            env=environment(folder),
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
        )
    facts = json.loads(_line(process, folder))
    urls = facts["urls"]
    return Stack(folder, urls["gateway"], urls["ops"], urls["query"], facts["tenant"], facts["tokens"], process)


def stop(stack: Stack, how: signal.Signals = signal.SIGTERM, within_s: float = PATIENCE_S) -> int:
    """Stop it; returns its exit code."""
    stack.process.send_signal(how)
    try:
        return stack.process.wait(within_s)
    finally:
        if stack.process.poll() is None:
            stack.process.kill()
        if stack.process.stdout is not None:
            stack.process.stdout.close()


def _line(process: "subprocess.Popen[bytes]", folder: Path) -> bytes:
    """The first line it prints, or what it complained of."""
    if process.stdout is None:
        raise AssertionError("no standard output")
    until = time.monotonic() + READY_WITHIN_S
    while time.monotonic() < until and process.poll() is None:
        if select.select([process.stdout], [], [], 0.5)[0] and (line := process.stdout.readline()):
            return line
    process.kill()
    process.wait()
    process.stdout.close()
    logs = [folder.parent / "up.log", *sorted((folder / "logs").glob("*.log"))]
    tails = [f"--- {path.name}\n" + path.read_text(errors="replace")[-2000:] for path in logs if path.exists()]
    raise AssertionError("`lychgate up` did not become ready\n" + "\n".join(tails))


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """A running stack for the whole session."""
    # Not pytest's tmp_path: that is 0700, and under root PostgreSQL runs as a user who could not enter it.
    home = Path(tempfile.mkdtemp(prefix="lychgate-stack-"))
    home.chmod(0o711)
    running = start(home / "state")
    try:
        yield running
    finally:
        stop(running)
        shutil.rmtree(home, ignore_errors=True)
