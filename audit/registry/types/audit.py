"""Events of `audit`. Generated from the registry of event types: change it there."""

from typing import Any, ClassVar, Literal, TypeAlias

import msgspec

from audit.event import Kind, Severity
from audit.registry.typed import TypedEvent


class LogRead(TypedEvent, frozen=True, kw_only=True):
    """Somebody read the audit, or was refused.

    Attributes:
        view: Which view they were given; at most 64 characters.
        rows: How many events went out; from 0.
        asked: The parameters, as they were sent.
        target_tenant: Whose audit, where it is not the reader's own; at most 256 characters.
    """

    event_type: ClassVar[str] = "audit.log.read"
    kind: ClassVar[Kind] = Kind.ADMIN
    action: ClassVar[str | None] = "audit:read"
    resource_type: ClassVar[str | None] = "AuditLog"
    crud: ClassVar[str | None] = "r"
    view: str | None = None
    rows: int
    asked: dict[str, Any] | None = None
    target_tenant: str | None = None


class Loss(TypedEvent, frozen=True, kw_only=True):
    """Records are lost: which numbers of which producer.

    Attributes:
        producer: Whose numbers; at most 128 characters.
        epoch: The epoch of the numbers; from 0.
        missing: Which numbers, as pairs of first and last.
        count: How many; from 0.
        reason: How they were lost.
        folded: How many refusals the missing records stood for; from 0.
        unknown_beyond: The last number the store knows of; what lies beyond nobody can say; from 0.
        watermark: How far the producer had reported.
        declared_by: Who gave the producer up; at most 256 characters.
    """

    event_type: ClassVar[str] = "audit.loss"
    kind: ClassVar[Kind] = Kind.SYSTEM
    severity: ClassVar[Severity] = Severity.CRITICAL
    producer: str
    epoch: int
    missing: tuple[tuple[int, int], ...]
    count: int
    reason: Literal["killed", "shed", "unwritten", "damaged", "retired"]
    folded: int | None = None
    unknown_beyond: int | None = None
    watermark: str | None = None
    declared_by: str | None = None


class Late(TypedEvent, frozen=True, kw_only=True):
    """Records came in below what readers had been told is complete.

    Attributes:
        count: How many; from 1.
        first_event_id: The first of them; at most 36 characters.
        last_event_id: The last of them; at most 36 characters.
        first_at: When the first was.
        last_at: When the last was.
        complete_through: What readers had been told.
        producers: Who brought them, the first twenty by name; at most 20; at most 256 characters.
    """

    event_type: ClassVar[str] = "audit.late"
    kind: ClassVar[Kind] = Kind.SYSTEM
    severity: ClassVar[Severity] = Severity.WARN
    count: int
    first_event_id: str
    last_event_id: str
    first_at: str
    last_at: str
    complete_through: str
    producers: tuple[str, ...]


class SinkSkipped(TypedEvent, frozen=True, kw_only=True):
    """A sink was moved over records that the others have.

    Attributes:
        sink: Which sink; at most 64 characters.
        producer: Whose records; at most 128 characters.
        epoch: The epoch of the numbers; from 0.
        missing: Which numbers, as pairs of first and last; at most 1000.
        count: How many; from 0.
        from_: When the first was; empty where nobody knows; at most 32 characters.
        until: Not later than this.
    """

    event_type: ClassVar[str] = "audit.sink.skipped"
    kind: ClassVar[Kind] = Kind.SYSTEM
    severity: ClassVar[Severity] = Severity.WARN
    sink: str
    producer: str
    epoch: int
    missing: tuple[tuple[int, int], ...]
    count: int
    from_: str = msgspec.field(name="from")
    until: str


class ConsumerReset(TypedEvent, frozen=True, kw_only=True):
    """The consumer was moved, because the topic has not what comes next.

    Attributes:
        topic: Which topic; at most 249 characters.
        partition: Which partition; from 0.
        reason: Why.
        expected: The offset that should have come; from 0.
        found: The offset it goes on at; from 0.
        missed: How many are missed.
    """

    event_type: ClassVar[str] = "audit.consumer.reset"
    kind: ClassVar[Kind] = Kind.SYSTEM
    severity: ClassVar[Severity] = Severity.ERROR
    topic: str
    partition: int
    reason: Literal["expired", "renewed"]
    expected: int
    found: int
    missed: int


