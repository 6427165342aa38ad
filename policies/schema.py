"""The Cedar schema: parsed once, with what it says about each action.

Made by `policies.load`; `policies.engine` gives its handle to Cedar with every question.
"""

from collections.abc import Mapping
from types import MappingProxyType

import cedarpy

from policies.errors import PolicyErrors
from policies.lexer import Statement, locate
from policies.model import EntityUid
from policies.schema_reader import ActionType, read_actions


class Schema:
    """A parsed schema.

    Attributes:
        name: The file's name.
        text: As written.
        handle: Cedar's parsed form.
        actions: Every action that applies to something, by uid. Mere groups are not among them.
    """

    __slots__ = ("_closures", "actions", "handle", "name", "text")

    def __init__(self, name: str, text: str) -> None:
        """Parse a schema.

        Raises:
            PolicyErrors: It does not parse, or names a type that is not there.
        """
        self.name = name
        self.text = text
        try:
            self.handle = cedarpy.Schema.from_str(text, release_gil=True)
        except ValueError as exc:
            raise PolicyErrors([locate(Statement(name, text, 0, len(text)), _reason(exc), _refusal)]) from exc
        declared = read_actions(str(self.handle))
        self.actions: Mapping[EntityUid, ActionType] = MappingProxyType(
            {uid: action for uid, action in declared.items() if action.resource_types}
        )
        self._closures = {uid: _closure(uid, declared) for uid in declared}

    def groups(self, action: EntityUid) -> frozenset[EntityUid]:
        """An action and every group it is in, near or far."""
        return self._closures.get(action, frozenset({action}))


def _closure(uid: EntityUid, declared: Mapping[EntityUid, ActionType]) -> frozenset[EntityUid]:
    seen: set[EntityUid] = set()
    todo = [uid]
    while todo:
        here = todo.pop()
        if here not in seen:
            seen.add(here)
            todo.extend(declared[here].groups if here in declared else ())
    return frozenset(seen)


def _reason(exc: ValueError) -> str:
    return str(exc).removeprefix("error parsing schema: ")


def _refusal(text: str) -> str | None:
    """Why a text is not a schema, or None."""
    try:
        cedarpy.Schema.from_str(text)
    except ValueError as exc:
        return _reason(exc)
    return None
