"""Declaring a producer lost: its spool will not come back, so readers need wait for it no longer.

What `lychgate audit spool retire` does. One `audit.loss` event says who was given up, how far it had come and which of
its numbers the store knows to be missing; it stands in the transaction that lets `complete_through` go on.
"""

import json
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

import msgspec

from audit.codec import timestamp
from audit.event import NO_TENANT, AuditEvent, Outcome, Producer, Severity
from audit.keeper.event import keeper_event, record
from audit.keeper.jobs import Connection
from audit.spool.segment import LOSS
from audit.store_clock import event_id

SILENT: Final = timedelta(seconds=60)
"""Who has reported within this time lives; a restart takes a few seconds."""
_REASON: Final = "retired"


class Opening(NamedTuple):
    """One opening of a producer's spool, as the store knows it.

    Attributes:
        epoch: Which.
        state: As `audit_producer_states` names it.
        watermark: Up to where it is delivered.
        silent_s: How long ago it spoke last.
        holds: Whether it is the one that holds `complete_through`.
        last_seq: The greatest of its numbers that the store has seen.
        missing_count: How many below that it has not.
        missing: The first hundred of their ranges. What lies beyond `last_seq` nobody knows any more.
    """

    epoch: int
    state: str
    watermark: datetime
    silent_s: float
    holds: bool
    last_seq: int
    missing_count: int
    missing: list[list[int]]

    @property
    def lives(self) -> bool:
        """Whether it still reports."""
        return self.silent_s < SILENT.total_seconds()


async def openings(connection: Connection, producer: str, *, gaps: bool = True) -> list[Opening]:
    """Everything the store still knows of a producer, the one that holds first; empty for a name it never met.

    Args:
        connection: The keeper's.
        producer: Its id.
        gaps: Whether a number that is not there is missing. Of an outbox it is not: who rolled back has taken it.
    """
    states = await connection.fetch(
        "SELECT epoch, state, watermark, silent_s, holds FROM audit_producer_states() WHERE producer = $1", producer
    )
    found = []
    for row in states:
        numbers = await connection.fetchrow("SELECT * FROM audit_known_numbers($1, $2)", producer, row["epoch"])
        if numbers is None:
            continue
        missing = (numbers["missing_count"], json.loads(numbers["missing"])) if gaps else (0, [])
        known = (numbers["last_seq"], *missing)
        found.append(Opening(row["epoch"], row["state"], row["watermark"], row["silent_s"], row["holds"], *known))
    return found


async def retire(connection: Connection, producer: str, opening: Opening, *, by: str, force: bool = False) -> bool:
    """Declare one opening lost.

    Args:
        connection: The keeper's, outside any transaction.
        producer: Whose it is.
        opening: Which.
        by: Who says so.
        force: Also if it still reports.

    Returns:
        Whether it was declared lost now; if not, it has spoken meanwhile, has ended, or was declared lost before.
    """
    async with connection.transaction():
        silent = None if force else SILENT
        if not await connection.fetchval("SELECT audit_retire($1, $2, $3)", producer, opening.epoch, silent):
            return False
        await connection.execute("SELECT audit_advance()")
        await record(connection, _loss(producer, opening, by, await event_id(connection)))
    return True


def _loss(producer: str, opening: Opening, by: str, made_id: str) -> AuditEvent:
    details: dict[str, Any] = {
        "producer": producer,
        "epoch": opening.epoch,
        "reason": _REASON,
        "missing": opening.missing,
        "count": opening.missing_count,
        "unknown_beyond": opening.last_seq,
        "watermark": timestamp(int(opening.watermark.timestamp() * 1_000_000) * 1000),
        "declared_by": by,
    }
    event = keeper_event(
        LOSS, made_id, details, tenant_id=NO_TENANT, severity=Severity.CRITICAL, outcome=Outcome.FAILURE
    )
    # In the name of the producer whose numbers it is about, as every `audit.loss` is.
    named: AuditEvent = msgspec.structs.replace(event, producer=Producer(producer, opening.epoch, 0))
    return named
