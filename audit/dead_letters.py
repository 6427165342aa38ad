"""The dead letters of a store: what they are, and replaying them. On a connection of the keeper's.

A replay sends a letter through the same `ingest` and the same `insert` as any record, so it can add nothing that the
consumer would not. What is still dead stays pending, with the reason it has now; what is older than the oldest
partition, or of a week that retention has dropped, has expired and is closed: no waiting will make room for it.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import asyncpg

from audit.codec import decode_plain
from audit.errors import SinkUnavailable
from audit.event import Severity
from audit.ids import id_floor, id_ms
from audit.ingest import AHEAD_LIMIT, Bounds, DeadLetter, DeadReason, Row, ingest, row_of
from audit.insert import Connection, insert, prepare
from audit.keeper.event import keeper_event, record
from audit.late import declare_late, late_among
from audit.store_clock import event_id

REPLAYED = "audit.dead_letters.replayed"
DISMISSED = "audit.dead_letters.dismissed"
PENDING = "pending"
OUTCOMES = ("replayed", "duplicate", "conflict", "expired")
"""How a replay ends a letter; see `audit/sql/0004_consumer.sql`."""
_AT_ONCE = 200  # in one transaction; a letter may have 16 MB

_LIST = "SELECT * FROM audit_dead_letters_list($1, $2, $3)"
_SHOW = "SELECT * FROM audit_dead_letter($1)"
_TAKE = "SELECT id, payload FROM audit_dead_letters_take($1, $2, $3::bigint[], $4)"
_DROPPED = "SELECT from_id::text, to_id::text FROM audit_purged_partitions WHERE rows IS NOT NULL"
_SETTLE = "SELECT audit_dead_letters_settle($1::bigint[], $2::text[], $3::text[], $4::text[])"


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of one letter.

    Attributes:
        id: The letter's.
        outcome: One of `OUTCOMES`, or `pending` if it is still dead.
        reason: Why it is still dead, or has expired; empty otherwise.
        error: The same in words.
    """

    id: int
    outcome: str
    reason: str = ""
    error: str = ""


@dataclass(slots=True)
class Replay:
    """What a replay did: each letter, and how many by outcome."""

    letters: list[Settled] = field(default_factory=list)

    @property
    def counts(self) -> dict[str, int]:
        """How many letters by outcome, all of them named."""
        found = Counter(letter.outcome for letter in self.letters)
        return {outcome: found[outcome] for outcome in (*OUTCOMES, PENDING)}


async def letters(
    connection: Connection, *, newest: int = 100, with_ended: bool = False, reason: str | None = None
) -> list[dict[str, Any]]:
    """The newest letters, newest first, without their payloads.

    Args:
        connection: The keeper's.
        newest: At most so many.
        with_ended: Also those that were replayed or have expired.
        reason: Of this reason only.
    """
    return [dict(row) for row in await connection.fetch(_LIST, newest, with_ended, reason)]


async def letter(connection: Connection, of_id: int) -> dict[str, Any] | None:
    """One letter with its `payload` and `payload_hash`, both bytes; None if there is none of that id."""
    row = await connection.fetchrow(_SHOW, of_id)
    return None if row is None else dict(row)


async def replay(
    connection: Connection,
    *,
    ids: Sequence[int] | None = None,
    reason: str | None = None,
    dry_run: bool = False,
    now_ns: Callable[[], int] | None = None,
) -> Replay:
    """Try pending letters again, some at a time: each part in a transaction of its own, with an event that tells of it.

    Args:
        connection: The keeper's, outside any transaction.
        ids: These only.
        reason: Those of this reason only.
        dry_run: Say what would become of each, as far as can be said without writing, and change nothing.
        now_ns: Judges which ids are ahead of time; the store's own clock if not given.

    Raises:
        SinkUnavailable: the store has no partitions.
    """
    await prepare(connection)
    made, after = Replay(), 0
    chosen = None if ids is None else list(ids)
    while True:
        transaction = connection.transaction()
        await transaction.start()
        try:
            taken = await connection.fetch(_TAKE, after, _AT_ONCE, chosen, reason)
            settled = await _again(connection, taken, now_ns)
            if settled and not dry_run:
                await _settle(connection, settled)
                # audit:lint-ignore details-untold a count for each of `OUTCOMES`, each registered
                details = {**Replay(settled).counts, "count": len(settled), "reason": reason or "any"}
                made_id = await event_id(connection)
                await record(connection, keeper_event(REPLAYED, made_id, details, severity=Severity.NOTICE))
        except BaseException:
            if not connection.is_closed():
                await transaction.rollback()
            raise
        await (transaction.rollback() if dry_run else transaction.commit())
        made.letters += settled
        if len(taken) < _AT_ONCE:
            return made
        after = taken[-1]["id"]


