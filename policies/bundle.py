"""Policies and schema that belong together, checked and frozen.

Made by `policies.load`; `policies.engine` decides with it, `gateway` and the command line read it.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Final

import msgspec

from policies.errors import UnknownAction
from policies.model import Effect, EntityUid, Json
from policies.schema import Schema
from policies.schema_reader import ActionType, ContextAttribute

_VERSION_DIGITS: Final = 16


class Policy(msgspec.Struct, frozen=True):
    """One policy.

    Attributes:
        id: `<file stem>.<@id>`.
        effect: What it says when it applies.
        reason: Its `@reason`.
        file: The file it is in.
        line: Its first line there.
        text: As written.
        tree: Cedar's JSON form of it, for whoever analyses policies.
        column: Where it starts in its first line, from 1.
    """

    id: str
    effect: Effect
    reason: str
    file: str
    line: int
    text: str
    tree: Mapping[str, Json]
    column: int = 1

    @property
    def scope_actions(self) -> frozenset[EntityUid] | None:
        """The actions and action groups its scope names; None where it applies to any."""
        scope = self.tree["action"]
        if not isinstance(scope, dict):
            raise TypeError("a policy's action scope is a record")
        one, many = scope.get("entity"), scope.get("entities")
        named = many if isinstance(many, list) else [one] if one is not None else None
        return None if named is None else frozenset(_uids(named))

    @property
    def roles(self) -> frozenset[str]:
        """The ids of the roles it names, in its scope or in a condition."""
        return frozenset(uid.id for uid in _uids(nodes(dict(self.tree))) if uid.type == "Role")


class Bundle:
    """A set of policies, the schema they fit, and what can be known about both without a question.

    Attributes:
        policies: By id, sorted.
        schema: The schema, parsed.
        version: Of policies and schema: 16 hex digits of a content hash.
        schema_version: Of the schema alone, in the same form.
        actions: The ids of all actions, sorted.
        roles: The ids of all roles the policies name.
    """

    __slots__ = ("_by_scope", "actions", "policies", "roles", "schema", "schema_version", "version")

    def __init__(self, policies: Iterable[Policy], schema: Schema) -> None:
        self.policies: Mapping[str, Policy] = MappingProxyType({p.id: p for p in sorted(policies, key=lambda p: p.id)})
        self.schema = schema
        self.schema_version = _digest([("schema", schema.text)])
        self.version = _digest([("schema", schema.text), *((p.id, p.text) for p in self.policies.values())])
        self.actions = tuple(sorted(uid.id for uid in schema.actions if uid.type == "Action"))
        self._by_scope: defaultdict[EntityUid | None, list[str]] = defaultdict(list)
        for policy in self.policies.values():
            named = policy.scope_actions
            for name in (None,) if named is None else named:
                self._by_scope[name].append(policy.id)
        self.roles: frozenset[str] = frozenset().union(*(p.roles for p in self.policies.values()))

    def __repr__(self) -> str:
        return f"Bundle({self.version}: {len(self.policies)} policies, {len(self.actions)} actions)"

    def context_type(self, action: str) -> Mapping[str, ContextAttribute]:
        """The attributes of an action's context, by name.

        Raises:
            UnknownAction: The schema does not declare it.
        """
        return self._type(action).context

    def resource_types(self, action: str) -> tuple[str, ...]:
        """The types of resource an action can be asked for, sorted.

        Raises:
            UnknownAction: The schema does not declare it.
        """
        return self._type(action).resource_types

    def slice(self, action: EntityUid) -> tuple[Policy, ...]:
        """The policies whose scope admits an action: those that can have a say in it, sorted by id."""
        names = (None, *self.schema.groups(action))
        found = {policy_id for name in names for policy_id in self._by_scope.get(name, ())}
        return tuple(self.policies[policy_id] for policy_id in sorted(found))

    def _type(self, action: str) -> ActionType:
        found = self.schema.actions.get(EntityUid("Action", action))
        if found is None:
            raise UnknownAction(action)
        return found


def _digest(parts: Iterable[tuple[str, str]]) -> str:
    """Of named texts; lengths keep two lists apart that would join to the same text."""
    digest = hashlib.sha256()
    for name, text in parts:
        for value in (name.encode(), text.encode()):
            digest.update(len(value).to_bytes(8, "big"))
            digest.update(value)
    return digest.hexdigest()[:_VERSION_DIGITS]


def nodes(value: Json) -> Iterator[Json]:
    """Every value inside a JSON value, itself included."""
    yield value
    if isinstance(value, dict):
        for inner in value.values():
            yield from nodes(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from nodes(inner)


def _uids(nodes: Iterable[Json]) -> Iterator[EntityUid]:
    """Those of the values that name an entity: `{"type": ..., "id": ...}`."""
    for node in nodes:
        if isinstance(node, dict) and node.keys() == {"type", "id"}:
            kind, name = node["type"], node["id"]
            if isinstance(kind, str) and isinstance(name, str):
                yield EntityUid(kind, name)
