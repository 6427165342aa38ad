"""A real Redis for a test, on a free port of loopback, with a password of its own; it can be killed and come back."""

import asyncio
import contextlib
import os
import shutil
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.builders.certificates import Authority
from tests.builders.patience import PATIENCE_S
from tests.builders.private import private
from tests.servers.ports import free_port

PASSWORD = "test-password"


class RedisServer:
    """One server.

    Args:
        program: The binary.
        folder: Its own.
        port: Where it listens.
        tls: Who signs its certificate and those of its clients; None for plain TCP.

    Attributes:
        port: Where it listens.
        folder: Where its password and the fleet's key are, and its log.
    """

    def __init__(self, program: str, folder: Path, port: int, tls: Authority | None = None) -> None:
        self._listen: tuple[str, ...] = ("--port", str(port))
        self._tls: dict[str, str] = {}
        if tls is not None:
            (folder / "ca.pem").write_text(tls.pem)
            cert, key = tls.server().write(folder, "redis")
            self._listen = ("--port", "0", "--tls-port", str(port), "--tls-ca-cert-file", str(folder / "ca.pem"))
            self._listen += ("--tls-cert-file", str(cert), "--tls-key-file", str(key))
            cert, key = tls.client().write(folder, "gateway")
            self._tls = {"ca_file": str(folder / "ca.pem"), "cert_file": str(cert), "cert_key_file": str(key)}
        self._program = program
        self._process: asyncio.subprocess.Process | None = None
        self.folder = folder
        self.port = port
        private(folder / "redis-password", f"{PASSWORD}\n")
        private(folder / "fleet-key", f"{'5e' * 32}\n")

    @property
    def section(self) -> dict[str, Any]:
        """The section `redis` of a gateway that uses it."""
        return {
            "url": f"redis{'s' if self._tls else ''}://127.0.0.1:{self.port}",
            **self._tls,
            "password_file": str(self.folder / "redis-password"),
            "fleet_key_file": str(self.folder / "fleet-key"),
        }

    async def start(self) -> None:
        """Begin, with nothing in memory."""
        log = (self.folder / "redis.log").open("ab")
        with log:
            self._process = await asyncio.create_subprocess_exec(
                self._program,
                *self._listen,
                *("--bind", "127.0.0.1", "--save", "", "--appendonly", "no"),
                *("--requirepass", PASSWORD, "--dir", str(self.folder)),
                stdout=log,
                stderr=log,
            )
        async with asyncio.timeout(PATIENCE_S):
            while True:
                with contextlib.suppress(OSError):
                    _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                    writer.close()
                    return
                assert self._process.returncode is None, (self.folder / "redis.log").read_text(encoding="utf-8")
                await asyncio.sleep(0.02)

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal: SIGSTOP makes it silent, SIGCONT wakes it."""
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(number)

    async def kill(self) -> None:
        """End it; what it knew is gone."""
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGKILL)
        if self._process is not None:
            await self._process.wait()


@contextlib.asynccontextmanager
async def redis_server(folder: Path, tls: Authority | None = None) -> AsyncIterator[RedisServer]:
    """Run one."""
    program = shutil.which("redis-server", path="/usr/bin:/usr/local/bin:/usr/sbin")
    if program is None:
        missing = "redis-server is not on this machine (Debian's redis-server)"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    server = RedisServer(program, folder, free_port(), tls)
    await server.start()
    try:
        yield server
    finally:
        await server.kill()
