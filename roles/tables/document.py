"""The text of a table in, its values with the place of each out; YAML, or JSON as `cedar run-tests` reads it. Pure.

A table is an expectation, so nothing in it may mean something else than what it looks like. YAML 1.1 keeps the last of
two equal keys and reads `NO` as false, `010` as 8 and `12:30` as 750: here each of these is an error. Times stay text.
Fractions and aliases are errors too: Cedar has none of the first, and the second can blow up a file.
"""

import json
import re
from collections.abc import Iterator
from typing import Final, TypeAlias

import msgspec
import yaml

from policies.errors import Finding
from policies.model import Json

_LONG: Final = range(-(2**63), 2**63)
_INTEGER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)")
_FRACTION: Final = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.nan")
_WORDS: Final[dict[str, Json]] = {"true": True, "false": False, "null": None, "~": None, "": None}
_TAG: Final = "tag:yaml.org,2002:"
_DIGITS: Final = 20
_DEPTH: Final = 32
"""How deep a table may be nested; a case with entities needs 8."""


class Node(msgspec.Struct, frozen=True):
    """A value and where it stands.

    Attributes:
        value: A scalar, a list of nodes, or nodes by key.
        line: From 1.
        column: From 1; 0 where only the line is known.
        key: Line and column of the key that it is the value of, where it is one.
    """

    value: "Scalar | list[Node] | dict[str, Node]"
    line: int
    column: int = 0
    key: tuple[int, int] | None = None

    @property
    def plain(self) -> Json:
        """The value without places."""
        match self.value:
            case dict():
                return {name: node.plain for name, node in self.value.items()}
            case list():
                return [node.plain for node in self.value]
            case _:
                return self.value


Scalar: TypeAlias = "str | int | bool | None"


class Refused(Exception):
    """A table, or one case of it, that cannot be used.

    Attributes:
        finding: Where and why.
    """

    def __init__(self, file: str, node: Node, reason: str) -> None:
        super().__init__(reason)
        self.finding = Finding(file, node.line, node.column, reason)


def parse(file: str, text: str) -> Node:
    """Read a file.

    Args:
        file: Its name; `.json` decides how it is read.
        text: What is in it.

    Raises:
        Refused: It is not YAML or JSON, or something in it could be taken in two ways.
    """
    return _json(file, text) if file.endswith(".json") else _yaml(file, text)


def _yaml(file: str, text: str) -> Node:
    try:
        loader = _Loader(file, text)
        try:
            root = loader.get_single_node()
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark
        place = Node(None, mark.line + 1 if mark else 1, mark.column + 1 if mark else 0)
        raise Refused(file, place, f"not YAML: {exc.problem or exc.context}") from exc
    except yaml.YAMLError as exc:
        raise Refused(file, Node(None, 1), f"not YAML: {' '.join(str(exc).split())}") from exc
    except RecursionError as exc:
        raise Refused(file, Node(None, 1), "nested too deeply") from exc
    if root is None:
        raise Refused(file, Node(None, 1), "there is nothing in this file")
    return _converted(file, root, 0)


class _Loader(yaml.SafeLoader):
    """Refuses what would put something else in a node's place than what stands there."""

    def __init__(self, file: str, text: str) -> None:
        super().__init__(text)
        self._file = file

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]  # the stubs leave it open
        if isinstance(event, yaml.AliasEvent):
            raise Refused(self._file, _at(event), f"`*{event.anchor}` is an alias; write it out")
        if (tag := getattr(event, "tag", None)) is not None:
            raise Refused(self._file, _at(event), f"the tag `{tag}` has no place in a table")
        return super().compose_node(parent, index)


def _at(found: yaml.Node | yaml.Event) -> Node:
    mark = found.start_mark
    return Node(None, mark.line + 1, mark.column + 1) if mark else Node(None, 1)


def _converted(file: str, node: yaml.Node, depth: int) -> Node:
    here = _at(node)
    if depth > _DEPTH:
        raise Refused(file, here, "nested too deeply")
    match node:
        case yaml.MappingNode():
            return msgspec.structs.replace(here, value=dict(_members(file, node, depth)))
        case yaml.SequenceNode():
            return msgspec.structs.replace(here, value=[_converted(file, item, depth + 1) for item in node.value])
        case _:
            return msgspec.structs.replace(here, value=_scalar(file, node, here))