async def dismiss(connection: Connection, ids: Sequence[int], why: str) -> list[int]:
    """Close pending letters that nobody will ever replay; they stay in the store, and an event says why.

    Args:
        connection: The keeper's, outside any transaction.
        ids: Which.
        why: The operator's words.

    Returns:
        Those that were pending.
    """
    async with connection.transaction():
        taken = [row["id"] for row in await connection.fetch(_TAKE, 0, len(ids), list(ids), None)]
        if taken:
            await _settle(connection, [Settled(each, "dismissed") for each in taken])
            details = {"ids": taken, "count": len(taken), "why": why}
            made_id = await event_id(connection)
            await record(connection, keeper_event(DISMISSED, made_id, details, severity=Severity.WARN))
    return taken


async def _again(
    connection: Connection, taken: Sequence[asyncpg.Record], now_ns: Callable[[], int] | None
) -> list[Settled]:
    """Put letters through `ingest` and `insert`, in the caller's transaction, and say what became of each.

    What they bring back below what readers were told is told of as if the consumer had brought it.
    """
    if not taken:
        return []
    found = await connection.fetchrow("SELECT lowest, beyond FROM audit_bounds()")
    if found is None or found["lowest"] is None:
        raise SinkUnavailable("the store has no partitions: run `lychgate migrate`")
    bounds, now = Bounds(found["lowest"], found["beyond"]), await connection.fetchval("SELECT clock_timestamp()")
    if now_ns is not None:
        now = datetime.fromtimestamp(now_ns() / 1e9, UTC)
    ahead_ms = int((now + AHEAD_LIMIT).timestamp() * 1000)
    made = {row["id"]: row_of(row["payload"], bounds, ahead_ms) for row in taken}
    batch = ingest([row["payload"] for row in taken], bounds, now)
    dropped = [(row[0], row[1]) for row in await connection.fetch(_DROPPED)]
    before = await _there(connection, batch.rows)
    late = await late_among(connection, batch.rows)
    _, refused, conflicts = await insert(connection, batch.rows, batch.conflicts)
    await declare_late(connection, late, bounds)
    refusals = {each.payload: each for each in refused}
    apart = {(row.event_id, row.phase, row.payload_hash) for row in conflicts}
    settled, seen = [], set(before)
    for of_id, row in made.items():
        if isinstance(row, DeadLetter):
            settled.append(_still_dead(of_id, row, bounds, dropped))
        elif (refusal := refusals.get(row.body.encode())) is not None:
            settled.append(_still_dead(of_id, refusal, bounds, dropped))
        elif (row.event_id, row.phase, row.payload_hash) in apart:
            settled.append(Settled(of_id, "conflict"))
        else:
            key = (row.event_id, row.phase)
            settled.append(Settled(of_id, "duplicate" if key in seen else "replayed"))
            seen.add(key)
    return settled


async def _there(connection: Connection, rows: Sequence[Row]) -> set[tuple[Any, str]]:
    """Which keys are in the store already."""
    found = await connection.fetch(
        "SELECT event_id, phase FROM audit_hashes($1::uuid[], $2::text[])",
        [row.event_id for row in rows],
        [row.phase for row in rows],
    )
    return {(row["event_id"], row["phase"]) for row in found}


def _still_dead(of_id: int, dead: DeadLetter, bounds: Bounds, dropped: Sequence[tuple[str, str]]) -> Settled:
    """Pending, or expired: its partition is gone and will not come back."""
    expired = False
    if dead.reason is DeadReason.OUT_OF_RANGE:
        named = _id_of(dead.payload)
        expired = named < id_floor(id_ms(str(bounds.lowest))) or any(since <= named < to for since, to in dropped)
    return Settled(of_id, "expired" if expired else PENDING, dead.reason.value, dead.error)


def _id_of(payload: bytes) -> str:
    return str(decode_plain(payload)["event_id"]).lower()


async def _settle(connection: Connection, settled: Sequence[Settled]) -> None:
    await connection.execute(
        _SETTLE,
        [each.id for each in settled],
        [None if each.outcome == PENDING else each.outcome for each in settled],
        [each.reason or None for each in settled],
        [each.error or None for each in settled],
    )
