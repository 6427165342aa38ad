"""The job that seals: a week that is over, rows that came late, what retention took.

    the chain holds > dropped partitions > closed partitions > late rows > purged rows > the topic

Each record is made in a transaction of its own, on one snapshot, with its leaves and the event that tells of it.
"""

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, TypeAlias
from uuid import UUID

import structlog
from prometheus_client import CollectorRegistry

from audit.codec import timestamp
from audit.errors import SealRefused
from audit.integrity.chain import in_force, is_sealed
from audit.integrity.keys import PublicKeys, SealKey, load_public_key, load_seal_key
from audit.integrity.record import Sealed, SealKind
from audit.integrity.tree import EMPTY_ROOT
from audit.keeper import leaves
from audit.keeper.jobs import Connection, Job
from audit.keeper.ledger import Ledger, ended_ns
from audit.metrics import IntegrityMetrics
from audit.settings import IntegritySettings

SETTLED = timedelta(hours=1)
"""How long a partition rests, and how far past its end everything has to be in the store, before it is sealed."""
_NS = 1_000_000_000
_SETTLED_NS = int(SETTLED.total_seconds()) * _NS
_EPOCH = datetime.fromtimestamp(0, UTC)
_DAY_NS = 86_400 * _NS
_PUBLISH_COUNT = 500

Publish: TypeAlias = Callable[[Sequence[Sealed]], Awaitable[None]]
"""Brings records to where nobody who can write the database can take them away."""

_STATE = """
SELECT clock_timestamp() AS now, CASE WHEN isfinite(t) THEN least(t, clock_timestamp()) END AS through
FROM audit_complete_through() AS t
"""
_DROPPED = """
SELECT name, from_id, to_id, rows, purged_at FROM audit_purged_partitions
WHERE rows IS NOT NULL AND audit_purge_is_due(to_id, purged_at, $1) ORDER BY from_id
"""
_PARTITIONS = "SELECT name, lowest, beyond FROM audit_partitions()"
_YOUNG = "SELECT count(*) FROM audit_purged_leaves WHERE NOT audit_purge_is_due(event_id, purged_at, $1)"
# The clock is read after the rows: a row may have come of age while the job was at something else.
_PURGED = """
SELECT min(purged_at), greatest(max(purged_at), clock_timestamp()) FROM audit_purged_leaves
WHERE event_id >= $1 AND event_id < $2 AND audit_purge_is_due(event_id, purged_at, $3)
"""
_ANY = "SELECT FROM audit_leaves($1, '00000000-0000-0000-0000-000000000000', '', 1)"
_LATE = "SELECT DISTINCT partition FROM audit_late_rows WHERE login IN ('audit_writer', 'audit_keeper')"
_UNPUBLISHED = "SELECT seq FROM audit_seals WHERE published_at IS NULL AND seq <= $1 ORDER BY seq LIMIT $2"

_log = structlog.get_logger("audit.keeper")


class Partition(NamedTuple):
    """A partition that is there."""

    name: str
    lowest: UUID
    beyond: UUID


class _State(NamedTuple):
    """The store's clock, and through when it is complete; nanoseconds since the epoch."""

    now_ns: int
    through_ns: int | None


