"""A recorded decision in, the same with the roles that another catalogue gives its caller out. Pure.

The record holds which roles the policies saw then. A candidate that comes with a catalogue of its own gives the names
of then another meaning: one may be included by another now, and a name of the token that meant nothing may mean
something.
"""

from typing import Final

import msgspec

from policies.model import Entity, EntityUid, Question
from policies.replay.record import Recorded
from roles.catalogue import Catalogue

_ROLE: Final = "Role"
_ANONYMOUS: Final = "anonymous"


class Recast:
    """Gives callers the roles of a catalogue."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._known: dict[tuple[str, tuple[str, ...], tuple[str, ...]], tuple[EntityUid, ...]] = {}

    def __call__(self, recorded: Recorded) -> Recorded:
        """The decision as it would be asked for now."""
        question = recorded.question
        if question is None:
            return recorded
        key = (recorded.actor_type, recorded.roles, recorded.dropped_roles)
        roles = self._known.get(key)
        if roles is None:
            roles = self._known[key] = self._resolved(*key)
        return msgspec.structs.replace(recorded, question=_with_roles(question, roles))

    def _resolved(self, actor_type: str, roles: tuple[str, ...], dropped: tuple[str, ...]) -> tuple[EntityUid, ...]:
        if actor_type == _ANONYMOUS:
            granted: tuple[str, ...] = (self._catalogue.anonymous,)
        else:
            granted = self._catalogue.resolve((*roles, *dropped)).roles
        return tuple(EntityUid(_ROLE, name) for name in self._catalogue.with_included(granted))


def _with_roles(question: Question, roles: tuple[EntityUid, ...]) -> Question:
    def recast(entity: Entity) -> Entity:
        if entity.uid != question.principal:
            return entity
        others = tuple(parent for parent in entity.parents if parent.type != _ROLE)
        return msgspec.structs.replace(entity, parents=(*roles, *others))

    return msgspec.structs.replace(question, entities=tuple(map(recast, question.entities)))
