"""A node of a parsed policy in, the Cedar text of it out, and where that stands in the policy. Pure.

Cedar's library writes a parsed policy with brackets around everything; people compare with what they wrote.
"""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Final

from policies.bundle import Policy
from policies.lexer import tokens
from policies.model import Json

# Cedar's grammar, loosest first (docs.cedarpolicy.com/policies/syntax-grammar.html): Or, And, Relation, Add, Mult.
_BINARY: Final = {
    "||": 1,
    "&&": 2,
    **dict.fromkeys(("==", "!=", "<", "<=", ">", ">=", "in"), 3),
    **dict.fromkeys(("+", "-"), 4),
    "*": 5,
}
_IF, _RELATION, _UNARY, _MEMBER = 0, 3, 6, 7
_OPERAND: Final = 4  # what stands at the sides of a relation
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_RESERVED: Final = frozenset({"true", "false", "if", "then", "else", "in", "is", "like", "has"})
_METHODS: Final = frozenset({"contains", "containsAll", "containsAny", "hasTag", "getTag"})
_CALLED_ON: Final = frozenset(
    {
        *("isIpv4", "isIpv6", "isLoopback", "isMulticast", "isInRange"),
        *("lessThan", "lessThanOrEqual", "greaterThan", "greaterThanOrEqual"),
        *("offset", "durationSince", "toDate", "toTime"),
        *("toMilliseconds", "toSeconds", "toMinutes", "toHours", "toDays"),
    }
)
"""Extension functions that Cedar writes behind their first argument; the others are constructors."""


def worded(node: Json) -> str:
    """The text of an expression, with the brackets it needs."""
    return _written(node)[0]


def condition(node: Json) -> str:
    """`when { context.amount <= 50000 }`."""
    if not isinstance(node, dict):
        return json.dumps(node)
    return f"{node.get('kind')} {{ {worded(node.get('body'))} }}"


def uid(node: Mapping[str, Json]) -> str:
    """`Role::"Cashier"`."""
    return f"{node.get('type')}::{_quoted(node.get('id'))}"


def scope(variable: str, node: Json) -> str:
    """`principal in Role::"Cashier"`, as it stands in a policy's head."""
    match node:
        case {"op": "==" | "in" as operator, "entity": dict(entity)}:
            return f"{variable} {operator} {uid(entity)}"
        case {"op": "in", "entities": list(entities)}:
            return f"{variable} in [{', '.join(uid(each) for each in entities if isinstance(each, dict))}]"
        case {"op": "is", "entity_type": kind, "in": {"entity": dict(entity)}}:
            return f"{variable} is {kind} in {uid(entity)}"
        case {"op": "is", "entity_type": kind}:
            return f"{variable} is {kind}"
        case _:
            return variable


def line_of(policy: Policy, text: str) -> int:
    """The line of a policy's file where a piece of it starts: blanks, comments and brackets may differ.

    Args:
        policy: Where it is looked for.
        text: As this module words it.

    Returns:
        The policy's own first line where the piece is written in another way.
    """
    wanted = [word for word, _ in _words(text)]
    there = list(_words(policy.text))
    for first in range(len(there) - len(wanted) + 1):
        if all(there[first + index][0] == word for index, word in enumerate(wanted)):
            return policy.line + policy.text.count("\n", 0, there[first][1])
    return policy.line


def condition_lines(policy: Policy) -> list[int]:
    """The line on which each condition starts, in order."""
    spans = list(tokens(policy.text))
    words = [policy.text[span.start : span.end] for span in spans]
    lines = []
    for index, word in enumerate(words[:-1]):
        if word in {"when", "unless"} and words[index + 1] == "{":  # nowhere else does a bracket follow such a word
            lines.append(policy.line + policy.text.count("\n", 0, spans[index].start))
    return lines


def _words(text: str) -> Iterable[tuple[str, int]]:
    """Tokens and where they start, round brackets and commas left out."""
    for span in tokens(text):
        word = text[span.start : span.end]
        if word not in {"(", ")", ","}:
            yield word, span.start


def _written(node: Json) -> tuple[str, int]:
    """The text of an expression and how tightly it holds together."""
    if isinstance(node, dict) and len(node) == 1:
        ((operator, operand),) = node.items()
        for form in (_primary, _operation, _relation, _call):
            if (found := form(operator, operand)) is not None:
                return found
    return json.dumps(node), _MEMBER  # nothing Cedar's JSON form has; shown as it is


