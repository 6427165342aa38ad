"""A recorded decision in, the question it answered out, or why it cannot be had. Pure.

The record has what Cedar was given (`input`), unless it was too large, or the reader's view hides some of it: then
nothing is guessed.
"""

from typing import Any

import msgspec

from policies.model import Entity, EntityUid, Json, Question
from roles.model import Principal

_HIDES_ALL = "*"


class NotExplainable(ValueError):
    """The record does not say what was asked; the message says why."""


class Recorded(msgspec.Struct, frozen=True):
    """What a record tells of a decision.

    Attributes:
        event_id: The decision's.
        question: As it was asked.
        principal: Who asked.
        effect: What was decided then.
        reasons: On what grounds.
        policy_version: By which policies.
    """

    event_id: str
    question: Question
    principal: Principal
    effect: str
    reasons: tuple[str, ...] = ()
    policy_version: str | None = None


class _Entity(msgspec.Struct, frozen=True):
    type: str
    id: str
    attrs: dict[str, Any] = {}
    parents: tuple[EntityUid, ...] = ()

    def entity(self) -> Entity:
        """As Cedar is given it."""
        return Entity(EntityUid(self.type, self.id), self.attrs, self.parents)


class _Input(msgspec.Struct, frozen=True):
    principal: _Entity
    resource: _Entity
    context: dict[str, Any] = {}
    truncated: bool = False


class _Decision(msgspec.Struct, frozen=True):
    effect: str
    reasons: tuple[str, ...] = ()
    policy_version: str | None = None


class _Hidden(msgspec.Struct, frozen=True):
    path: str


class _Redaction(msgspec.Struct, frozen=True):
    fields: tuple[str, ...] = ()


class _Event(msgspec.Struct, frozen=True):
    """Of an event, what is needed here; it has much else."""

    event_id: str
    action: str | None = None
    input: _Input | None = None
    decision: _Decision | None = None
    redaction: _Redaction | None = None
    redacted: tuple[_Hidden, ...] = ()


def recorded(event: Json) -> Recorded:
    """Read a record.

    Args:
        event: One event as JSON, as it was recorded or as the query API shows it.

    Raises:
        NotExplainable: It is none of a decision, or does not say all that Cedar was given.
    """
    try:
        read = msgspec.convert(event, _Event)
    except msgspec.ValidationError as exc:
        raise NotExplainable(f"not an event: {exc}") from None
    if read.action is None or read.decision is None:
        raise NotExplainable("the event is not one of a decision")
    if hidden := _hidden(read):
        raise NotExplainable(f"the event does not show `{hidden}`, which may have mattered")
    if read.input is None:
        raise NotExplainable("the event does not say what Cedar was given")
    if read.input.truncated:
        raise NotExplainable("what Cedar was given was too large and is cut short in the event")
    principal, resource = read.input.principal.entity(), read.input.resource.entity()
    question = Question(principal.uid, read.action, resource.uid, read.input.context, (principal, resource))
    return Recorded(
        event_id=read.event_id,
        question=question,
        principal=_principal(principal),
        effect=read.decision.effect,
        reasons=read.decision.reasons,
        policy_version=read.decision.policy_version,
    )


def _hidden(event: _Event) -> str | None:
    """A part of what was asked that was taken out, before writing or by the reader's view."""
    written = event.redaction.fields if event.redaction is not None else ()
    for path in (*written, *(field.path for field in event.redacted)):
        if path in {_HIDES_ALL, "input", "action"} or path.startswith("input."):
            return path
    return None


def _principal(entity: Entity) -> Principal:
    issuer, tenant, sub = (entity.attrs.get(name) for name in ("issuer", "tenant", "sub"))
    if not isinstance(issuer, str) or not isinstance(tenant, str) or not isinstance(sub, str):
        raise NotExplainable("the event's principal has no `issuer`, `tenant` and `sub`")
    return Principal(issuer, tenant, sub, tuple(parent.id for parent in entity.parents if parent.type == "Role"))
