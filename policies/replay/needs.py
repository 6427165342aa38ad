"""The policies of an action in, what of a question has to be known to evaluate them out; and whether a record has it.

`policies.reach` says what can matter and may say more; this says from where it is taken, to tell an attribute that was
absent from one that was never recorded. A record holds the principal and the resource with their attributes and all
their parents, and the context; of any other entity it holds the name at most. Pure.
"""

from collections.abc import Iterable, Mapping
from typing import Final, TypeAlias

import msgspec

from policies.bundle import Bundle
from policies.model import Entity, EntityUid, Json, Question
from policies.reach import literal_types

Path: TypeAlias = tuple[str, ...]
"""`("resource", "owner", "team")`."""

_ROOTS: Final = ("principal", "resource", "context")
_CONTEXT: Final = "context"
_ACTION: Final = "action"
_TAGS: Final = frozenset({"hasTag", "getTag"})


class Needs(msgspec.Struct, frozen=True):
    """What the policies of one action look at.

    Attributes:
        attributes: Paths of the attributes that are read or asked for.
        parents: Paths of the entities whose parents are asked for, with the types of those parents; None for any.
        whole_context: Whether the context is used as a value.
        unfollowed: Whether something is read that no path leads to.
    """

    attributes: frozenset[Path] = frozenset()
    parents: frozenset[tuple[Path, frozenset[str] | None]] = frozenset()
    whole_context: bool = False
    unfollowed: bool = False

    @property
    def near(self) -> bool:
        """Whether nothing lies behind an attribute: then a record of the same schema always has it."""
        return (
            not self.unfollowed
            and all(len(path) <= 2 for path in self.attributes)  # noqa: PLR2004 - the variable and one attribute
            and all(len(path) == 1 for path, _ in self.parents)
        )


def needs(bundle: Bundle, action: EntityUid) -> Needs:
    """Say what the policies of an action look at."""
    found = _Found()
    for policy in bundle.slice(action):
        for variable in ("principal", "resource"):
            found.scope(variable, policy.tree[variable])
        conditions = policy.tree["conditions"]
        for condition in conditions if isinstance(conditions, list) else ():
            found.expression(condition["body"] if isinstance(condition, dict) else condition)
    return Needs(
        frozenset(found.attributes), frozenset(found.parents), found.whole_context, unfollowed=found.unfollowed
    )


def unrecorded(
    wanted: Needs, question: Question, *, same_schema: bool, absent: frozenset[str], declared: frozenset[str]
) -> str | None:
    """Say what is looked at and was not recorded.

    Args:
        wanted: Of the question's action.
        question: As recorded.
        same_schema: Whether it was recorded under the schema of the policies: then what is absent was absent.
        absent: Context attributes that the schema of then declared: absent in the record is absent.
        declared: Context attributes that the schema of the policies declares: there are no others.

    Returns:
        The first thing, in words; None where all is there.
    """
    if wanted.unfollowed:
        return "a policy reads what cannot be followed to the record"
    record = _Record(question, same_schema=same_schema, absent=absent, declared=declared)
    for path in sorted(wanted.attributes):
        if (reason := record.attribute(path)) is not None:
            return reason
    for path, types in sorted(wanted.parents, key=lambda item: item[0]):
        if (reason := record.parents(path, types)) is not None:
            return reason
    if wanted.whole_context and not same_schema:
        for name in sorted(declared):
            if (reason := record.attribute((_CONTEXT, name))) is not None:
                return reason
    return None


