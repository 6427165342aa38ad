"""A Cedar expression as a tree in, its text out. Pure.

The trees are Cedar's JSON form (docs: policies/json-format), as parsed policies and what is left of them when part of a
question is unknown come in. What is written here parses to the same tree again, the unknown context apart: that is
written `context`, as in a policy.
"""

import json
import re
from collections.abc import Mapping
from typing import Final

from policies.model import Json

# How tightly Cedar's operators bind (docs: policies/syntax-grammar): an operand that binds less needs parentheses.
_IF, _OR, _AND, _RELATION, _ADD, _MULTIPLY, _UNARY, _MEMBER = range(8)
_INFIX: Final[Mapping[str, int]] = {
    "||": _OR,
    "&&": _AND,
    "==": _RELATION,
    "!=": _RELATION,
    "<": _RELATION,
    "<=": _RELATION,
    ">": _RELATION,
    ">=": _RELATION,
    "in": _RELATION,
    "+": _ADD,
    "-": _ADD,
    "*": _MULTIPLY,
}
_PREFIX: Final[Mapping[str, str]] = {"!": "!", "neg": "-"}
_METHODS: Final = frozenset({"contains", "containsAll", "containsAny", "getTag", "hasTag"})
_CONSTRUCTORS: Final = frozenset({"datetime", "decimal", "duration", "ip"})
_NAME: Final = re.compile(r"(?!(?:true|false|if|then|else|in|is|like|has)\Z)[A-Za-z_][A-Za-z0-9_]*")
"""What an attribute may be called without quotes."""
_UNPRINTED: Final = re.compile(r'[\\"\x00-\x1f\x7f]')


def written(tree: Json, *, bare_context: bool = False) -> str:
    """An expression as Cedar text.

    Args:
        tree: A record with the operator as its only key.
        bare_context: Write the context's attributes by their name alone, for readers who know that they are that.

    Raises:
        ValueError: Cedar has no such expression.
    """
    return _Writer(bare_context).write(tree)[0]


def shown(tree: Json) -> str:
    """An expression as Cedar text; what Cedar has no such form for, as it is."""
    try:
        return written(tree)
    except ValueError:
        return json.dumps(tree)


def quoted(text: str) -> str:
    """A string as a Cedar literal."""
    return f'"{_UNPRINTED.sub(_escape, text)}"'


def entity(kind: str, name: str) -> str:
    """An entity's name as Cedar text."""
    return f"{kind}::{quoted(name)}"


def is_context(tree: Json) -> bool:
    """Whether an expression is the context itself, known or not."""
    return tree in ({"Var": "context"}, {"unknown": [{"Value": "context"}]})


def _escape(found: re.Match[str]) -> str:
    return f"\\{found[0]}" if found[0] in '\\"' else f"\\u{{{ord(found[0]):x}}}"