def _members(file: str, node: yaml.MappingNode, depth: int) -> Iterator[tuple[str, Node]]:
    seen: dict[str, int] = {}
    for key, value in node.value:
        here = _at(key)
        if not isinstance(key, yaml.ScalarNode) or key.tag == f"{_TAG}merge":
            raise Refused(file, here, "a key must be a plain word")
        name = _text(file, key.value, here)
        if name in seen:
            raise Refused(file, here, f"`{name}` stands twice, first in line {seen[name]}")
        seen[name] = here.line
        yield name, msgspec.structs.replace(_converted(file, value, depth + 1), key=(here.line, here.column))


def _scalar(file: str, node: yaml.Node, here: Node) -> Scalar:
    text = _text(file, str(node.value), here)
    kind = node.tag.removeprefix(_TAG)
    if isinstance(node, yaml.ScalarNode) and node.style in {'"', "'", "|", ">"}:
        return text
    if text in _WORDS:
        return _WORDS[text]  # type: ignore[return-value]  # scalars only
    if _INTEGER.fullmatch(text):
        return _integer(file, _int(text), here)
    if _FRACTION.fullmatch(text) and not text.lstrip("-+").isdigit():
        raise Refused(file, here, f"`{text}` is a fraction, which Cedar does not have; quote a decimal")
    if kind in {"bool", "int", "float", "null", "value", "merge"}:
        raise Refused(file, here, f"`{text}` can be read in two ways; quote it, or write true, false or a plain number")
    return text  # times, too


def _text(file: str, text: str, here: Node) -> str:
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        raise Refused(file, here, "half of a surrogate pair is not a letter")
    return text


def _int(text: str) -> int:
    """A number as written; so much of it as shows that it is too large."""
    return int(text[: _DIGITS + 1])


def _integer(file: str, value: int, here: Node) -> int:
    if value not in _LONG:
        raise Refused(file, here, f"`{value}` is beyond Cedar's 64 bits")
    return value


def _json(file: str, text: str) -> Node:
    """A JSON list; the place of whatever is in an element is the element's line."""
    start = _past_blanks(text, 0)
    try:
        if not text.startswith("[", start):
            _DECODER.decode(text)
            raise Refused(file, _line(text, start), "a JSON table is a list of cases")
        elements = list(_elements(file, text, start + 1))
    except json.JSONDecodeError as exc:
        raise Refused(file, Node(None, exc.lineno, exc.colno), f"not JSON: {exc.msg[:1].lower()}{exc.msg[1:]}") from exc
    except RecursionError as exc:
        raise Refused(file, Node(None, 1), "nested too deeply") from exc
    return Node(elements, _line(text, start).line)


def _elements(file: str, text: str, at: int) -> Iterator[Node]:
    """The elements of a list, from behind its bracket to the end of the text."""
    at = _past_blanks(text, at)
    while not text.startswith("]", at):
        value, end = _DECODER.raw_decode(text, at)
        yield _placed(file, value, _line(text, at), 0)
        at = _past_blanks(text, end)
        if text.startswith("]", at):
            break
        if not text.startswith(",", at):
            raise json.JSONDecodeError("Expecting ',' delimiter", text, at)
        at = _past_blanks(text, at + 1)
        if text.startswith("]", at):
            raise json.JSONDecodeError("Expecting value", text, at)
    if (rest := _past_blanks(text, at + 1)) != len(text):
        raise json.JSONDecodeError("Extra data", text, rest)


class _Pairs(list[tuple[str, Json]]):
    """A JSON object before equal keys are lost."""


_DECODER: Final = json.JSONDecoder(object_pairs_hook=_Pairs, parse_int=_int)


def _placed(file: str, value: object, here: Node, depth: int) -> Node:
    if depth > _DEPTH:
        raise Refused(file, here, "nested too deeply")
    match value:
        case _Pairs():
            members: dict[str, Node] = {}
            for name, inner in value:
                if name in members:
                    raise Refused(file, here, f"`{name}` stands twice")
                members[_text(file, name, here)] = _placed(file, inner, here, depth + 1)
            return msgspec.structs.replace(here, value=members)
        case list():
            return msgspec.structs.replace(here, value=[_placed(file, item, here, depth + 1) for item in value])
        case float():
            raise Refused(file, here, f"`{value}` is a fraction, which Cedar does not have")
        case bool() | None:
            return msgspec.structs.replace(here, value=value)
        case int():
            return msgspec.structs.replace(here, value=_integer(file, value, here))
        case _:
            return msgspec.structs.replace(here, value=_text(file, str(value), here))


def _past_blanks(text: str, at: int) -> int:
    while at < len(text) and text[at] in " \t\r\n":
        at += 1
    return at


def _line(text: str, at: int) -> Node:
    return Node(None, text.count("\n", 0, at) + 1)
