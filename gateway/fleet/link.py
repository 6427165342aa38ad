"""The supervisor's line to the fleet: follows what others revoke, tells them what is revoked here, heals what differs.

What must be published is not remembered anywhere: it is whatever stands here and not, or older, in Redis. So a
revocation that was made while Redis was away, and one that Redis has lost, go out in the same way, after a restart too.
"""

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, Final, Literal

import structlog

from gateway.clock import Clock
from gateway.fleet.errors import NotKept, TooMany
from gateway.fleet.metrics import FleetMetrics
from gateway.fleet.register import Register
from gateway.fleet.store import BLOCK_S, Announcement, FleetStore, Read
from gateway.revocations import Revocation, joined

_ANNOUNCE_S: Final = 2.0
_AGAIN_S: Final = 0.5
"""How long after Redis did not answer it is asked again."""

_log = structlog.get_logger(__name__)


class Link:
    """Keeps one gateway and its fleet of one mind.

    Args:
        register: What is revoked here.
        store: The fleet's part of Redis.
        metrics: What is counted.
        clock: Wall time, for people.
        node: This gateway's name.
        on_loss: `keep` or `refuse`, see `gateway.fleet_settings.RevocationSettings`.
        grace_s: How long Redis may be away before `refuse` refuses.
        full_read_s: How often everything is compared.

    Attributes:
        reached: Whether Redis has ever answered and everything was compared.
    """

    def __init__(
        self,
        register: Register,
        store: FleetStore,
        metrics: FleetMetrics,
        clock: Clock,
        *,
        node: str,
        on_loss: Literal["keep", "refuse"],
        grace_s: float,
        full_read_s: float,
    ) -> None:
        self._register = register
        self._store = store
        self._metrics = metrics
        self._clock = clock
        self._node = node
        self._policy_version: Callable[[], str] = str
        self._refuses = on_loss == "refuse"
        self._grace_s = grace_s
        self._full_read_s = full_read_s
        self._unpublished: set[str] = set()
        self._wake = asyncio.Event()
        self._writing = asyncio.Lock()
        self._reached_once = asyncio.Event()
        self._heard_at: float | None = None  # the loop's time, as the next
        self._began_at = 0.0
        self._contact_at = 0.0
        self._problem = ""
        self._up = False
        self._gateways: tuple[Announcement, ...] = ()
        register.on_change = self._changed

    @property
    def reached(self) -> bool:
        """See above."""
        return self._reached_once.is_set()

    def status(self) -> dict[str, Any]:
        """For `/internal/status`."""
        versions = {told.policy_version for told in self._gateways}
        return {
            "redis": {
                "up": self._up,
                "contact_at": self._clock.text(self._contact_at) if self._contact_at else None,
                "problem": self._problem or None,
                "unpublished": len(self._unpublished),
                "refusing": self._register.index.stale,
            },
            "gateways": [{"node": told.node, "policy_version": told.policy_version} for told in self._gateways],
            "same_policies": len(versions) <= 1,
        }

    async def first_contact(self, within_s: float) -> None:
        """Wait until everything was compared once, but not long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._reached_once.wait()

    async def run(self, policy_version: Callable[[], str]) -> None:
        """Keep at it until cancelled.

        Args:
            policy_version: Of the policies in force.
        """
        self._policy_version = policy_version
        self._began_at = asyncio.get_running_loop().time()
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._again(self._follow))
                tasks.create_task(self._again(self._publish))
                tasks.create_task(self._watch())
        finally:
            await self._store.close()

    async def _again(self, work: Callable[[], Any]) -> None:
        """Do something for as long as Redis answers, again when it does again."""
        while True:
            try:
                await work()
            except Exception as exc:  # noqa: BLE001 - the edge: whatever Redis holds, the gateway goes on
                self._lost(exc)
            await asyncio.sleep(_AGAIN_S)

    async def _follow(self) -> None:
        """Compare everything, then take what is told; raises when Redis does not answer."""
        loop = asyncio.get_running_loop()
        compared = announced = float("-inf")
        after, held = b"0-0", 0
        while True:
            now = loop.time()
            before, held = held, await self._store.count()
            # Fewer than there were: some are over, or Redis has lost what it had.
            if now >= compared + self._full_read_s or held < before:
                after = await self._store.last_change()
                await self._compare()
                compared = loop.time()
            if now >= announced + _ANNOUNCE_S:
                self._gateways = await self._store.announce(self._node, self._policy_version())
                announced = now
            self._heard()
            read, after = await self._store.follow(after)
            await self._take(read)

    async def _compare(self) -> None:
        """Take what is newer in Redis, put there what is newer here, and take out what is over."""
        read = await self._store.read()
        await self._take(read)
        now = self._clock.now()
        differ = {
            entry_id
            for entry_id, entry in self._register.entries.items()
            if not entry.over(now) and read.entries.get(entry_id) != entry
        }
        self._unpublished |= differ
        await self._write()
        await self._store.remove(entry_id for entry_id, entry in read.entries.items() if entry.over(now))

    async def _take(self, read: Read) -> None:
        if read.unsealed:
            self._metrics.unsealed.inc(read.unsealed)
        before = self._register.entries
        news = [entry for entry in read.entries.values() if _is_news(before.get(entry.id), entry)]
        if news:
            await self._register.take(news)
            self._metrics.changes.labels("fleet").inc(len(news))

    async def _publish(self) -> None:
        """Tell the fleet what has changed here, as soon as it has; raises when Redis does not answer."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                await self._write()
            except BaseException:
                self._wake.set()  # they stay unpublished
                raise

    async def _write(self) -> None:
        """Put into Redis what it has not been told; one at a time, so that no older state comes last."""
        async with self._writing:
            entries = [self._register.entries[one] for one in self._unpublished if one in self._register.entries]
            await self._store.write(entries)
            # What has changed meanwhile is still to be told, and what is over needs not be.
            told = {entry.id for entry in entries if self._register.entries.get(entry.id) in {None, entry}}
            gone = {one for one in self._unpublished if one not in self._register.entries}
            self._unpublished -= told | gone

    async def _watch(self) -> None:
        """Say when Redis has been away for too long, and when it is back."""
        while True:
            away = self._heard_at is None or asyncio.get_running_loop().time() > self._heard_at + self._grace_s
            await self._register.set_stale(stale=self._refuses and away)
            self._show()
            await asyncio.sleep(BLOCK_S)

    def _show(self) -> None:
        since = self._began_at if self._heard_at is None else self._heard_at
        self._metrics.up.set(self._up)
        self._metrics.away_s.set(0.0 if self._up else asyncio.get_running_loop().time() - since)
        self._metrics.contact.set(self._contact_at)
        self._metrics.unpublished.set(len(self._unpublished))
        self._metrics.stale.set(self._register.index.stale)
        self._metrics.gateways.set(len(self._gateways))
        self._metrics.versions.set(len({told.policy_version for told in self._gateways}))

    def _changed(self, ids: Iterable[str]) -> None:
        self._unpublished.update(ids)
        self._wake.set()

    def _heard(self) -> None:
        """Redis has answered, and everything it has is in force here."""
        self._heard_at = asyncio.get_running_loop().time()
        self._contact_at = self._clock.now()
        if not self._up:
            self._up, self._problem = True, ""
            self._reached_once.set()
            self._show()
            _log.info("fleet_reached", entries=len(self._register.entries))

    def _lost(self, exc: BaseException) -> None:
        """Told once, not each time: nobody reads the thousandth line."""
        # Redis' own words can hold what it was sent; the kind of problem is enough to begin with.
        problem = str(exc) if isinstance(exc, (NotKept, TooMany, ValueError)) else type(exc).__name__
        if self._up or problem != self._problem:
            _log.error("fleet_lost", problem=problem, entries=len(self._register.entries))
        self._up, self._problem = False, problem
        self._show()


def _is_news(known: Revocation | None, told: Revocation) -> bool:
    return known is None or joined(known, told) != known
