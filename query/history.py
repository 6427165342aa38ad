"""The records of one event in, the event as readers are shown it out. Pure.

The store is append-only, so a durable decision has two rows: what was decided, and how it ended. Readers see one event.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias
from uuid import UUID

from audit.codec import decode_plain
from audit.event import (
    SCHEMA_VERSION,
    Actor,
    Aggregate,
    AuditEvent,
    Client,
    Decision,
    Input,
    Outcome,
    Producer,
    Redaction,
    Request,
    Resource,
    Severity,
)
from audit.severity import RANK

Shown: TypeAlias = dict[str, Any]
"""An event as JSON knows it. Not `AuditEvent`: a reader must also see the fields of a newer minor schema version."""

_OF_THE_END: Final = ("phase", "outcome", "status", "latency_us", "request")
"""What the completion says better than the decision did (of the request, how large it was in the end); of everything
else it only adds what was missing."""


_FIELDS: Final = AuditEvent.__struct_fields__
_PARTS: Final = {
    "producer": Producer.__struct_fields__,
    "actor": Actor.__struct_fields__,
    "client": Client.__struct_fields__,
    "resource": Resource.__struct_fields__,
    "decision": Decision.__struct_fields__,
    "input": Input.__struct_fields__,
    "request": Request.__struct_fields__,
    "aggregate": Aggregate.__struct_fields__,
    "redaction": Redaction.__struct_fields__,
}
"""Field names in the order in which they are documented."""

_GRAVITY: Final = {severity.value: rank for severity, rank in RANK.items()}


@dataclass(frozen=True, slots=True)
class Row:
    """One event, as the store gives it.

    Attributes:
        event_id: Its id.
        event_type: What sort of fact; a typed column, so that it is there whatever becomes of the body.
        kind: As `event_type`.
        tenant_id: Whose it is; as `event_type`.
        occurred_at: When it happened, UTC.
        body: The record that leads: the decision, or the only one there is.
        completion: The record of its end, where there is one beside the leading one.
        completed_at: When that was.
        orphaned: Whether the leading record is a decision whose producer is gone, so that no end will come.
    """

    event_id: UUID
    event_type: str
    kind: str
    tenant_id: str
    occurred_at: datetime
    body: str
    completion: str | None = None
    completed_at: datetime | None = None
    orphaned: bool = False


def timestamp(moment: datetime) -> str:
    """RFC 3339, UTC, microseconds, `Z`."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def shown(row: Row) -> Shown:
    """One event with its end.

    Args:
        row: Its records.

    Returns:
        The leading record's fields, with the defaults that the bytes leave out; with a completion: its outcome, status
        and latency, the graver of the two severities, both records' details and redactions, and `completed_at`. An
        orphaned decision has `outcome: unknown`.

    Raises:
        msgspec.DecodeError: A record is not a JSON object.
    """
    event = {"schema_version": SCHEMA_VERSION, "severity": Severity.INFO.value, **_plain(row.body)}
    if row.completion is not None:
        _complete(event, _plain(row.completion))
        if row.completed_at is not None:
            event["completed_at"] = timestamp(row.completed_at)
    elif row.orphaned and event.get("outcome") is None:
        event["outcome"] = Outcome.UNKNOWN.value
    event["occurred_at"] = timestamp(row.occurred_at)
    return _in_order(event)


def _in_order(event: Shown) -> Shown:
    """The fields as `audit.event` lists them: the store keeps them by length, and nobody reads in that order."""
    ordered = {name: event[name] for name in _FIELDS if name in event}
    for name, fields in _PARTS.items():
        part = ordered.get(name)
        if isinstance(part, dict):
            ordered[name] = {key: part[key] for key in fields if key in part} | part
    return ordered | {name: value for name, value in event.items() if name not in ordered}


def bare(row: Row) -> Shown:
    """What is shown of an event whose body cannot be read or masked: that it is there, whose, when and of what sort."""
    return {
        "event_id": str(row.event_id),
        "event_type": row.event_type,
        "kind": row.kind,
        "tenant_id": row.tenant_id,
        "occurred_at": timestamp(row.occurred_at),
    }


def _plain(body: str) -> Shown:
    return decode_plain(body.encode())


def _complete(event: Shown, end: Shown) -> None:
    end.pop("producer", None)  # its `seq` is the decision's place in the spool
    graver, other = (end, event) if _gravity(end) > _gravity(event) else (event, end)
    severity: Shown = {name: graver[name] for name in ("severity", "severity_original") if name in graver}
    joined = {
        "details": {**_record(event.get("details")), **_record(end.get("details"))},
        "redaction": _joined_redaction(_record(event.get("redaction")), _record(end.get("redaction"))),
    }
    other.pop("severity_original", None)
    event.update({name: value for name, value in end.items() if name in _OF_THE_END or name not in event})
    event.update(severity)
    event.update({name: record for name, record in joined.items() if record})


def _joined_redaction(first: Shown, second: Shown) -> Shown:
    joined = {**first, **second}
    if fields := {*first.get("fields", ()), *second.get("fields", ())}:
        joined["fields"] = sorted(fields)
    if first.get("truncated"):
        joined["truncated"] = True
    return joined


def _record(value: object) -> Shown:
    return value if isinstance(value, dict) else {}


def _gravity(record: Shown) -> int:
    """A word of a newer schema counts as the least grave: it is shown when nothing graver is known."""
    return _GRAVITY.get(record.get("severity", Severity.INFO.value), -1)
