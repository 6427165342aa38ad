"""What outlives a round, and is killed in each: PostgreSQL, and the broker."""

import asyncio
import signal
from pathlib import Path

import pytest

from lychgate.postgres import PostgresServer
from tests.chaos.machine import low_port
from tests.chaos.process import NotStarted, family, gone, tell
from tests.servers.kafka.server import KafkaServer, own_server

# A process that is killed loses nothing the kernel has taken, so the disk need not be waited for; commits must not be.
_POSTGRES = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "on", "max_connections": "60"}


class Servers:
    """What outlives a round: PostgreSQL, and the broker if there is one.

    Args:
        home: A folder that PostgreSQL's system user may pass through.
    """

    def __init__(self, home: Path) -> None:
        self._home = home
        self.postgres = PostgresServer(home / "postgres", port=low_port(), options=_POSTGRES, sync=False)
        self.broker: KafkaServer | None = None

    def start(self, *, broker: bool) -> None:
        """Start them.

        Raises:
            NotStarted: There is no broker to be had.
        """
        self.postgres.start()
        if broker:
            folder = self._home / "kafka"
            folder.mkdir()
            port, controller = low_port(), low_port()
            listeners = f"PLAINTEXT://127.0.0.1:{port}"
            try:
                self.broker = own_server(
                    folder,
                    settings={
                        "listeners": f"{listeners},CONTROLLER://127.0.0.1:{controller}",
                        "advertised.listeners": listeners,
                        "controller.quorum.voters": f"1@127.0.0.1:{controller}",
                        "group.min.session.timeout.ms": "1000",
                    },
                )
            except (pytest.skip.Exception, pytest.fail.Exception) as exc:
                raise NotStarted(str(exc)) from exc
            self.broker.ports["PLAINTEXT"] = port
            self.broker.start()

    def stop(self) -> None:
        """Stop them."""
        tell(self.postgres_pids, signal.SIGCONT)
        self.postgres.stop()
        if self.broker is not None:
            self.broker.stop()

    @property
    def postgres_pids(self) -> list[int]:
        """The server and its back ends."""
        return family(self.postgres.pid) if self.postgres.pid is not None else []

    async def mend(self) -> None:
        """Wake them, and start them if they are dead."""
        tell(self.postgres_pids, signal.SIGCONT)
        await self.start_postgres()
        if self.broker is not None:
            self.broker.signal(signal.SIGCONT)
            if self.broker.pid is None:
                await asyncio.to_thread(self.broker.start)

    async def kill_postgres(self) -> None:
        """All of it at once."""
        pids = self.postgres_pids
        tell(pids, signal.SIGKILL)
        await gone(pids)
        await asyncio.to_thread(self.postgres.stop)  # lets go of the folder

    async def start_postgres(self) -> None:
        """Again, with recovery."""
        if self.postgres.pid is None:
            await asyncio.to_thread(self.postgres.start)
