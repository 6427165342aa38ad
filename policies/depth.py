"""How deep a policy's text nests, found without going into it. Pure.

Cedar's parser, its JSON and whoever goes through the parsed form do so by recursion: Cedar 4.12 takes the whole process
down at some 900 brackets within each other. So a text is measured by its tokens first.
"""

import re
from collections.abc import Iterable
from typing import Final

from policies.lexer import Span, tokens
from policies.model import Json

LIMIT: Final = 200
"""Far more than a policy for people needs; a list of values is a set, which does not nest."""

TOO_DEEP: Final = f"nested more than {LIMIT} deep; many values are a set, and a policy may be two"
"""What a finding says."""

TOO_MUCH: Final = "a longer chain than Cedar keeps; many values are a set, and a policy may be two"
"""What a finding says where Cedar does not take back its own form of a policy: some 60 operators in a row."""

_KEPT: Final = 124
"""Levels of a policy's JSON that Cedar 4.12 reads: 128, less those of a set around it. Tried form by form."""

_OPEN: Final = frozenset({"(", "[", "{"})
_CLOSED: Final = frozenset({")", "]", "}"})
_NESTING: Final = frozenset({"&&", "||", "+", "-", "*", "!", "else", "when", "unless"})
"""Each puts what is on one side of it a level deeper."""
_PATH: Final = re.compile(r"""[.()\[\]"]|(?!(?:in|is|has|like|if|then|else|when|unless)\Z)[A-Za-z_]""")
"""How the tokens begin that attributes of attributes are made of."""


def too_deep(text: str) -> Span | None:
    """The token at which a text is nested too deep; None where it is not.

    Args:
        text: A statement. Between brackets, operators count, and in one operand the attributes of attributes.
    """
    levels, path = [0], 0
    for token in tokens(text):
        word = text[token.start : token.end]
        if word in _OPEN:
            levels.append(0)
        elif word in _CLOSED and len(levels) > 1:
            levels.pop()
        elif word == ",":
            levels[-1] = 0
        elif word in _NESTING:
            levels[-1] += 1
        path = path + (word in {".", "["}) if _PATH.match(word) else 0
        if len(levels) + sum(levels) + path > LIMIT:
            return token
    return None


def too_deep_to_keep(tree: Json) -> bool:
    """Whether Cedar would refuse a policy in the JSON form that it gave it in itself."""
    level: list[Json] = [tree]
    for _ in range(_KEPT + 1):
        level = [inner for value in level for inner in _inside(value)]
        if not level:
            return False
    return True


def _inside(value: Json) -> Iterable[Json]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()
