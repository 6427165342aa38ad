"""What is revoked, as the supervisor knows it: on disk, then in force in every worker, then told to the fleet.

A change is put on disk before anybody hears of it, and whoever asked for it is answered when all workers have it in
force. Changes that come while the disk is busy share one write.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Final, Protocol

import msgspec
import structlog

from gateway.clock import Clock
from gateway.control import REVOCATIONS_A_FRAME
from gateway.fleet.errors import NotKept, TooMany
from gateway.fleet.journal import Journal
from gateway.revocations import Revocation, Revocations, joined

_FLEET_FACTOR: Final = 2
"""Entries of the fleet are taken beyond the bound, up to this many times: they were made within it, elsewhere."""

_log = structlog.get_logger(__name__)


class Tell(Protocol):
    """Tells all workers; returns how many have it in force."""

    def __call__(self, entries: tuple[Revocation, ...], /, *, stale: bool) -> Awaitable[int]:
        """Returns when each has answered, or is gone."""


class Made(msgspec.Struct, frozen=True):
    """What became of a change.

    Attributes:
        entry: Its state now.
        changed: Whether it was another before.
        workers: How many workers have it in force.
    """

    entry: Revocation
    changed: bool
    workers: int


class _Order(msgspec.Struct, frozen=True):
    entry: Revocation
    ours: bool


class _Batch(msgspec.Struct):
    orders: list[_Order] = []
    begun: bool = False
    workers: int = 0
    changed: frozenset[str] = frozenset()
    error: Exception | None = None


class Register:
    """Every entry, and how it changes.

    Args:
        journal: Where entries are kept.
        clock: Wall time.
        limit: How many entries may be made here.

    Attributes:
        index: What credentials are held against in this process.
        tell: Tells the workers; nobody until it is set.
        on_change: Told of the ids that have changed here and that the fleet does not know.

    Raises:
        JournalBroken: What is kept cannot be read.
    """

    def __init__(self, journal: Journal, clock: Clock, limit: int) -> None:
        self._journal = journal
        self._clock = clock
        self._limit = limit
        self._entries = journal.read()
        self._lock = asyncio.Lock()
        self._batch: _Batch | None = None
        self.index = Revocations()
        self.index.apply(self._entries.values(), clock.now(), kept=True)
        self.tell: Tell = _nobody
        self.on_change: Callable[[frozenset[str]], None] = lambda _: None

    @property
    def entries(self) -> Mapping[str, Revocation]:
        """By id; the lifted ones too."""
        return MappingProxyType(self._entries)

    def standing(self) -> Iterator[tuple[tuple[Revocation, ...], bool]]:
        """What a worker has to know before it serves: pieces that fit a frame, and whether all may be too little.

        Each piece is as things stand when it is asked for; what is new since the first is not in it.
        """
        ids = [entry_id for entry_id, entry in self._entries.items() if not entry.lifted]
        for start in range(0, max(1, len(ids)), REVOCATIONS_A_FRAME):
            piece = (self._entries.get(entry_id) for entry_id in ids[start : start + REVOCATIONS_A_FRAME])
            yield tuple(entry for entry in piece if entry is not None), self.index.stale

    async def revoke(self, entry: Revocation, by: str) -> Made:
        """Put an entry in force.

        Args:
            entry: What is named, and from when or until when.
            by: Who says so.

        Raises:
            NotKept, TooMany: Nothing has changed.
        """
        return await self._made(msgspec.structs.replace(entry, made_at=self._clock.now(), made_by=by, lifted=False))

    async def lift(self, entry_id: str, by: str) -> Made | None:
        """End an entry before its time; None where it is not in force.

        Raises:
            NotKept: Nothing has changed.
        """
        known = self._entries.get(entry_id)
        if known is None or known.lifted or known.over(self._clock.now()):
            return None
        return await self._made(msgspec.structs.replace(known, made_at=self._clock.now(), made_by=by, lifted=True))

    async def take(self, entries: Iterable[Revocation]) -> None:
        """Join what another gateway has told.

        Raises:
            NotKept, TooMany: Nothing has changed.
        """
        now = self._clock.now()
        orders = [_Order(entry, ours=False) for entry in entries if not entry.over(now) and self._brings(entry)]
        if orders:
            await self._commit(orders)

    async def set_stale(self, *, stale: bool) -> None:
        """Say whether entries may be missing that must not be; returns when all workers know."""
        async with self._lock:
            if self.index.stale != stale:
                self.index.stale = stale
                await self.tell((), stale=stale)

    async def prune(self) -> None:
        """Let go of what is over, and write the journal anew where most of it is."""
        now = self._clock.now()
        async with self._lock:
            over = tuple(entry for entry in self._entries.values() if entry.over(now))
            for entry in over:
                del self._entries[entry.id]
            self.index.apply(over, now)
            if over:
                await self.tell(over, stale=self.index.stale)
            if self._journal.is_long(len(self._entries)):
                try:
                    await asyncio.to_thread(self._journal.rewrite, list(self._entries.values()))
                except NotKept as exc:
                    _log.error("revocations_not_rewritten", reason=str(exc))

    def _brings(self, entry: Revocation) -> bool:
        """Whether a state that was told is news."""
        known = self._entries.get(entry.id)
        return known is None or joined(known, entry) != known

    async def _made(self, entry: Revocation) -> Made:
        batch = await self._commit([_Order(entry, ours=True)])
        entry_id = entry.id
        return Made(self._entries.get(entry_id, entry), entry_id in batch.changed, batch.workers)

    async def _commit(self, orders: list[_Order]) -> _Batch:
        """Have orders carried out together with those that wait; raises what went wrong."""
        batch = self._batch = self._batch or _Batch()
        batch.orders += orders
        async with self._lock:
            if not batch.begun:
                batch.begun, self._batch = True, None
                batch.error = NotKept("revocations: interrupted")
                try:
                    await self._carry_out(batch)
                    batch.error = None
                except (NotKept, TooMany) as exc:
                    batch.error = exc
        if batch.error is not None:
            raise batch.error
        return batch

    async def _carry_out(self, batch: _Batch) -> None:
        changes: dict[str, Revocation] = {}
        for order in batch.orders:
            entry_id = order.entry.id
            known = changes.get(entry_id) or self._entries.get(entry_id)
            state = _next(known, order)
            if state != known:
                changes[entry_id] = state
        ours = frozenset(order.entry.id for order in batch.orders if order.ours)
        added = len(changes.keys() - self._entries.keys())
        limit = self._limit if ours else self._limit * _FLEET_FACTOR
        if added and len(self._entries) + added > limit:
            raise TooMany(f"revocations: {len(self._entries)} are as many as may be")
        if changes:
            await asyncio.to_thread(self._journal.append, list(changes.values()))
            self._entries.update(changes)
            self.index.apply(changes.values(), self._clock.now())
            self.on_change(frozenset(changes) & ours)
        # Also where nothing is new: who asks twice is answered when it is in force, not when it was written.
        batch.workers = await self.tell(tuple(changes.values()), stale=self.index.stale)
        batch.changed = frozenset(changes)


def _next(known: Revocation | None, order: _Order) -> Revocation:
    """The state that follows from an order."""
    entry = order.entry
    if known is None:
        return entry
    if not order.ours:
        return joined(known, entry)
    if entry.lifted:
        return known if known.lifted else msgspec.structs.replace(entry, version=known.version + 1)
    if known.lifted:
        return msgspec.structs.replace(entry, version=known.version + 1)
    # Said again: never weaker than it stands.
    if entry.issued_before <= known.issued_before and entry.expires_at <= known.expires_at:
        return known
    return msgspec.structs.replace(
        entry,
        version=known.version + 1,
        issued_before=max(entry.issued_before, known.issued_before),
        expires_at=max(entry.expires_at, known.expires_at),
    )


async def _nobody(entries: tuple[Revocation, ...], /, *, stale: bool) -> int:
    del entries, stale
    return 0