class Sealing:
    """What there is to seal, sealed.

    Args:
        settings: Keys, file, and how long a producer that is away is waited for.
        retention_days: The least that any tenant's rows stay: nothing younger is signed as purged.
        publish: Where records go besides, if there is such a place.
        metrics: Where seals are counted.
    """

    def __init__(
        self,
        settings: IntegritySettings,
        *,
        retention_days: int,
        publish: Publish | None = None,
        metrics: IntegrityMetrics | None = None,
    ) -> None:
        self._settings = settings
        self._retention_days = retention_days
        self._publish = publish
        self._metrics = metrics or IntegrityMetrics(CollectorRegistry())
        self._ledger = Ledger(settings.checkpoint_file)
        self._young = 0
        self._told: set[str] = set()

    async def work(self, connection: Connection) -> None:
        """Seal what is due.

        Raises:
            SealRefused: the key cannot be used, or the chain is not what it was: nothing is signed.
            SinkUnavailable: everything is sealed and not yet published.
            OSError, asyncpg.PostgresError: the store or the checkpoint file fails.
        """
        key, keys = _keys(self._settings)
        try:
            await self._ledger.catch_up(connection, keys)
        except SealRefused:
            self._metrics.failures.labels("chain").inc()
            raise
        row = await connection.fetchrow(_STATE)
        assert row is not None  # noqa: S101  # a function's one row
        state = _State(_ns(row["now"]), _ns(row["through"]) if row["through"] is not None else None)
        there = [Partition(*found) for found in await connection.fetch(_PARTITIONS)]
        await self._dropped(connection, key, state, there)
        await self._closed(connection, key, state, there)
        await self._late(connection, key, state)
        await self._purged(connection, key, state)
        await self._published(connection)

    async def _closed(self, connection: Connection, key: SealKey, state: _State, there: Sequence[Partition]) -> None:
        """Seal partitions that are over and complete."""
        held = in_force(self._ledger.chain)
        over = [
            each
            for each in there
            if not is_sealed(held.get(each.name, ())) and ended_ns(each.beyond) + _SETTLED_NS <= state.now_ns
        ]
        self._waiting(over, state)
        while over and self._is_due(over[0], state):
            await self._seal(connection, key, state, over[0])
            del over[0]
            self._waiting(over, state)
        waiting = {each.name for each in over}
        for name in sorted(waiting - self._told):  # said once, not each minute
            _log.warning("audit_seal_waits", partition=name, reason="a producer that is away may still have rows")
        self._told = waiting

    def _is_due(self, partition: Partition, state: _State) -> bool:
        end = ended_ns(partition.beyond)
        if end + self._settings.seal_anyway_after_days * _DAY_NS <= state.now_ns:
            return True
        return state.through_ns is not None and end + _SETTLED_NS <= state.through_ns

    def _waiting(self, over: Sequence[Partition], state: _State) -> None:
        self._metrics.unsealed.set(len(over))
        self._metrics.unsealed_age.set((state.now_ns - ended_ns(over[0].beyond)) / _NS if over else 0)

    async def _seal(self, connection: Connection, key: SealKey, state: _State, partition: Partition) -> None:
        await connection.execute("SELECT audit_watch_late($1)", partition.name)
        through = timestamp(state.through_ns) if state.through_ns is not None else None
        async with connection.transaction(isolation="repeatable_read"):
            tree = await leaves.keep(
                connection, key, self._ledger.next_seq(), leaves.stored(connection, partition.name)
            )
            await connection.execute("SELECT audit_take_late($1)", partition.name)
            said = self._ledger.says(
                key, SealKind.SEAL, partition.name, partition[1:], tree.count, tree.root(), state.now_ns,
                complete_through=through,
            )  # fmt: skip
            made = await self._ledger.add(connection, key, said)
        self._metrics.sealed.inc()
        self._added(made, state)

    async def _late(self, connection: Connection, key: SealKey, state: _State) -> None:
        """Take in rows that came after the seal."""
        held = in_force(self._ledger.chain)
        for row in await connection.fetch(_LATE):
            name = row["partition"]
            if not is_sealed(held.get(name, ())):
                continue
            async with connection.transaction(isolation="repeatable_read"):
                tree = await leaves.keep(connection, key, self._ledger.next_seq(), leaves.late(connection, name))
                await connection.execute("SELECT audit_take_late($1)", name)
                if not tree.count:  # gone again already
                    continue
                said = self._ledger.says(
                    key, SealKind.ADDENDUM, name, _bounds(held[name]), tree.count, tree.root(), state.now_ns
                )
                made = await self._ledger.add(connection, key, said)
            self._metrics.late.inc(tree.count)
            self._added(made, state)

    async def _purged(self, connection: Connection, key: SealKey, state: _State) -> None:
        """Sign what retention has deleted from sealed partitions, as far as it was old enough."""
        days = self._retention_days
        for name, held in in_force(self._ledger.chain).items():
            if not is_sealed(held):
                continue
            bounds = _bounds(held)
            async with connection.transaction(isolation="repeatable_read"):
                await connection.execute("SELECT audit_forget_returned($1, $2)", *bounds)
                first, last = await connection.fetchrow(_PURGED, *bounds, days) or (None, None)
                if first is None or last is None:
                    continue
                pages = leaves.purged(connection, *bounds, days)
                tree = await leaves.keep(connection, key, self._ledger.next_seq(), pages)
                taken = await connection.fetchval("SELECT audit_take_purged($1, $2, $3)", *bounds, days)
                if taken != tree.count:
                    raise SealRefused(f"{name}: {taken} purged leaves became {tree.count}")
                said = self._ledger.says(
                    key, SealKind.PURGE, name, bounds, tree.count, tree.root(), _ns(last),
                    retention_days=days, purged_at=timestamp(_ns(first)),
                )  # fmt: skip
                made = await self._ledger.add(connection, key, said)
            self._added(made, state)
        young = await connection.fetchval(_YOUNG, days)
        if young > self._young:
            self._metrics.failures.labels("young_purge").inc(young - self._young)
            _log.error("audit_purge_not_signed", rows=young, reason=f"younger than {days} days")
        self._young = young

    async def _dropped(self, connection: Connection, key: SealKey, state: _State, there: Sequence[Partition]) -> None:
        """Sign which sealed partitions retention has dropped, and let go of their leaves."""
        attached = {each.name for each in there}
        held = in_force(self._ledger.chain)
        for row in await connection.fetch(_DROPPED, self._retention_days):
            name, at = row["name"], timestamp(_ns(row["purged_at"]))
            if not is_sealed(held.get(name, ())) or at < held[name][0].record.at:
                continue
            if name in attached and await connection.fetch(_ANY, name):
                _log.error("audit_drop_not_signed", partition=name, reason="it is there, with rows")
                continue
            async with connection.transaction(isolation="repeatable_read"):
                said = self._ledger.says(
                    key, SealKind.DROP, name, _bounds(held[name]), row["rows"], EMPTY_ROOT, state.now_ns,
                    retention_days=self._retention_days, purged_at=at,
                )  # fmt: skip
                made = await self._ledger.add(connection, key, said)
                await connection.execute("SELECT audit_forget_blocks($1)", name)
                await connection.execute("SELECT audit_take_purged($1, $2, $3)", *_bounds(held[name]), 0)
            self._added(made, state)

    async def _published(self, connection: Connection) -> None:
        """Bring to the topic what it does not have yet. After a crash in between it has a record twice."""
        if self._publish is None:
            return
        known = len(self._ledger.chain)
        while page := await connection.fetch(_UNPUBLISHED, known, _PUBLISH_COUNT):
            self._metrics.unpublished.set(len(page))
            await self._publish([self._ledger.chain[row["seq"] - 1] for row in page])
            await connection.execute("SELECT audit_seals_published($1)", page[-1]["seq"])
        self._metrics.unpublished.set(0)

    def _added(self, made: Sealed, state: _State) -> None:
        self._metrics.records.labels(made.record.kind.value).inc()
        self._metrics.last.set(state.now_ns / _NS)
        self._ledger.added(made)


