"""An expression of Cedar's JSON form -> its text, as an author writes it. Pure.

The text is also the name of an expression: two that are written alike mean the same within one request. So it is
unambiguous: what is not a name, a literal or a path stands in parentheses.
"""

import json
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from policies.model import Json

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_INFIX: Final = frozenset({"==", "!=", "<", "<=", ">", ">=", "in"})
_CHAINED: Final = frozenset({"&&", "||", "+", "-", "*"})
"""Those that Cedar reads from left to right when they stand in a row."""
_METHODS: Final = frozenset({"contains", "containsAll", "containsAny", "getTag", "hasTag"})
_CONSTRUCTORS: Final = frozenset({"ip", "decimal", "datetime", "duration"})
_PREFIX: Final[Mapping[str, str]] = MappingProxyType({"!": "!", "neg": "-"})


def wording(node: Json) -> str:
    """The text of an expression.

    Args:
        node: As it stands in a policy's tree: a record with the operator as its only key.
    """
    if not isinstance(node, dict) or len(node) != 1:
        return json.dumps(node)
    ((operator, operand),) = node.items()
    return _text(operator, operand)


def literal(node: Json) -> Json:
    """The value of a literal, None for any other expression. Sets, records and extension values are none."""
    return node.get("Value") if isinstance(node, dict) and len(node) == 1 else None


def entity_text(value: Mapping[str, Any]) -> str:
    """`Type::"id"`."""
    return f"{value['type']}::{json.dumps(value['id'], ensure_ascii=False)}"


def _text(operator: str, operand: Any) -> str:  # noqa: C901, PLR0911 - one line a form
    match operator:
        case "Value":
            return _value(operand)
        case "Var":
            return str(operand)
        case "." | "has":
            return _attribute(operator, operand)
        case "like":
            return f"{_tight(operand['left'])} like {_pattern(operand['pattern'])}"
        case "is":
            where = f" in {_tight(operand['in'])}" if "in" in operand else ""
            return f"{_tight(operand['left'])} is {operand['entity_type']}{where}"
        case "neg" if literal(operand["arg"]) is not None:
            return f"-({wording(operand['arg'])})"  # `-1` would be a literal
        case "!" | "neg":
            return f"{_PREFIX[operator]}{_tight(operand['arg'])}"
        case "isEmpty":
            return f"{_tight(operand['arg'])}.isEmpty()"
        case "if-then-else":
            parts = (_tight(operand[part]) for part in ("if", "then", "else"))
            return "if {} then {} else {}".format(*parts)
        case "Set":
            return f"[{', '.join(wording(member) for member in operand)}]"
        case "Record":
            return f"{{{', '.join(f'{json.dumps(name)}: {wording(value)}' for name, value in operand.items())}}}"
        case _:
            return _operation(operator, operand)


def _operation(operator: str, operand: Any) -> str:
    if operator in _CHAINED:
        return f" {operator} ".join(_tight(link) for link in _chain(operator, operand))
    if operator in _INFIX:
        return f"{_tight(operand['left'])} {operator} {_tight(operand['right'])}"
    if operator in _METHODS:
        return f"{_tight(operand['left'])}.{operator}({wording(operand['right'])})"
    if isinstance(operand, list):  # an extension function: a constructor, or a method of its first operand
        if operator in _CONSTRUCTORS:
            return f"{operator}({', '.join(wording(part) for part in operand)})"
        first, *others = operand
        return f"{_tight(first)}.{operator}({', '.join(wording(part) for part in others)})"
    return json.dumps({operator: operand})


def _chain(operator: str, operand: Any) -> list[Json]:
    """What one operator joins, from the left; a loop, because such chains are long."""
    links: list[Json] = [operand["right"]]
    node = operand["left"]
    while isinstance(node, dict) and operator in node:
        links.append(node[operator]["right"])
        node = node[operator]["left"]
    return [node, *reversed(links)]


def _attribute(operator: str, operand: Mapping[str, Any]) -> str:
    plain = _NAME.fullmatch(operand["attr"])
    quoted = json.dumps(operand["attr"], ensure_ascii=False)
    if operator == "has":
        return f"{_tight(operand['left'])} has {operand['attr'] if plain else quoted}"
    return f"{_tight(operand['left'])}{'.' + operand['attr'] if plain else f'[{quoted}]'}"


def _value(value: Json) -> str:
    match value:
        case {"__entity": {"type": str(kind), "id": str(name)}}:
            return entity_text({"type": kind, "id": name})
        case {"__extn": {"fn": str(function), "arg": argument}}:
            return f"{function}({json.dumps(argument)})"
        case _:
            return json.dumps(value, ensure_ascii=False)


def _pattern(parts: list[Any]) -> str:
    text = "".join("*" if part == "Wildcard" else part["Literal"].replace("*", "\\*") for part in parts)
    quoted = json.dumps(text, ensure_ascii=False)
    return quoted.replace("\\\\*", "\\*")


def _tight(node: Json) -> str:
    """An operand: in parentheses unless it is one piece."""
    text = wording(node)
    operator = next(iter(node)) if isinstance(node, dict) and node else ""
    piece = operator in {"Value", "Var", ".", "Set", "Record", "isEmpty"} or operator in _METHODS
    piece = piece or (isinstance(node, dict) and isinstance(node.get(operator), list))
    return text if piece else f"({text})"
