"""The question whether a caller may do something, and the answer with its evidence.

Everything here is a plain value. `policies.engine` turns a `Question` into an `Answer`; `roles`, `gateway` and `query`
build questions; nothing in this module knows Cedar's library.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeAlias

import msgspec

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
"""A value of RFC 8259 as `msgspec.json.decode` gives it. Cedar knows neither null nor fractions."""


class Effect(StrEnum):
    """What a decision says."""

    ALLOW = "allow"
    DENY = "deny"


class EntityUid(msgspec.Struct, frozen=True, gc=False):
    """The name of an entity: Cedar's `Type::"id"`, never joined into text (odd ids would not survive it)."""

    type: str
    id: str


class Entity(msgspec.Struct, frozen=True):
    """An entity as Cedar is given it.

    Attributes:
        uid: Its name.
        attrs: Attribute name to JSON value, in Cedar's JSON form for entity attributes.
        parents: The entities it is in, for example its roles.
    """

    uid: EntityUid
    attrs: Mapping[str, Json]
    parents: tuple[EntityUid, ...] = ()


class Question(msgspec.Struct, frozen=True):
    """May `principal` do `action` to `resource`, given `context`?

    Attributes:
        principal: Who asks.
        action: The id of a Cedar `Action`, for example `order:create`.
        resource: To what.
        context: The action's context record; times as `{"__extn": {"fn": "datetime", "arg": "..."}}`.
        entities: Every entity that policies may look into, the principal's roles among them.
    """

    principal: EntityUid
    action: str
    resource: EntityUid
    context: Mapping[str, Json]
    entities: tuple[Entity, ...]


class PolicyError(msgspec.Struct, frozen=True, gc=False):
    """A policy that could not be evaluated for one question.

    Attributes:
        policy_id: `<file>.<@id>`.
        effect: What the policy would have said: an erroring `forbid` denies, an erroring `permit` is ignored.
        message: Cedar's reason, without values of the request.
    """

    policy_id: str
    effect: Effect
    message: str


class Answer(msgspec.Struct, frozen=True):
    """A decision and what it rests on.

    Attributes:
        effect: Allow or deny.
        reasons: Ids `<file>.<@id>` of the policies that decided, sorted; empty when nothing matched (default deny).
        errors: Policies that could not be evaluated.
    """

    effect: Effect
    reasons: tuple[str, ...] = ()
    errors: tuple[PolicyError, ...] = ()

    def __post_init__(self) -> None:
        """INVARIANT: nothing is allowed without a policy that says so."""
        if self.effect is Effect.ALLOW and not self.reasons:
            raise ValueError("an allow without a reason")

    @property
    def allows(self) -> bool:
        """Whether the answer is an allow."""
        return self.effect is Effect.ALLOW
