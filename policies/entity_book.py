"""A file of entities in Cedar's JSON form in, what questions need of them out. Pure.

The decision API answers about entities that a request only names; who they are, what they are in and what they hold
stands in such a file.
"""

import hashlib
import json
from collections.abc import Container, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final

import cedarpy

from policies.errors import Finding, PolicyErrors
from policies.model import Entity, EntityUid, Json
from policies.schema import Schema
from policies.typed import declared

_NONE: Final = cedarpy.PolicySet.from_str("")
_FOREWORD: Final = "failed to parse entities from:\n"
_KEYS: Final = frozenset({"uid", "attrs", "parents"})


class EntityBook:
    """Entities by name; immutable.

    Attributes:
        entities: By uid.
        version: 16 hex digits of a content hash.
    """

    __slots__ = ("_by_type", "entities", "version")

    def __init__(self, entities: Iterable[Entity] = (), text: str = "") -> None:
        self.entities: Mapping[EntityUid, Entity] = MappingProxyType({entity.uid: entity for entity in entities})
        self.version = hashlib.sha256(text.encode()).hexdigest()[:16]
        by_type: dict[str, list[str]] = {}
        for uid in self.entities:
            by_type.setdefault(uid.type, []).append(uid.id)
        self._by_type = {kind: tuple(sorted(ids)) for kind, ids in by_type.items()}

    def __repr__(self) -> str:
        return f"EntityBook({self.version}: {len(self.entities)} entities)"

    def ids(self, kind: str) -> tuple[str, ...]:
        """The ids of all entities of a type, sorted."""
        return self._by_type.get(kind, ())

    def around(self, roots: Iterable[EntityUid]) -> dict[EntityUid, Entity]:
        """The entities of these names and all they lead to: what they are in, and what their attributes name.

        Names that do not stand in the book lead nowhere.
        """
        found: dict[EntityUid, Entity] = {}
        waiting = list(roots)
        while waiting:
            uid = waiting.pop()
            entity = self.entities.get(uid)
            if entity is not None and uid not in found:
                found[uid] = entity
                waiting.extend(entity.parents)
                waiting.extend(mentioned(entity.attrs))
        return found


def mentioned(value: object) -> Iterator[EntityUid]:
    """The entities that a value names, however deep: `{"type": ..., "id": ...}`, alone or in an `__entity`."""
    waiting = [value]
    while waiting:
        inner = waiting.pop()
        if isinstance(inner, Mapping):
            if inner.keys() == {"type", "id"}:
                kind, name = inner["type"], inner["id"]
                if isinstance(kind, str) and isinstance(name, str):
                    yield EntityUid(kind, name)
            waiting.extend(inner.values())
        elif isinstance(inner, list | tuple):
            waiting.extend(inner)


def read_entities(name: str, text: str, schema: Schema) -> EntityBook:
    """Read a file of entities: `[{"uid": {"type": ..., "id": ...}, "attrs": {...}, "parents": [...]}, ...]`.

    Args:
        name: The file's, for messages.
        text: Its content.
        schema: What every entity must fit.

    Raises:
        PolicyErrors: It is not such a file, or an entity does not fit; the finding names the entity's place in the
            list, from 1.
    """
    try:
        document = json.loads(text, object_pairs_hook=_distinct)
    except RecursionError:
        raise PolicyErrors([Finding(name, 0, 0, "not JSON: too deep")]) from None
    except ValueError as exc:
        raise PolicyErrors([Finding(name, 0, 0, f"not JSON: {str(exc)[:1].lower()}{str(exc)[1:]}")]) from None
    if not isinstance(document, list):
        raise PolicyErrors([Finding(name, 0, 0, "not a list of entities")])
    entities: dict[EntityUid, Entity] = {}
    findings: list[Finding] = []
    for number, entry in enumerate(document, 1):
        try:
            entity = _entity(entry, schema, entities)
            entities[entity.uid] = entity
        except _Misfit as exc:
            findings.append(Finding(name, 0, 0, f"entity {number}: {exc}"))
    if not findings:
        findings = [Finding(name, 0, 0, reason) for reason in _refusals(document, schema)]
    if findings:
        raise PolicyErrors(findings)
    return EntityBook(entities.values(), text)


