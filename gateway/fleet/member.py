"""This gateway as one of a fleet: its register, its line to the others where Redis is configured, and their life.

Put together by `gateway.supervisor.app`.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from prometheus_client import CollectorRegistry

from audit.private_file import read_secret
from gateway.clock import Clock
from gateway.fleet.journal import Journal
from gateway.fleet.link import Link
from gateway.fleet.metrics import FleetMetrics
from gateway.fleet.register import Register
from gateway.fleet.seal import Seal
from gateway.fleet.store import FleetStore, connect
from gateway.fleet_settings import RedisSettings, RevocationSettings
from gateway.revocations import Revocations

FIRST_CONTACT_S: Final = 2.0
"""Workers wait this long for the fleet's revocations, so that a gateway that can know them never serves without."""
_PRUNE_S: Final = 60.0
_READ_FACTOR: Final = 3
"""Redis may hold more than one gateway makes: what others made, and what is over and not taken out yet."""


class Member:
    """What of the fleet is in this process.

    Args:
        revocation: The section.
        redis: The section.
        node: This gateway's name.
        clock: Wall time.
        registry: Where it is counted.

    Attributes:
        register: What is revoked.
        metrics: What is counted.

    Raises:
        JournalBroken: What was kept cannot be read.
        ValueError: A file that `redis` names cannot be used; with the reason.
    """

    def __init__(
        self,
        revocation: RevocationSettings,
        redis: RedisSettings,
        node: str,
        clock: Clock,
        registry: CollectorRegistry,
    ) -> None:
        self._on_loss = revocation.on_loss
        self.metrics = FleetMetrics(registry)
        store = fleet_store(redis, revocation.max_entries * _READ_FACTOR)
        self._journal = Journal(revocation.folder, node)
        try:
            self.register = Register(self._journal, clock, revocation.max_entries)
        except BaseException:
            self._journal.close()
            raise
        self.metrics.entries.set_function(lambda: len(self.index))
        self._link: Link | None = None
        if store is not None:
            self._link = Link(
                self.register,
                store,
                self.metrics,
                clock,
                node=node,
                on_loss=revocation.on_loss,
                grace_s=revocation.loss_grace_s,
                full_read_s=redis.full_read_s,
            )

    @property
    def index(self) -> Revocations:
        """What credentials are held against in this process."""
        return self.register.index

    @property
    def waiting_for(self) -> tuple[str, ...]:
        """What readiness waits for."""
        return ("revocations",) if self.index.stale else ()

    def status(self) -> dict[str, Any]:
        """For `/internal/status`."""
        own = {"revocations": len(self.index), "on_loss": self._on_loss}
        return own if self._link is None else {**own, **self._link.status()}

    async def run(self, policy_version: Callable[[], str]) -> None:
        """Live until cancelled.

        Args:
            policy_version: Of the policies in force.
        """
        async with asyncio.TaskGroup() as tasks:
            if self._link is not None:
                tasks.create_task(self._link.run(policy_version))
            while True:
                await asyncio.sleep(_PRUNE_S)
                await self.register.prune()

    async def first_contact(self) -> None:
        """Wait for the fleet's revocations, but not long; at once where there is no fleet."""
        if self._link is not None:
            await self._link.first_contact(FIRST_CONTACT_S)

    def close(self) -> None:
        """Give the disk back."""
        self._journal.close()


def fleet_store(settings: RedisSettings, limit: int) -> FleetStore | None:
    """The fleet's part of the configured Redis, not yet connected to; None without one.

    Args:
        settings: The section.
        limit: More entries than this are not read.

    Raises:
        ValueError: A file that the section names cannot be used; with the reason.
    """
    if settings.url is None or settings.fleet_key_file is None:
        return None
    seal = Seal.from_file(settings.fleet_key_file)
    return FleetStore(connect(settings, _password(settings.password_file)), settings.prefix, seal, limit)


def _password(path: Path | None) -> str | None:
    if path is None:
        return None
    try:
        return read_secret(path)
    except OSError as exc:
        raise ValueError(f"{path}: cannot be read: {exc.strerror}") from exc