class PartitionSealed(TypedEvent, frozen=True, kw_only=True):
    """A week of the audit was sealed, or a seal was followed by another record.

    Attributes:
        seal: What the record does.
        partition: Which week; at most 64 characters.
        number: The record's number in the chain; from 0.
        rows: How many rows it is about; from 0.
        root: The Merkle root, in hex; empty where nothing is left; at most 128 characters.
        signed_by: The key's id; at most 128 characters.
    """

    event_type: ClassVar[str] = "audit.partition.sealed"
    kind: ClassVar[Kind] = Kind.SYSTEM
    severity: ClassVar[Severity] = Severity.NOTICE
    seal: Literal["seal", "addendum", "purge", "drop"]
    partition: str
    number: int
    rows: int
    root: str
    signed_by: str


class PurgeCompleted(TypedEvent, frozen=True, kw_only=True):
    """What was too old is gone.

    Attributes:
        count: How many rows; from 0.
        deleted_from: Partitions that rows were deleted from; at most 64 characters.
        dropped: Partitions that were dropped; at most 64 characters.
        kept_days: How long rows are kept; in days; from 0.
        tenants: How many tenants it was about; of the event of no tenant only; from 0.
        all_tenants: Whether it is the event of all.
    """

    event_type: ClassVar[str] = "audit.purge.completed"
    kind: ClassVar[Kind] = Kind.SYSTEM
    severity: ClassVar[Severity] = Severity.NOTICE
    count: int
    deleted_from: tuple[str, ...]
    dropped: tuple[str, ...]
    kept_days: int
    tenants: int | None = None
    all_tenants: bool | None = None


class HoldPlaced(TypedEvent, frozen=True, kw_only=True):
    """Records are kept whatever their age.

    Attributes:
        hold: The hold's number; from 1.
        reason: Why, in the operator's words; at most 1024 characters.
        placed_by: Who said so; at most 256 characters.
        since: From when; absent from the first; at most 32 characters.
        until: To when; absent without end; at most 32 characters.
        actor: Of whom only; at most 256 characters.
        resource_type_: Of what only; at most 256 characters.
        resource_id: And which one; at most 256 characters.
    """

    event_type: ClassVar[str] = "audit.hold.placed"
    kind: ClassVar[Kind] = Kind.SYSTEM
    severity: ClassVar[Severity] = Severity.SECURITY
    hold: int
    reason: str
    placed_by: str
    since: str | None = None
    until: str | None = None
    actor: str | None = None
    resource_type_: str | None = msgspec.field(default=None, name="resource_type")
    resource_id: str | None = None


class HoldReleased(TypedEvent, frozen=True, kw_only=True):
    """A hold ended; the next purge takes what is too old.

    Attributes:
        hold: The hold's number; from 1.
        released_by: Who said so; at most 256 characters.
    """

    event_type: ClassVar[str] = "audit.hold.released"
    kind: ClassVar[Kind] = Kind.SYSTEM
    severity: ClassVar[Severity] = Severity.SECURITY
    hold: int
    released_by: str


class DeadLettersReplayed(TypedEvent, frozen=True, kw_only=True):
    """Records that could not be stored were tried again.

    Attributes:
        replayed: How many are stored now; from 0.
        duplicate: How many were stored already; from 0.
        conflict: How many differ from what is stored; from 0.
        expired: How many are too old by now; from 0.
        pending: How many are still dead; from 0.
        count: How many were tried; from 0.
        reason: The reason they were chosen by; `any` for all; at most 64 characters.
    """

    event_type: ClassVar[str] = "audit.dead_letters.replayed"
    kind: ClassVar[Kind] = Kind.SYSTEM
    severity: ClassVar[Severity] = Severity.NOTICE
    replayed: int
    duplicate: int
    conflict: int
    expired: int
    pending: int
    count: int
    reason: str


class DeadLettersDismissed(TypedEvent, frozen=True, kw_only=True):
    """Records that nobody will store were closed.

    Attributes:
        ids: Which letters.
        count: How many; from 0.
        why: Why, in the operator's words; at most 1024 characters.
    """

    event_type: ClassVar[str] = "audit.dead_letters.dismissed"
    kind: ClassVar[Kind] = Kind.SYSTEM
    severity: ClassVar[Severity] = Severity.WARN
    ids: tuple[int, ...]
    count: int
    why: str


EventName: TypeAlias = Literal[
    "audit.log.read",
    "audit.loss",
    "audit.late",
    "audit.sink.skipped",
    "audit.consumer.reset",
    "audit.partition.sealed",
    "audit.purge.completed",
    "audit.hold.placed",
    "audit.hold.released",
    "audit.dead_letters.replayed",
    "audit.dead_letters.dismissed",
]
"""Every name of an event here, for who passes names along."""
