"""Events of `policy`. Generated from the registry of event types: change it there."""

from typing import ClassVar, Literal, TypeAlias

import msgspec

from audit.event import Kind, Severity
from audit.registry.typed import TypedEvent


class ShadowDiverged(TypedEvent, frozen=True, kw_only=True):
    """A shadow set of policies would have decided otherwise.

    Attributes:
        decision_id: The decision, an event of the same tenant; at most 36 characters.
        kind_: In what way.
        live_effect: What was decided.
        live_reasons: By which policies; at most 256 characters.
        live_policy_version: Of the set that decided; at most 128 characters.
        shadow_effect: What the shadow set would have.
        shadow_reasons: By which policies; at most 256 characters.
        shadow_policy_version: Of the shadow set; at most 128 characters.
    """

    event_type: ClassVar[str] = "policy.shadow.diverged"
    kind: ClassVar[Kind] = Kind.SYSTEM
    crud: ClassVar[str | None] = "x"
    severity: ClassVar[Severity] = Severity.NOTICE
    decision_id: str
    kind_: Literal["newly_allowed", "newly_denied", "reasons"] = msgspec.field(name="kind")
    live_effect: Literal["allow", "deny"]
    live_reasons: tuple[str, ...]
    live_policy_version: str
    shadow_effect: Literal["allow", "deny"]
    shadow_reasons: tuple[str, ...]
    shadow_policy_version: str


class ReplayCompleted(TypedEvent, frozen=True, kw_only=True):
    """Recorded decisions were made again by other policies.

    Attributes:
        candidate: The version of the policies that decided; at most 128 characters.
        decisions: How many were made again; from 0.
        same: How many stayed as they were; from 0.
        incidents: How many changed and were not expected to; from 0.
        expected: How many changed as expected; from 0.
        newly_allowed: How many are allowed now; from 0.
        newly_denied: How many are denied now; from 0.
        reasons: How many have the same answer by other policies; from 0.
        undecidable: How many could not be decided again; from 0.
        malformed: How many records were not readable; from 0.
        flip_kinds: How many kinds of changes there were; from 0.
        flips: The kinds of changes, a line each, the unexpected first; at most 50; at most 320 characters.
    """

    event_type: ClassVar[str] = "policy.replay.completed"
    kind: ClassVar[Kind] = Kind.ADMIN
    action: ClassVar[str | None] = "policy:replay"
    crud: ClassVar[str | None] = "r"
    candidate: str
    decisions: int
    same: int
    incidents: int
    expected: int
    newly_allowed: int
    newly_denied: int
    reasons: int
    undecidable: int
    malformed: int
    flip_kinds: int
    flips: tuple[str, ...]


EventName: TypeAlias = Literal["policy.shadow.diverged", "policy.replay.completed"]
"""Every name of an event here, for who passes names along."""