class _Misfit(Exception):
    """An entry that is no entity of the schema; the message says why."""


def _entity(entry: Any, schema: Schema, before: Container[EntityUid]) -> Entity:
    """One entry as an entity.

    Raises:
        _Misfit: It does not have the form of one, or was there before.
    """
    if not isinstance(entry, dict) or "uid" not in entry:
        raise _Misfit("not an entity with a uid")
    if unknown := sorted(entry.keys() - _KEYS):
        raise _Misfit(f"`{unknown[0]}` is not read here; there are uid, attrs and parents")
    uid = _uid(entry["uid"])
    attrs, parents = entry.get("attrs"), entry.get("parents")
    if uid is None or not isinstance(attrs, dict) or not isinstance(parents, list):
        raise _Misfit('not of the form {"uid": {"type", "id"}, "attrs": {}, "parents": []}')
    above = [_uid(parent) for parent in parents]
    attributes = schema.entities.get(uid.type)
    if attributes is None:
        raise _Misfit(f"the schema declares no entity type `{uid.type}`")
    if unknown := sorted(attrs.keys() - attributes.keys()):
        raise _Misfit(f"`{uid.type}` has no attribute `{unknown[0]}`")
    if uid in before:
        raise _Misfit(f'{uid.type}::"{uid.id}" a second time')
    if None in above:
        raise _Misfit('a parent is not of the form {"type", "id"}')
    return Entity(uid, declared(attrs, attributes), tuple(parent for parent in above if parent is not None))


def _uid(value: Any) -> EntityUid | None:
    """A uid in either of Cedar's two JSON forms."""
    inner = value.get("__entity", value) if isinstance(value, dict) else None
    match inner:
        case {"type": str(kind), "id": str(name)}:
            return EntityUid(kind, name)
        case _:
            return None


def _refusals(document: list[Any], schema: Schema) -> list[str]:
    """What Cedar has against entities: asked for all of them, and one by one where it has something."""
    probe = _Probe(schema)
    whole = probe.refusal(document)
    if whole is None:
        return []
    single = [(number, probe.refusal([entry])) for number, entry in enumerate(document, 1)]
    # What only the whole shows is, for example, a circle of parents.
    return [f"entity {number}: {reason}" for number, reason in single if reason is not None] or [whole]


class _Probe:
    """Cedar's own opinion of entities. Reading them tells that they do not fit; asking with them tells why."""

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._request: dict[str, Json] | None = None
        for uid, action in schema.actions.items():
            if action.principal_types:
                self._request = {
                    "principal": {"type": action.principal_types[0], "id": "probe"},
                    "action": {"type": uid.type, "id": uid.id},
                    "resource": {"type": action.resource_types[0], "id": "probe"},
                    "context": "{}",
                }
                break

    def refusal(self, entries: list[Any]) -> str | None:
        """Why Cedar does not take them, or None."""
        text = json.dumps(entries)
        try:
            # Getting the GIL back takes up to 5 ms: worth it for many, not for one of many.
            cedarpy.Entities.from_json_str(text, self._schema.handle, release_gil=len(entries) > 1)
        except ValueError as exc:
            return self._details(text) or str(exc)
        return None

    def _details(self, text: str) -> str | None:
        if self._request is None:
            return None
        result = cedarpy.is_authorized(self._request, _NONE, text, self._schema.handle)
        said = [error for error in result.diagnostics.errors if error.startswith(_FOREWORD)]
        return said[0].removeprefix(_FOREWORD).removeprefix(text).removeprefix(": ") if said else None


def _distinct(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a member twice")
    return found
