"""A clause or a scope of a parsed policy in, the Cedar text of it out, and where that stands in the policy. Pure."""

import json
from collections.abc import Iterable, Mapping

from policies.bundle import Policy
from policies.expression import entity, shown
from policies.lexer import tokens
from policies.model import Json


def condition(node: Json) -> str:
    """`when { context.amount <= 50000 }`."""
    if not isinstance(node, dict):
        return json.dumps(node)
    return f"{node.get('kind')} {{ {shown(node.get('body'))} }}"


def uid(node: Mapping[str, Json]) -> str:
    """`Role::"Cashier"`."""
    return entity(str(node.get("type")), str(node.get("id")))


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