def seal_job(
    settings: IntegritySettings, *, retention_days: int, publish: Publish | None, registry: CollectorRegistry
) -> Job | None:
    """The job, as far as there is a key.

    Args:
        settings: Section `audit.integrity`.
        retention_days: The least that any tenant's rows stay.
        publish: Where records go besides.
        registry: Where it counts.
    """
    metrics = IntegrityMetrics(registry)
    metrics.enabled.set(settings.key_file is not None)
    if settings.key_file is None:
        _log.warning("audit_not_sealed", reason="audit.integrity.key_file is not set")
        return None
    sealing = Sealing(settings, retention_days=retention_days, publish=publish, metrics=metrics)
    return Job("seal", settings.interval_s, sealing.work)


def _keys(settings: IntegritySettings) -> tuple[SealKey, PublicKeys]:
    """Who signs, and who is believed.

    Raises:
        SealRefused: a key cannot be used.
    """
    if settings.key_file is None:
        raise SealRefused("audit.integrity.key_file is not set")
    key = load_seal_key(settings.key_file)
    return key, PublicKeys([key.public, *map(load_public_key, settings.public_keys)])


def _bounds(held: Sequence[Sealed]) -> tuple[UUID, UUID]:
    return UUID(held[0].record.from_id), UUID(held[0].record.to_id)


def _ns(moment: datetime) -> int:
    """Exact: a float of seconds is not, at microseconds."""
    return (moment - _EPOCH) // timedelta(microseconds=1) * 1000
