"""The Cedar schema: parsed once, with what it says about each action.

Made by `policies.load`; `policies.engine` gives its handle to Cedar with every question.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping
from types import MappingProxyType

import cedarpy
import msgspec

from policies.depth import TOO_DEEP, too_deep
from policies.errors import PolicyErrors
from policies.lexer import Statement, locate
from policies.model import EntityUid
from policies.schema_reader import (
    ActionType,
    EntityType,
    Shape,
    read_actions,
    read_applications,
    read_entities,
    read_parent_types,
    read_shapes,
)


class Schema:
    """A parsed schema.

    Attributes:
        name: The file's name.
        text: As written.
        handle: Cedar's parsed form.
        canonical: Cedar's own printing of it, without comments.
        actions: Every action that applies to something, by uid. Mere groups are not among them.
        parent_types: Every entity type that another entity may be in.
        entities: Every entity type with its attributes, by name.
        shapes: What each entity type's attributes hold, to any depth, by the type's full name.
        contexts: What each action's context holds, likewise.
    """

    __slots__ = (
        "_applications",
        "_closures",
        "_members",
        "actions",
        "canonical",
        "contexts",
        "entities",
        "handle",
        "name",
        "parent_types",
        "shapes",
        "text",
    )

    def __init__(self, name: str, text: str) -> None:
        """Parse a schema.

        Raises:
            PolicyErrors: It does not parse, or names a type that is not there.
        """
        self.name = name
        self.text = text
        whole = Statement(name, text, 0, len(text))
        if (deep := too_deep(text)) is not None:
            raise PolicyErrors([whole.finding(TOO_DEEP, deep.start, "too-deep")])
        try:
            self.handle = cedarpy.Schema.from_str(text, release_gil=True)
        except ValueError as exc:
            found = locate(whole, _reason(exc), _refusal)
            raise PolicyErrors([msgspec.structs.replace(found, code="schema")]) from exc
        self.canonical = str(self.handle)
        declared = read_actions(self.canonical)
        self.parent_types = read_parent_types(self.canonical)
        self.entities: Mapping[str, EntityType] = MappingProxyType(read_entities(self.canonical))
        shapes: tuple[Mapping[str, Shape], Mapping[EntityUid, Shape]] = read_shapes(self.canonical)
        self.shapes, self.contexts = shapes
        self.actions: Mapping[EntityUid, ActionType] = MappingProxyType(
            {uid: action for uid, action in declared.items() if action.resource_types}
        )
        self._closures = {uid: _closure(uid, declared) for uid in declared}
        members: defaultdict[EntityUid, list[EntityUid]] = defaultdict(list)
        for uid in self.actions:
            for group in self._closures[uid]:
                members[group].append(uid)
        self._members: Mapping[EntityUid, list[EntityUid]] = members
        self._applications: Mapping[EntityUid, tuple[int, int]] | None = None  # few ask

    def groups(self, action: EntityUid) -> frozenset[EntityUid]:
        """An action and every group it is in, near or far."""
        return self._closures.get(action, frozenset({action}))

    def admitted(self, named: Collection[EntityUid] | None) -> frozenset[EntityUid]:
        """The actions that a policy's scope admits.

        Args:
            named: The actions and groups it names; None where it applies to any.
        """
        if named is None:
            return frozenset(self.actions)
        return frozenset(uid for name in named for uid in self._members.get(name, ()))

    def narrowed(self, actions: Collection[EntityUid]) -> cedarpy.Schema:
        """The schema of the same entities, types and actions, of which only some apply to anything.

        Args:
            actions: Those that keep what they apply to. The others are mere names: known, and never asked for.
        """
        if self._applications is None:
            self._applications = read_applications(self.canonical)
        kept: list[str] = []
        done = 0
        for uid, (start, end) in self._applications.items():
            if uid not in actions:
                kept.append(self.canonical[done:start])
                done = end
        text = "".join([*kept, self.canonical[done:]])
        return cedarpy.Schema.from_str(text, release_gil=True)


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
