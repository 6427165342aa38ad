"""Keys out of a table's mapping, each of the type it must have and none left over. Pure."""

import difflib
from collections.abc import Collection, Iterable, Mapping
from typing import Final, NoReturn

from policies.model import Effect, Entity, EntityUid, Json
from roles.tables.case import TaggedEntity
from roles.tables.document import Node, Refused

_ENTITY_KEYS: Final = ("uid", "attrs", "parents", "tags")
_KINDS: Final = {int: "a number", str: "a text", list: "a list", dict: "a mapping"}
_LISTED: Final = 20
"""How many names a message lists: all roles and keys, not all actions."""


class Fields:
    """A mapping of a table, read key by key.

    Args of every reader are the key; what is missing or of another type is `Refused` with its place.
    """

    __slots__ = ("_members", "_node", "_what", "file")

    def __init__(self, file: str, node: Node, what: str, known: Collection[str]) -> None:
        """Check the shape.

        Args:
            file: For messages.
            node: What is to be a mapping.
            what: What it is, for messages: `a case`.
            known: The keys it may have.

        Raises:
            Refused: It is not a mapping, or has another key.
        """
        self.file = file
        self._node = node
        self._what = what
        if not isinstance(node.value, dict):
            raise Refused(file, node, f"{what} is a mapping, here it is {kind(node)}")
        self._members: Mapping[str, Node] = node.value
        for key, value in self._members.items():
            if key not in known:
                line, column = value.key or (value.line, value.column)
                raise Refused(file, Node(None, line, column), f"{what} has no key `{key}`{nearest(key, known)}")

    def __contains__(self, key: str) -> bool:
        return key in self._members

    def refuse(self, key: str, reason: str) -> NoReturn:
        """Say what is wrong with a key's value, or with the whole where the key is not there."""
        raise Refused(self.file, self._members.get(key, self._node), reason)

    def node(self, key: str) -> Node:
        """The value, whatever it is."""
        found = self._members.get(key)
        if found is None:
            raise Refused(self.file, self._node, f"{self._what} needs `{key}`")
        return found

    def text(self, key: str, default: str | None = None) -> str:
        """A text that is not empty."""
        if key not in self and default is not None:
            return default
        value = self.node(key).value
        if not isinstance(value, str) or not value:
            self.refuse(key, f"`{key}` is a text, here it is {kind(self.node(key))}")
        return value

    def optional_text(self, key: str) -> str | None:
        """A text, or None where the key is missing."""
        return self.text(key) if key in self else None

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts, each once."""
        found = []
        for node in self.nodes(key):
            if not isinstance(node.value, str) or not node.value:
                raise Refused(self.file, node, f"`{key}` is a list of texts, one of them is {kind(node)}")
            if node.value in found:
                raise Refused(self.file, node, f"`{node.value}` stands twice in `{key}`")
            found.append(node.value)
        return tuple(found)

    def nodes(self, key: str) -> list[Node]:
        """The elements of a list; none where the key is missing."""
        if key not in self:
            return []
        value = self.node(key).value
        if not isinstance(value, list):
            self.refuse(key, f"`{key}` is a list, here it is {kind(self.node(key))}")
        return value

    def members(self, key: str) -> Mapping[str, Node]:
        """A mapping's values by key; none where the key is missing."""
        if key not in self:
            return {}
        value = self.node(key).value
        if not isinstance(value, dict):
            self.refuse(key, f"`{key}` is a mapping, here it is {kind(self.node(key))}")
        return value

    def json(self, key: str) -> dict[str, Json]:
        """A mapping of plain values, without nulls: Cedar has none."""
        found = self.members(key)
        for node in found.values():
            _refuse_nulls(self.file, node)
        return {name: node.plain for name, node in found.items()}

    def effect(self, key: str) -> Effect:
        """`allow` or `deny`."""
        return effect(self.file, self.node(key), key)


def effect(file: str, node: Node, key: str) -> Effect:
    """`allow` or `deny`, exactly so.

    Raises:
        Refused: Anything else.
    """
    if not isinstance(node.value, str) or node.value not in set(Effect):
        said = f"`{node.value}`" if isinstance(node.value, str) else kind(node)
        raise Refused(file, node, f"`{key}` is allow or deny, not {said}")
    return Effect(node.value)


def entity(file: str, node: Node) -> Entity:
    """An entity in Cedar's JSON form.

    Raises:
        Refused: It is not one.
    """
    fields = Fields(file, node, "an entity", _ENTITY_KEYS)
    name, attrs = uid(file, fields.node("uid")), fields.json("attrs")
    parents = tuple(uid(file, parent) for parent in fields.nodes("parents"))
    tags = fields.json("tags")
    return TaggedEntity(name, attrs, parents, tags=tags) if tags else Entity(name, attrs, parents)


def entities(file: str, nodes: Iterable[Node]) -> tuple[Entity, ...]:
    """Entities, each once.

    Raises:
        Refused: Something else, or one twice.
    """
    found: dict[EntityUid, Entity] = {}
    for node in nodes:
        one = entity(file, node)
        if one.uid in found:
            raise Refused(file, node, f'the entity `{one.uid.type}::"{one.uid.id}"` is there twice')
        found[one.uid] = one
    return tuple(found.values())


def uid(file: str, node: Node) -> EntityUid:
    """The name of an entity: `{type, id}`, or that under `__entity` as Cedar's files have it.

    Raises:
        Refused: It is neither.
    """
    if isinstance(node.value, dict) and node.value.keys() == {"__entity"}:
        node = node.value["__entity"]
    fields = Fields(file, node, "an entity's name", ("type", "id"))
    return EntityUid(fields.text("type"), fields.text("id"))


def kind(node: Node) -> str:
    """What a value is, for messages."""
    value = node.value
    if value is None or value == "":
        return "empty"
    if isinstance(value, bool):
        return "true" if value else "false"
    return _KINDS[type(value)]


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint at what was meant, as the end of a message."""
    there = sorted(known)
    if close := difflib.get_close_matches(name, there, n=1):
        return f"; the nearest is `{close[0]}`"
    return f"; there are {', '.join(there)}" if len(there) <= _LISTED else ""


def _refuse_nulls(file: str, node: Node) -> None:
    match node.value:
        case None:
            raise Refused(file, node, "nothing stands here, and Cedar has no null")
        case dict():
            for inner in node.value.values():
                _refuse_nulls(file, inner)
        case list():
            for inner in node.value:
                _refuse_nulls(file, inner)
        case _:
            return
