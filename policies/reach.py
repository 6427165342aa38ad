"""The parsed policies of an action in, what of a question they can read out. Pure.

`policies.memo` builds on it: two questions that differ only in what no policy can read have the same answer. So where
this is in doubt it says that everything is read; a mistake to that side costs memory, to the other a wrong decision.

The parents of principal and resource, the types of both and every further entity are not looked at here: the memo
takes them as read, always. Their ids are: whatever else names an entity (a literal, an attribute, a parent) may name
the principal or the resource, and what is then read of it is theirs.
"""

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from policies.bundle import Bundle
from policies.model import EntityUid, Json

CLOCK: Final = "now"
"""The context's attribute for the time of the request; what depends on it is not worth remembering."""

_ENTITIES: Final = ("principal", "resource")
_VARIABLES: Final = (*_ENTITIES, "context")


class Read(msgspec.Struct, frozen=True):
    """What can be read of one of principal, resource and context.

    Attributes:
        whole: Everything.
        identity: The id.
        attributes: Attributes by name.
    """

    whole: bool = False
    identity: bool = False
    attributes: frozenset[str] = frozenset()

    def reads(self, attribute: str) -> bool:
        """Whether the value of an attribute can matter."""
        return self.whole or attribute in self.attributes


class Reach(msgspec.Struct, frozen=True):
    """What the policies of one action can read of a question."""

    principal: Read
    resource: Read
    context: Read

    @property
    def reads_time(self) -> bool:
        """Whether the same question can have another answer a moment later."""
        return self.context.reads(CLOCK)


def reach(bundle: Bundle, action: EntityUid) -> Reach:
    """Say what can be read when an action is decided.

    Args:
        bundle: The policies; those whose scope admits the action are looked at, all others are never asked.
        action: Of the schema.
    """
    applies = bundle.schema.actions[action]
    types = {"principal": frozenset(applies.principal_types), "resource": frozenset(applies.resource_types)}
    found = _Found(types, bundle.schema.parent_types)
    for policy in bundle.slice(action):
        for variable in _ENTITIES:
            found.scope(variable, policy.tree[variable])
        conditions = policy.tree["conditions"]
        for condition in conditions if isinstance(conditions, list) else ():
            found.expression(condition["body"] if isinstance(condition, dict) else condition)
    return Reach(*(found.read(variable) for variable in _VARIABLES))


class _Found:
    """Collects while it goes through the trees (Cedar's JSON form of policies, docs: policies/json-format)."""

    def __init__(self, types: Mapping[str, frozenset[str]], parent_types: frozenset[str]) -> None:
        self._types = types
        # Who can stand between an entity and what it is in: there it is known by its id.
        self._between = [variable for variable in _ENTITIES if not parent_types.isdisjoint(types[variable])]
        self._whole: set[str] = set()
        self._identity: set[str] = set()
        self._attributes: set[tuple[str, str]] = set()

    def read(self, variable: str) -> Read:
        if variable in self._whole:
            return Read(whole=True)
        names = frozenset(name for of, name in self._attributes if of == variable)
        return Read(identity=variable in self._identity, attributes=names)

    def scope(self, variable: str, scope: Json) -> None:
        """`principal in Role::"x"` reads parents; `principal == User::"x"` reads who it is, and so may `in`."""
        if isinstance(scope, dict) and ("in" in scope or scope.get("op") == "in"):
            self._identity.update(self._between)
        for node in _dicts(scope):
            if {"type", "id"} <= node.keys() and node["type"] in self._types[variable]:
                self._identity.add(variable)
        if isinstance(scope, dict) and ("slot" in scope or scope.get("op") not in {"All", "==", "in", "is"}):
            self._whole.add(variable)

    def expression(self, node: Json) -> None:
        """Go through an expression: a record with the operator as its only key."""
        if not isinstance(node, dict) or len(node) != 1:
            self._everything()
            return
        ((operator, operand),) = node.items()
        match operator:
            case "Value":
                pass
            case "Var":
                self._whole.add(str(operand))
            case "." | "has":
                self._attribute(operand)
            case "==" | "!=":
                self._comparison(operand)
            case "in" | "is":
                self._membership(operand)
            case "like":
                self.expression(operand.get("left") if isinstance(operand, dict) else operand)
            case "hasTag" | "getTag":
                self._everything()
            case _:  # a record's fields, a set's members, an operator's or a function's operands
                for member in _members(operand):
                    self.expression(member)

    def _attribute(self, operand: Json) -> None:
        """`x.a` and `x has a`; where x is itself an attribute it may be the principal by another name."""
        match operand:
            case {"left": {"Var": str(variable)}, "attr": str(attribute)}:
                self._attributes.add((variable, attribute))
            case _:
                self._everything()

    def _comparison(self, operand: Json) -> None:
        """Two entities are equal when their ids are: nothing else of them is read."""
        for side in _members(operand):
            match side:
                case {"Var": ("principal" | "resource") as variable}:
                    self._identity.add(str(variable))
                case _:
                    self.expression(side)

    def _membership(self, operand: Json) -> None:
        """`x in y`, `x is T` and `x is T in y` read the parents of x, and its id where y may be x itself.

        An x that is named otherwise may be the principal or the resource: whose parents are read hangs on their ids.
        """
        if isinstance(operand, dict) and "entity_type" in operand and "in" not in operand:
            if not _is_variable(operand.get("left")):
                self.expression(operand.get("left"))
            return
        match operand:
            case {"left": {"Var": "action"}}:
                pass  # an action's groups are the schema's
            case _:
                self._identity.update(self._between)
        match operand:
            case {"left": {"Var": str(variable)}, "right": right} | {"left": {"Var": str(variable)}, "in": right}:
                types = literal_types(right)
                if types is None:
                    self._identity.add(variable)
                    self.expression(right)
                elif not types.isdisjoint(self._types.get(variable, frozenset())):
                    self._identity.add(variable)
            case {"left": left, "right": right} | {"left": left, "in": right}:
                self._identity.update(_ENTITIES)
                self.expression(left)
                self.expression(right)
            case _:
                self._everything()

    def _everything(self) -> None:
        self._whole.update(_VARIABLES)


def _is_variable(node: Json) -> bool:
    """Whether an expression is a variable by itself: asking for its type reads nothing else of it."""
    return isinstance(node, dict) and node.keys() == {"Var"}


def literal_types(node: Json) -> frozenset[str] | None:
    """The types of the entities that a node names, if it is nothing but the name of one or a set of names."""
    match node:
        case {"Value": {"__entity": {"type": str(kind)}}}:
            return frozenset({kind})
        case {"Set": list(members)}:
            types = [literal_types(member) for member in members]
            known = [each for each in types if each is not None]
            return frozenset().union(*known) if len(known) == len(types) else None
        case _:
            return None


def _members(operand: Json) -> Iterable[Json]:
    """The expressions that an operator, a function, a set or a record is made of."""
    if isinstance(operand, dict):
        return operand.values()
    return operand if isinstance(operand, list) else [operand]


def _dicts(value: Json) -> Iterable[dict[str, Json]]:
    """Every record inside a JSON value, itself included."""
    if isinstance(value, dict):
        yield value
        for inner in value.values():
            yield from _dicts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _dicts(inner)
