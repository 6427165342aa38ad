"""One case of a decision table: a question and the answer that it must have. Values only."""

from collections.abc import Mapping

import msgspec

from policies.model import Effect, Entity, EntityUid, Json, Question
from roles.model import Principal


class TaggedEntity(Entity, frozen=True, kw_only=True):
    """An entity with tags, which the entities the gateway makes do not have."""

    tags: Mapping[str, Json]


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody wrote down that must be so.

    Attributes:
        name: Unique in its file.
        file: The table it is in.
        line: Where it starts.
        action: What is asked for; `question.action` is its id alone.
        question: The whole question.
        caller: Whose question it is; None where the principal was given as an entity.
        expect: The decision.
        policies: The ids of the policies that decide, exactly these; None where the table does not say.
        missing_role: The role a refusal names, or None for none; unset where the table does not say.
        errors: The ids of the policies that cannot be evaluated, exactly these; or how many.
    """

    name: str
    file: str
    line: int
    action: EntityUid
    question: Question
    caller: Principal | None
    expect: Effect
    policies: frozenset[str] | None = None
    missing_role: str | msgspec.UnsetType | None = msgspec.UNSET
    errors: frozenset[str] | int = frozenset()

    @property
    def place(self) -> str:
        """`tests/cases/decisions/order.yaml:12`."""
        return f"{self.file}:{self.line}"
