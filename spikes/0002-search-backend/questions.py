"""The twelve questions of the study, with what they are asked of, and the form an answer is compared in."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

import msgspec
from stream import Plan, kept, tenant

from audit.event import AuditEvent, Phase, Severity

PAGE = 50
GRAVE = Severity.ERROR
SECURITY = Severity.SECURITY
_EVENT = msgspec.json.Decoder(AuditEvent)


class Name(StrEnum):
    """What is asked. All but `security` are asked by one tenant."""

    NEWEST = "newest"
    ACTOR = "actor"
    TRACE = "trace"
    RESOURCE = "resource"
    DENIALS = "denials"
    GRAVE = "grave"
    TEXT = "text"
    DEEP = "deep"
    STATS = "stats"
    EXPORT = "export"
    SECURITY = "security"
    ACTORS = "actors"


WORDED = {
    Name.NEWEST: "newest page of a tenant",
    Name.ACTOR: "newest page of an actor",
    Name.TRACE: "events of a trace, in order",
    Name.RESOURCE: "newest page of a resource",
    Name.DENIALS: "denials of the last week, a page",
    Name.GRAVE: "severity `error` and graver, a page",
    Name.TEXT: "two words in the notes, a page",
    Name.DEEP: "a page after a cursor far back",
    Name.STATS: "counts by hour and action, a week",
    Name.EXPORT: "export of a tenant's day",
    Name.SECURITY: "`security` and graver of all tenants",
    Name.ACTORS: "who acted, of a week, each once",
}


@dataclass(frozen=True)
class Question:
    """One question with its values; those that a name does not use are empty.

    Attributes:
        after: The cursor: the event id of the last row of the page before.
        since: Inclusive.
        until: Exclusive.
    """

    name: Name
    tenant: str = ""
    actor: str = ""
    trace: str = ""
    resource: tuple[str, str] = ("", "")
    words: tuple[str, ...] = ()
    after: str = ""
    since: datetime = datetime(1970, 1, 1, tzinfo=UTC)
    until: datetime = datetime(1970, 1, 1, tzinfo=UTC)

    def __str__(self) -> str:
        """For whoever reads where two do not agree."""
        values = (self.tenant, self.actor, self.trace, *self.resource, *self.words, self.after)
        return " ".join([self.name, *filter(None, values)])


def questions(folder: Path, plan: Plan, records: int, each: int) -> list[Question]:
    """What is asked when so many records are there.

    Args:
        folder: Of the chunks.
        plan: What they were made by.
        records: How many were loaded.
        each: How often each question is asked, with other values.
    """
    until = datetime.fromtimestamp(plan.at_ms(records) / 1000, UTC)
    week, day = (
        {"since": until - timedelta(days=7), "until": until},
        {"since": until - timedelta(days=1), "until": until},
    )
    chunks = max(1, records // plan.chunk)
    early = _sample(folder, chunks // 5)[0].event_id
    ranks = (0, 2, 5, 12, 30, 60, 110, 180)
    asked: list[Question] = []
    for number in range(each):
        whose = tenant(ranks[number % len(ranks)])
        found = _sample(folder, number * chunks // each)
        seen = next((one for one in found if one.tenant_id == whose), found[number])
        actor = seen.actor.id if seen.actor is not None and seen.actor.id is not None else ""
        what = (seen.resource.type, seen.resource.id or "") if seen.resource is not None else ("", "")
        note = str((seen.details or {})["note"]).split()
        asked += [
            Question(Name.NEWEST, whose),
            Question(Name.ACTOR, seen.tenant_id, actor=actor),
            Question(Name.TRACE, seen.tenant_id, trace=seen.trace_id or ""),
            Question(Name.RESOURCE, seen.tenant_id, resource=what),
            Question(Name.DENIALS, whose, **week),
            Question(Name.GRAVE, whose),
            Question(Name.TEXT, seen.tenant_id, words=tuple(note[:2])),
            Question(Name.DEEP, whose, after=early),
            Question(Name.STATS, whose, **week),
            Question(Name.EXPORT, whose, **day),
            Question(Name.SECURITY),
            Question(Name.ACTORS, whose, **week),
        ]
    return asked


def _sample(folder: Path, number: int) -> list[AuditEvent]:
    """Events of a chunk, without the ends of others."""
    return [one for line in kept(folder, number) if (one := _EVENT.decode(line)).phase is not Phase.COMPLETED]


def answer(rows: Sequence[Any]) -> str:
    """An answer as it is compared: how many rows, and a digest over them in their order."""
    text = json.dumps(list(rows), separators=(",", ":"))
    return f"{len(rows)}:{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def body_digest(body: dict[str, Any]) -> str:
    """Of a record's content, however its keys stand."""
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:12]