class _Writer:
    """Gives each expression as text, with how tightly it binds."""

    def __init__(self, bare_context: bool) -> None:
        self._bare = bare_context

    def write(self, tree: Json) -> tuple[str, int]:
        if is_context(tree):
            return "context", _MEMBER
        if not isinstance(tree, dict) or len(tree) != 1:
            raise ValueError("not an expression")
        found = self._primary(tree) or self._test(tree)
        if found is None:
            ((operator, operand),) = tree.items()
            found = self._operation(operator, operand)
        return found

    def _primary(self, tree: dict[str, Json]) -> tuple[str, int] | None:
        """What binds as tightly as can be."""
        text: str | None = None
        match tree:
            case {"Value": value}:
                return _literal(value)
            case {"Var": str(name)}:
                text = name
            case {".": {"left": of, "attr": str(name)}}:
                text = self._attribute(of, name)
            case {"Set": list(members)}:
                text = f"[{', '.join(self._at(member, _IF) for member in members)}]"
            case {"Record": dict(fields)}:
                inner = ", ".join(f"{_named(name)}: {self._at(value, _IF)}" for name, value in fields.items())
                text = f"{{{inner}}}"
            case {"isEmpty": {"arg": of}}:
                text = f"{self._at(of, _MEMBER)}.isEmpty()"
            case _:
                pass
        return None if text is None else (text, _MEMBER)

    def _test(self, tree: dict[str, Json]) -> tuple[str, int] | None:
        """What is asked of one operand, and the choice between two."""
        text: str | None = None
        match tree:
            case {"has": {"left": of, "attr": str(name)}}:
                text = f"{self._at(of, _ADD)} has {_named(name)}"
            case {"like": {"left": of, "pattern": list(pattern)}}:
                text = f"{self._at(of, _ADD)} like {_pattern(pattern)}"
            case {"is": {"left": of, "entity_type": str(kind), "in": group}}:
                text = f"{self._at(of, _ADD)} is {kind} in {self._at(group, _ADD)}"
            case {"is": {"left": of, "entity_type": str(kind)}}:
                text = f"{self._at(of, _ADD)} is {kind}"
            case {"if-then-else": {"if": one, "then": two, "else": three}}:
                return f"if {self._at(one, _IF)} then {self._at(two, _IF)} else {self._at(three, _IF)}", _IF
            case _:
                pass
        return None if text is None else (text, _RELATION)

    def _operation(self, operator: str, operand: Json) -> tuple[str, int]:
        match operand:
            case {"left": left, "right": right} if operator in _INFIX:
                binds = _INFIX[operator]
                # Relations do not chain; the others lean to the left.
                first = self._at(left, binds + 1 if binds == _RELATION else binds)
                return f"{first} {operator} {self._at(right, binds + 1)}", binds
            case {"left": left, "right": right} if operator in _METHODS:
                return f"{self._at(left, _MEMBER)}.{operator}({self._at(right, _IF)})", _MEMBER
            case {"arg": inner} if operator in _PREFIX:
                # `-` before a number would become part of it, and `!-` is no Cedar
                number = operator == "neg" and isinstance(inner, dict) and "Value" in inner
                text = f"({self._at(inner, _IF)})" if number else self._at(inner, _MEMBER)
                return f"{_PREFIX[operator]}{text}", _UNARY
            case list(arguments) if operator in _CONSTRUCTORS:
                return f"{operator}({', '.join(self._at(each, _IF) for each in arguments)})", _MEMBER
            case [receiver, *arguments] if _NAME.fullmatch(operator) and operator != "unknown":
                inner = ", ".join(self._at(each, _IF) for each in arguments)
                return f"{self._at(receiver, _MEMBER)}.{operator}({inner})", _MEMBER
            case _:
                raise ValueError(f"no such expression: `{operator}`")

    def _attribute(self, of: Json, name: str) -> str:
        if self._bare and is_context(of) and _NAME.fullmatch(name):
            return name
        left = self._at(of, _MEMBER)
        return f"{left}.{name}" if _NAME.fullmatch(name) else f"{left}[{quoted(name)}]"

    def _at(self, tree: Json, least: int) -> str:
        """An operand, in parentheses where it binds less than its place asks."""
        text, binds = self.write(tree)
        return f"({text})" if binds < least else text


def _literal(value: Json) -> tuple[str, int]:
    text: str
    match value:
        case bool():
            text = str(value).lower()
        case int():
            return str(value), _MEMBER if value >= 0 else _UNARY
        case str():
            text = quoted(value)
        case {"__entity": {"type": str(kind), "id": str(name)}}:
            text = entity(kind, name)
        case {"__extn": {"fn": str(function), "arg": argument}}:
            text = f"{function}({_literal(argument)[0]})"
        case list():
            text = f"[{', '.join(_literal(member)[0] for member in value)}]"
        case dict():
            text = f"{{{', '.join(f'{_named(name)}: {_literal(inner)[0]}' for name, inner in value.items())}}}"
        case _:
            raise ValueError("not a value of Cedar's")
    return text, _MEMBER


def _named(name: str) -> str:
    """An attribute's name where it may stand bare or quoted."""
    return name if _NAME.fullmatch(name) else quoted(name)


def _pattern(pattern: list[Json]) -> str:
    """A pattern of `like`: a star of its own is escaped."""
    parts = []
    for each in pattern:
        match each:
            case "Wildcard":
                parts.append("*")
            case {"Literal": str(text)}:
                parts.append(quoted(text)[1:-1].replace("*", r"\*"))
            case _:
                raise ValueError("not a pattern of Cedar's")
    return f'"{"".join(parts)}"'
