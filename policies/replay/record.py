"""One line of recorded events in, the decision it tells of out: what Cedar was given, and what was answered. Pure.

An event is read as the spool, the topic, the store and the query API have it. Only what a decision needs is decoded.
"""

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final, Literal, TypeAlias

import msgspec

from policies.model import Effect, Entity, EntityUid, Json, Question

MASK: Final = "***"
"""What stands where a value was masked (`audit.redact` writes it)."""

_MASKED: Final = b'"***"'
_ID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_INPUT: Final = "input"
_DECISION: Final = "decision"
_COMPLETED: Final = "completed"


class Unusable(StrEnum):
    """Why a decision cannot be made again from its record."""

    TRUNCATED = "truncated"
    MASKED = "masked"
    POLICY_ERRORS = "policy_errors"


class Ignored(msgspec.Struct, frozen=True, gc=False):
    """An event that tells of no decision of Cedar's.

    Attributes:
        kind: `other_event`, `completion`, or `before_decision:<code>` for a request that was refused unasked.
    """

    kind: str


class Malformed(msgspec.Struct, frozen=True, gc=False):
    """A line that is not an event; `reason` has nothing of what it says."""

    reason: str


class Recorded(msgspec.Struct, frozen=True):
    """A decision as it was recorded.

    Attributes:
        event_id: The decision id.
        action: The Cedar action's id.
        resource_type: The type of what it was about; empty where the input is gone.
        effect: What was answered.
        reasons: The policies that decided.
        policy_version: Of the policies that decided.
        schema_version: Of their schema.
        roles: The caller's, by our names of then.
        dropped_roles: Role names of the token that meant nothing then.
        actor_type: `user` or `anonymous`.
        tenant_id: To which the record is booked.
        question: What Cedar was given; None where that is not known any more.
        unusable: Why it cannot be made again, however the policies are.
    """

    event_id: str
    action: str
    resource_type: str
    effect: Effect
    reasons: tuple[str, ...]
    policy_version: str
    schema_version: str
    roles: tuple[str, ...]
    dropped_roles: tuple[str, ...]
    actor_type: str
    tenant_id: str
    question: Question | None
    unusable: Unusable | None = None


Read: TypeAlias = "Recorded | Ignored | Malformed"


class _Actor(msgspec.Struct):
    type: str = "unknown"
    roles: tuple[str, ...] = ()


class _Decision(msgspec.Struct):
    effect: Literal["allow", "deny"]
    reasons: tuple[str, ...] = ()
    code: str | None = None
    policy_version: str | None = None


class _Entity(msgspec.Struct):
    type: str
    id: str
    attrs: dict[str, Any] = {}
    parents: tuple[EntityUid, ...] = ()


class _Input(msgspec.Struct):
    principal: _Entity
    resource: _Entity
    context: dict[str, Any]
    schema_version: str = ""
    truncated: bool = False


class _Details(msgspec.Struct):
    policy_errors: tuple[str, ...] = ()
    dropped_roles: tuple[str, ...] = ()


class _Redaction(msgspec.Struct):
    fields: tuple[str, ...] = ()
    truncated: bool = False


class _Struck(msgspec.Struct):
    path: str


_ABSENT: Final = msgspec.Raw(b"null")


class _Event(msgspec.Struct):
    event_id: str
    phase: str
    kind: str
    tenant_id: str = ""
    action: str | None = None
    actor: _Actor | None = None
    decision: _Decision | None = None
    input: msgspec.Raw = _ABSENT
    details: msgspec.Raw = _ABSENT
    redaction: _Redaction | None = None
    redacted: tuple[_Struck, ...] = ()


_EVENT: Final = msgspec.json.Decoder(_Event)
_DECODE_INPUT: Final = msgspec.json.Decoder(_Input)
_DECODE_DETAILS: Final = msgspec.json.Decoder(_Details)
_OTHER: Final = Ignored("other_event")
_COMPLETION: Final = Ignored("completion")
_NOTHING: Final = _Details()


def read(line: bytes) -> Read:
    """Read one event.

    Args:
        line: Its JSON; what is not a decision of Cedar's is not looked at further.
    """
    try:
        event = _EVENT.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return Malformed("not an event")
    if event.kind != _DECISION or event.decision is None:
        return _COMPLETION if event.kind == _DECISION and event.phase == _COMPLETED else _OTHER
    if event.decision.policy_version is None:  # nobody asked Cedar, or it did not answer
        return Ignored(f"before_decision:{event.decision.code}") if event.decision.code else _OTHER
    try:
        if not _ID.fullmatch(event.event_id):
            return Malformed("the event's id is not a UUID")
        return _recorded(event, event.decision)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return Malformed("its input or its details have another form")


def _recorded(event: _Event, decision: _Decision) -> Recorded:
    redaction = event.redaction or _Redaction()
    details = _NOTHING
    if _is_there(event.details) and _MASKED not in bytes(event.details):
        details = _DECODE_DETAILS.decode(event.details)
    given, unusable = _input(event, redaction)
    if unusable is None and details.policy_errors:
        unusable = Unusable.POLICY_ERRORS
    actor = event.actor or _Actor()
    return Recorded(
        event_id=event.event_id,
        action=event.action or "",
        resource_type=given.resource.type if given else "",
        effect=Effect(decision.effect),
        reasons=tuple(sorted(decision.reasons)),
        policy_version=decision.policy_version or "",
        schema_version=given.schema_version if given else "",
        roles=actor.roles,
        dropped_roles=details.dropped_roles,
        actor_type=actor.type,
        tenant_id=event.tenant_id,
        question=_question(event.action or "", given) if given else None,
        unusable=unusable,
    )


def _input(event: _Event, redaction: _Redaction) -> tuple[_Input | None, Unusable | None]:
    """What Cedar was given; and why that is not all of it, where it is not."""
    paths = (*redaction.fields, *(struck.path for struck in event.redacted))
    masked = any(path == "*" or path.partition(".")[0] == _INPUT for path in paths)
    if not _is_there(event.input):
        return None, Unusable.MASKED if masked and not redaction.truncated else Unusable.TRUNCATED
    if _MASKED in bytes(event.input) and _has_mask(msgspec.json.decode(event.input)):
        masked = True
    try:
        given = _DECODE_INPUT.decode(event.input)
    except msgspec.ValidationError:
        if masked:  # a mask may stand where a record stood, or a required field may be gone
            return None, Unusable.MASKED
        raise
    if given.truncated or redaction.truncated:
        return given, Unusable.TRUNCATED
    return given, Unusable.MASKED if masked else None


def _is_there(part: msgspec.Raw) -> bool:
    return bytes(part) != b"null"


def _has_mask(value: Json) -> bool:
    if isinstance(value, dict):
        return any(map(_has_mask, value.values()))
    return any(map(_has_mask, value)) if isinstance(value, list) else value == MASK


def _question(action: str, given: _Input) -> Question:
    principal, resource = _entity(given.principal), _entity(given.resource)
    entities = (principal,) if principal.uid == resource.uid else (principal, resource)
    context: Mapping[str, Json] = given.context
    return Question(principal.uid, action, resource.uid, context, entities)


def _entity(given: _Entity) -> Entity:
    return Entity(EntityUid(given.type, given.id), given.attrs, given.parents)
