"""The canonical text of a Cedar schema in, what it says about each action out. Pure.

Cedar's Python library parses and enforces a schema but tells nothing about it, except by printing it in one form
(`str(cedarpy.Schema)`). That form is read here; it is well-formed by construction, so nothing is checked twice.
Only `policies.schema` uses this.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import TypeAlias

import msgspec

from policies.lexer import tokens, unquoted
from policies.model import EntityUid


class ContextAttribute(msgspec.Struct, frozen=True, gc=False):
    """One attribute of an action's context, or of an entity.

    Attributes:
        type: `String`, `Long`, `Boolean`, `Set`, `Record`, an extension (`datetime`, `decimal`, `duration`, `ipaddr`)
            or the name of an entity type.
        required: Whether a request without it is refused.
    """

    type: str
    required: bool = True


EntityType: TypeAlias = Mapping[str, ContextAttribute]
"""The attributes of an entity type, by name."""


class ActionType(msgspec.Struct, frozen=True):
    """What an action applies to; a mere group applies to nothing.

    Attributes:
        principal_types: Sorted.
        resource_types: Sorted.
        context: Attributes by name.
        groups: The action groups it is directly in.
    """

    principal_types: tuple[str, ...] = ()
    resource_types: tuple[str, ...] = ()
    context: Mapping[str, ContextAttribute] = MappingProxyType({})
    groups: tuple[EntityUid, ...] = ()


_Record: TypeAlias = "dict[str, tuple[_Type, bool]]"
"""Attribute name to its type and whether it is required."""
_Type: TypeAlias = "str | _Record"
"""A type as written: a name, or a record. Of a set only the name `Set` is kept."""


Shape: TypeAlias = "str | Mapping[str, Shape]"
"""What an attribute holds, common types followed: a record's attributes, or the name of any other type. `Set` is all
that is said of a set."""


class _Action(msgspec.Struct, frozen=True):
    """An action as declared: `context` may be the name of a common type declared further down."""

    namespace: str
    groups: tuple[EntityUid, ...]
    principals: tuple[str, ...]
    resources: tuple[str, ...]
    context: _Type


def read_actions(canonical: str) -> dict[EntityUid, ActionType]:
    """Every action a schema declares, groups included.

    Args:
        canonical: What `str()` makes of a `cedarpy.Schema`.

    Returns:
        By uid, which carries the namespace: `EntityUid("Retail::Action", "sell")`.
    """
    reader = _Reader(canonical)
    reader.read()
    return {
        uid: ActionType(
            principal_types=tuple(sorted(reader.entity(name, action.namespace) for name in action.principals)),
            resource_types=tuple(sorted(reader.entity(name, action.namespace) for name in action.resources)),
            context=MappingProxyType(reader.context(action)),
            groups=tuple(reader.group(uid, action.namespace) for uid in action.groups),
        )
        for uid, action in reader.actions.items()
    }


def read_parent_types(canonical: str) -> frozenset[str]:
    """Every entity type that another entity may be in.

    Args:
        canonical: What `str()` makes of a `cedarpy.Schema`.
    """
    reader = _Reader(canonical)
    reader.read()
    return frozenset(reader.entity(name, namespace) for name, namespace in reader.parents)


def read_entities(canonical: str) -> dict[str, EntityType]:
    """Every entity type a schema declares, with its attributes, by its full name.

    Args:
        canonical: As for `read_actions`.
    """
    reader = _Reader(canonical)
    reader.read()
    return {name: MappingProxyType(reader.attributes(name)) for name in reader.entities}


def read_shapes(canonical: str) -> tuple[dict[str, Shape], dict[EntityUid, Shape]]:
    """What entities and contexts hold, to any depth.

    Args:
        canonical: As for `read_actions`.

    Returns:
        A record for each entity type, by full name, and for each action's context, by uid.
    """
    reader = _Reader(canonical)
    reader.read()
    entities = {name: reader.shape(*record) for name, record in reader.entities.items()}
    return entities, {uid: reader.shape(action.context, action.namespace) for uid, action in reader.actions.items()}


def read_applications(canonical: str) -> dict[EntityUid, tuple[int, int]]:
    """Where the text says what an action applies to: from `appliesTo` to before its `;`.

    Args:
        canonical: As for `read_actions`.

    Returns:
        Start and end in characters, by uid, in the order of the text; an action that applies to nothing is not there.
    """
    reader = _Reader(canonical)
    reader.read()
    return reader.applications


class _Reader:
    """Goes through the words once, declaration by declaration."""

    def __init__(self, text: str) -> None:
        self._spans = list(tokens(text))
        self._words = [text[token.start : token.end] for token in self._spans]
        self._at = 0
        self._namespace = ""
        self.entities: dict[str, tuple[_Record, str]] = {}
        self._types: dict[str, _Type] = {}
        self.actions: dict[EntityUid, _Action] = {}
        self.applications: dict[EntityUid, tuple[int, int]] = {}
        self.parents: list[tuple[str, str]] = []

    def read(self) -> None:
        while self._at < len(self._words):
            match self._next():
                case "namespace":
                    self._namespace = self._name()
                    self._next()  # {
                case "}":
                    self._namespace = ""
                case "@":
                    self._next()  # the annotation's name
                    if self._drop("("):
                        self._at += 2  # its value and )
                case "type":
                    name = self._qualified(self._name())
                    self._next()  # =
                    self._types[name] = self._type()
                    self._next()  # ;
                case "action":
                    self._action()
                case _:  # an entity type
                    self._entity()

    def entity(self, name: str, namespace: str) -> str:
        """The full name of an entity type: of the namespace it is written in, if there is one of this name."""
        local = f"{namespace}::{name}"
        return local if local in self.entities else name

    def group(self, uid: EntityUid, namespace: str) -> EntityUid:
        """The full uid of an action group, likewise."""
        local = EntityUid(f"{namespace}::{uid.type}", uid.id)
        return local if local in self.actions else uid

    def context(self, action: _Action) -> dict[str, ContextAttribute]:
        written = self._resolved(action.context, action.namespace)
        return {} if isinstance(written, str) else self._attributes(written, action.namespace)

    def attributes(self, entity: str) -> dict[str, ContextAttribute]:
        """Of an entity type, by its full name."""
        return self._attributes(*self.entities[entity])

    def _attributes(self, record: _Record, namespace: str) -> dict[str, ContextAttribute]:
        return {
            name: ContextAttribute(self._plain(kind, namespace), required) for name, (kind, required) in record.items()
        }

    def shape(self, kind: _Type, namespace: str) -> Shape:
        resolved = self._resolved(kind, namespace)
        if isinstance(resolved, str):
            return self._plain(resolved, namespace)
        return {name: self.shape(inner, namespace) for name, (inner, _) in resolved.items()}

    def _entity(self) -> None:
        """A declaration behind the word `entity`: the ids of an enumeration and tags are passed over."""
        name = self._qualified(self._next())
        record: _Record = {}
        while (word := self._next()) != ";":
            if word == "in":
                self.parents += ((parent, self._namespace) for parent in self._names())
            elif word == "=":
                self._next()  # {
                record = self._record()
        self.entities[name] = (record, self._namespace)

    def _action(self) -> None:
        uid = EntityUid(self._qualified("Action"), unquoted(self._next()))
        groups: tuple[EntityUid, ...] = ()
        applies: dict[str, tuple[str, ...]] = {}
        start: int | None = None
        context: _Type = {}
        while (word := self._next()) != ";":
            if word == "in":
                groups = self._groups()
            elif word == "appliesTo":
                start = self._spans[self._at - 1].start
            elif word == "context":
                self._next()  # :
                context = self._type()
            elif word in {"principal", "resource"}:
                self._next()  # :
                applies[word] = self._names()
        if start is not None:
            self.applications[uid] = start, self._spans[self._at - 1].start
        principals, resources = applies.get("principal", ()), applies.get("resource", ())
        self.actions[uid] = _Action(self._namespace, groups, principals, resources, context)

    def _groups(self) -> tuple[EntityUid, ...]:
        groups = []
        self._next()  # [
        while not self._drop("]"):
            path = [self._next()]
            while self._drop("::"):
                path.append(self._next())
            groups.append(EntityUid("::".join(path[:-1]), unquoted(path[-1])))
            self._drop(",")
        return tuple(groups)

    def _names(self) -> tuple[str, ...]:
        names = []
        self._next()  # [
        while not self._drop("]"):
            names.append(self._name())
            self._drop(",")
        return tuple(names)

    def _type(self) -> _Type:
        if self._drop("{"):
            return self._record()
        name = self._name()
        if self._drop("<"):
            self._type()
            self._next()  # >
        return name

    def _record(self) -> _Record:
        attributes: _Record = {}
        while not self._drop("}"):
            while self._drop("@"):
                self._next()
                if self._drop("("):
                    self._at += 2
            name = unquoted(self._next())
            required = not self._drop("?")
            self._next()  # :
            attributes[name] = (self._type(), required)
            self._drop(",")
        return attributes

    def _resolved(self, kind: _Type, namespace: str) -> _Type:
        """A type with common types followed to what they stand for: in its own namespace first, as Cedar does."""
        while isinstance(kind, str):
            local = f"{namespace}::{kind}"
            found = self._types.get(local, self._types.get(kind))
            if found is None:
                break
            kind = found
        return kind

    def _plain(self, kind: _Type, namespace: str) -> str:
        resolved = self._resolved(kind, namespace)
        if not isinstance(resolved, str):
            return "Record"
        name = self.entity(resolved.removeprefix("__cedar::"), namespace)
        return "Boolean" if name == "Bool" else name

    def _qualified(self, name: str) -> str:
        return f"{self._namespace}::{name}" if self._namespace else name

    def _name(self) -> str:
        name = self._next()
        while self._drop("::"):
            name += "::" + self._next()
        return name

    def _next(self) -> str:
        word = self._words[self._at]
        self._at += 1
        return word

    def _drop(self, word: str) -> bool:
        """Pass over a word if it stands here."""
        if self._at >= len(self._words) or self._words[self._at] != word:
            return False
        self._at += 1
        return True