class _Record:
    """A recorded question, looked into."""

    def __init__(
        self, question: Question, *, same_schema: bool, absent: frozenset[str], declared: frozenset[str]
    ) -> None:
        self._question = question
        self._entities = {entity.uid: entity for entity in question.entities}
        self._same = same_schema
        self._absent = absent
        self._declared = declared

    def attribute(self, path: Path) -> str | None:
        """What is wrong with reading this; None where it is there, or was absent."""
        return self._follow(path)[1]

    def parents(self, path: Path, types: frozenset[str] | None) -> str | None:
        """What is wrong with asking for the parents of this."""
        entity = self._root(path[0])
        if len(path) > 1:
            value, reason = self._follow(path)
            if reason is not None or value is None:
                return reason
            uid = _reference(value)
            if uid is None:
                return None  # not an entity: what Cedar makes of it does not depend on parents
            entity = self._entities.get(uid)
        if entity is None:
            return f"the parents of {'.'.join(path)} were not recorded"
        if self._same:
            return None
        there = {entity.uid.type, *(parent.type for parent in entity.parents)}
        missing = sorted(types - there) if types is not None else [] if entity.parents else ["any type"]
        return f"whether {'.'.join(path)} is in a {missing[0]} was not recorded" if missing else None

    def _root(self, name: str) -> Entity | None:
        uid = self._question.principal if name == "principal" else self._question.resource
        return self._entities.get(uid)

    def _follow(self, path: Path) -> tuple[Json, str | None]:
        """The value at the end of a path (None where there is none), or why it is not known."""
        node: Json
        if path[0] == _CONTEXT:
            node = dict(self._question.context)
        else:
            root = self._root(path[0])
            node = dict(root.attrs) if root is not None else {}
        for depth, name in enumerate(path[1:], 1):
            uid = _reference(node)
            if uid is not None:
                entity = self._entities.get(uid)
                if entity is None:
                    return None, f"{'.'.join(path[:depth])} is another entity, whose attributes were not recorded"
                node = dict(entity.attrs)
            if not isinstance(node, dict):
                return None, None
            if name not in node:
                known = self._same or (
                    path[0] == _CONTEXT and depth == 1 and (name in self._absent or name not in self._declared)
                )
                return None, None if known else f"{'.'.join(path[: depth + 1])} was not recorded"
            node = node[name]
        return node, None


class _Found:
    """Collects while it goes through the trees (Cedar's JSON form of policies)."""

    def __init__(self) -> None:
        self.attributes: set[Path] = set()
        self.parents: set[tuple[Path, frozenset[str] | None]] = set()
        self.whole_context = False
        self.unfollowed = False

    def scope(self, variable: str, scope: Json) -> None:
        """`principal in Role::"x"` and `principal is User in Group::"y"`."""
        match scope:
            case {"op": "in", "entity": {"type": str(kind)}} | {"op": "is", "in": {"entity": {"type": str(kind)}}}:
                self.parents.add(((variable,), frozenset({kind})))
            case {"op": "All" | "==" | "is"}:
                pass
            case _:
                self.unfollowed = True

    def expression(self, node: Json) -> None:
        """Go through an expression: a record with the operator as its only key."""
        if not isinstance(node, dict) or len(node) != 1:
            self.unfollowed = True
            return
        ((operator, operand),) = node.items()
        match operator, operand:
            case "Value", _:
                pass
            case "Var", name:
                self.whole_context |= name == _CONTEXT
            case (("." | "has"), {"left": left, "attr": str(name)}):
                self._attribute(left, name)
            case ("in", {"left": left, "right": right}) | ("is", {"left": left, "in": right}):
                self._membership(left, right)
            case "is", {"left": left}:
                self._operand(left)
            case "like", {"left": left}:
                self.expression(left)
            case _ if operator in _TAGS:
                self.unfollowed = True
            case _:
                for member in _members(operand):
                    self.expression(member)

    def _operand(self, node: Json) -> None:
        """What is used as an entity: the name is enough, which is always there."""
        path = _path(node)
        if path is None or len(path) > 1:
            self.expression(node)

    def _attribute(self, left: Json, name: str) -> None:
        path = _path(left)
        if path is None:
            self.unfollowed = True
        elif path[0] in _ROOTS:
            self.attributes.add((*path, name))

    def _membership(self, left: Json, right: Json) -> None:
        path = _path(left)
        if path is None:
            self.unfollowed = True
        elif path[0] != _ACTION:
            self.parents.add((path, literal_types(right)))
            self._operand(left)
        if literal_types(right) is None:
            self.expression(right)


def _path(node: Json) -> Path | None:
    """`principal`, `context.a.b`; None for what is computed."""
    match node:
        case {"Var": str(name)}:
            return (name,)
        case {".": {"left": left, "attr": str(name)}}:
            before = _path(left)
            return None if before is None else (*before, name)
        case _:
            return None


def _reference(value: Json) -> EntityUid | None:
    """The entity that a value names, in either of Cedar's two spellings."""
    match value:
        case {"__entity": {"type": str(kind), "id": str(name)}}:
            return EntityUid(kind, name)
        case {"type": str(kind), "id": str(name), **rest} if not rest:
            return EntityUid(kind, name)
        case _:
            return None


def _members(operand: Json) -> Iterable[Json]:
    if isinstance(operand, Mapping):
        return operand.values()
    return operand if isinstance(operand, list) else [operand]