def _primary(operator: str, operand: Json) -> tuple[str, int] | None:
    match operator, operand:
        case "Value", value:
            return _value(value), _UNARY if isinstance(value, int) and value < 0 else _MEMBER
        case (("Var" | "Slot"), str(name)):
            return name, _MEMBER
        case "Set", list(members):
            return f"[{', '.join(map(worded, members))}]", _MEMBER
        case "Record", dict(fields):
            return f"{{ {', '.join(f'{_quoted(name)}: {worded(value)}' for name, value in fields.items())} }}", _MEMBER
        case ".", {"left": left, "attr": str(name)}:
            return f"{_within(left, _MEMBER)}{f'.{name}' if _plain(name) else f'[{_quoted(name)}]'}", _MEMBER
        case _:
            return None


def _operation(operator: str, operand: Json) -> tuple[str, int] | None:
    match operator, operand:
        case (("!" | "neg"), {"arg": argument}):
            return f"{'!' if operator == '!' else '-'}{_within(argument, _MEMBER)}", _UNARY
        case "if-then-else", {"if": test, "then": then, "else": otherwise}:
            return f"if {worded(test)} then {worded(then)} else {worded(otherwise)}", _IF
        case _, {"left": left, "right": right} if operator in _BINARY:
            level = _BINARY[operator]
            # Relations do not chain; the others read from left to right.
            return f"{_within(left, level + (level == _RELATION))} {operator} {_within(right, level + 1)}", level
        case _:
            return None


def _relation(operator: str, operand: Json) -> tuple[str, int] | None:
    if not isinstance(operand, dict) or "left" not in operand:
        return None
    left = _within(operand["left"], _OPERAND)
    match operator, operand:
        case "has", {"attr": str(name)}:
            return f"{left} has {name if _plain(name) else _quoted(name)}", _RELATION
        case "like", {"pattern": list(pattern)}:
            return f"{left} like {_pattern(pattern)}", _RELATION
        case "is", {"entity_type": str(kind), "in": inside}:
            return f"{left} is {kind} in {_within(inside, _OPERAND)}", _RELATION
        case "is", {"entity_type": str(kind)}:
            return f"{left} is {kind}", _RELATION
        case _:
            return None


def _call(operator: str, operand: Json) -> tuple[str, int] | None:
    match operand:
        case {"left": left, "right": right} if operator in _METHODS:
            return f"{_within(left, _MEMBER)}.{operator}({worded(right)})", _MEMBER
        case {"arg": argument} if operator == "isEmpty":
            return f"{_within(argument, _MEMBER)}.isEmpty()", _MEMBER
        case [first, *others] if operator in _CALLED_ON:
            return f"{_within(first, _MEMBER)}.{operator}({', '.join(map(worded, others))})", _MEMBER
        case list(arguments):
            return f"{operator}({', '.join(map(worded, arguments))})", _MEMBER
        case _:
            return None


def _plain(name: str) -> bool:
    """Whether a name of an attribute may stand without quotes."""
    return _NAME.fullmatch(name) is not None and name not in _RESERVED


def _within(node: Json, level: int) -> str:
    """An expression as an operand: in brackets where it holds together less tightly than its place asks for."""
    text, own = _written(node)
    return text if own >= level else f"({text})"


def _value(value: Json) -> str:
    match value:
        case {"__entity": dict(entity)}:
            return uid(entity)
        case {"__extn": {"fn": str(function), "arg": argument}}:
            return f"{function}({_quoted(argument)})"
        case str(text):
            return _quoted(text)
        case _:
            return json.dumps(value)


def _pattern(pattern: Iterable[Json]) -> str:
    """A `like` pattern: a star of its own is escaped."""
    parts = []
    for part in pattern:
        match part:
            case {"Literal": str(text)}:
                parts.append(json.dumps(text, ensure_ascii=False)[1:-1].replace("*", r"\*"))
            case _:
                parts.append("*")
    return f'"{"".join(parts)}"'


def _quoted(value: Json) -> str:
    return json.dumps(value, ensure_ascii=False)
