"""A policy that the schema refuses, and why -> where in it. Pure.

Cedar's library says which policy and why, not where. So parts are asked about: the scope with the first condition, then
with the second, until the same is said. The part that was added last is the one.
"""

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from policies.expression import shown
from policies.lexer import find, tokens
from policies.model import Json

Refuses: TypeAlias = Callable[[str], bool]
"""Whether a policy is refused for the reason in question."""


def pinpoint(text: str, tree: Any, refuses: Refuses) -> int:
    """The offset of the condition that is at fault.

    Args:
        text: The policy.
        tree: In Cedar's JSON form.
        refuses: Asks about a policy of the same scope.

    Returns:
        Of the condition's first token; of the scope where that is at fault alone, or nothing can be told.
    """
    head = _head(text)
    scope = text[slice(*head)]
    start = head[0] + find(scope, "principal")
    if refuses(f"{scope};"):
        return start
    clauses = ""
    for part, clause in _parts(tree["conditions"]):
        clauses += f"\n{clause}"
        if refuses(f"{scope}{clauses};"):
            return find(text, shown(part)) or start
    return start


def _parts(conditions: Any) -> Iterator[tuple[Json, str]]:
    """Each condition that must hold by itself, in the order of evaluation, and as a clause."""
    for condition in conditions:
        for part in _conjuncts(condition["body"], "&&" if condition["kind"] == "when" else "||"):
            yield part, f"{condition['kind']} {{ {shown(part)} }}"


def _conjuncts(node: Any, operator: str) -> Iterator[Json]:
    if isinstance(node, dict) and operator in node:
        yield from _conjuncts(node[operator]["left"], operator)
        yield from _conjuncts(node[operator]["right"], operator)
    else:
        yield node


def _head(text: str) -> tuple[int, int]:
    """From the effect to the end of the scope."""
    start, before = 0, ""
    for token in tokens(text):
        word = text[token.start : token.end]
        if word in {"permit", "forbid"} and before != "@" and not start:
            start = token.start + 1
        elif word == ")" and start:
            return start - 1, token.end
        before = word
    return 0, len(text)
