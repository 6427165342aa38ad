"""What is left of policies in, the same said as shortly as can be out. Pure.

A question without its context leaves conditions (`policies.outlook`): of one permit `0 <= context.percent` and
`context.percent <= 10`, of a forbid `!(context.percent < 0)`. Together they mean `0 <= percent <= 10`, and that is what
people want to read. So conditions are written out as alternatives, in each alternative the bounds on one number are put
together, and alternatives that overlap or touch become one. Numbers are Cedar's Longs: between 10 and 11 is nothing.
"""

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Final, TypeAlias

import msgspec

from policies.expression import written
from policies.model import Json

LEAST: Final = -(2**63)
MOST: Final = 2**63 - 1
_ALTERNATIVES: Final = 64
"""Beyond that many the short form would not be short; the condition is then written as it stands."""

_MIRRORED: Final[Mapping[str, str]] = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}
_NEGATED: Final[Mapping[str, str]] = {"<": ">=", "<=": ">", ">": "<=", ">=": "<", "==": "!=", "!=": "=="}

Range: TypeAlias = tuple[int, int]
"""From the first to the last, both included."""


class Alternative(msgspec.Struct, frozen=True):
    """One way in which a condition holds: everything in it at once.

    Attributes:
        ranges: Of what number is between which bounds; by its text.
        others: Whatever else must hold (True) or must not (False); by its text.
    """

    ranges: Mapping[str, Range] = MappingProxyType({})
    others: Mapping[str, bool] = MappingProxyType({})

    def covers(self, other: "Alternative") -> bool:
        """Whether this holds whenever the other does."""
        return all(
            low <= other.ranges.get(name, (LEAST, MOST))[0] and other.ranges.get(name, (LEAST, MOST))[1] <= high
            for name, (low, high) in self.ranges.items()
        ) and all(other.others.get(text) is holds for text, holds in self.others.items())

    def __str__(self) -> str:
        """As people write it."""
        words = [_range(name, *bounds) for name, bounds in sorted(self.ranges.items())]
        words += [text if holds else _not(text) for text, holds in sorted(self.others.items())]
        return " && ".join(words) or "true"


Alternatives: TypeAlias = tuple[Alternative, ...]
"""A condition: it holds when one of them does. None of them: it never holds; one that asks nothing: it always does."""

NEVER: Final[Alternatives] = ()
ALWAYS: Final[Alternatives] = (Alternative(),)


class TooManyAlternatives(ValueError):
    """The condition cannot be said shortly."""


def alternatives(tree: Json, holds: bool = True) -> Alternatives:
    """An expression, or its opposite, as alternatives.

    Args:
        tree: A boolean expression in Cedar's JSON form.
        holds: False for its opposite.

    Raises:
        TooManyAlternatives: There would be more than 64.
    """
    match tree:
        case {"Value": bool(value)}:
            return ALWAYS if value is holds else NEVER
        case {"!": {"arg": inner}}:
            return alternatives(inner, not holds)
        case {"&&": {"left": left, "right": right}}:
            sides = alternatives(left, holds), alternatives(right, holds)
            return both(*sides) if holds else either((*sides[0], *sides[1]))
        case {"||": {"left": left, "right": right}}:
            sides = alternatives(left, holds), alternatives(right, holds)
            return either((*sides[0], *sides[1])) if holds else both(*sides)
        case {"if-then-else": {"if": one, "then": two, "else": three}}:
            yes = both(alternatives(one), alternatives(two, holds))
            return either((*yes, *both(alternatives(one, holds=False), alternatives(three, holds))))
        case _:
            bounds = _bounds(tree, holds)
            return (Alternative(others={written(tree, bare_context=True): holds}),) if bounds is None else bounds


def said(condition: Alternatives) -> str:
    """A condition in one line, the context's attributes by their names."""
    if len(condition) == 1:
        return str(condition[0])
    ways = [str(way) for way in condition]
    return " || ".join(f"({way})" if " && " in way else way for way in sorted(ways)) or "false"


def _bounds(tree: Json, holds: bool) -> Alternatives | None:
    """A comparison with a number, as ranges; None for anything else."""
    operator, operand = next(iter(tree.items())) if isinstance(tree, dict) else ("", None)
    if operator not in _MIRRORED:
        return None
    match operand:
        case {"left": left, "right": {"Value": int(bound)}} if not isinstance(bound, bool):
            word = operator
        case {"left": {"Value": int(bound)}, "right": left} if not isinstance(bound, bool):
            word = _MIRRORED[operator]
        case _:
            return None
    name = written(left, bare_context=True)
    ranges: dict[str, tuple[Range, ...]] = {
        "<": ((LEAST, bound - 1),),
        "<=": ((LEAST, bound),),
        ">": ((bound + 1, MOST),),
        ">=": ((bound, MOST),),
        "==": ((bound, bound),),
        "!=": ((LEAST, bound - 1), (bound + 1, MOST)),
    }
    chosen = ranges[word if holds else _NEGATED[word]]
    return tuple(way for each in chosen if (way := _narrowed({name: each}, {})) is not None)


def both(left: Alternatives, right: Alternatives) -> Alternatives:
    """Two conditions at once.

    Raises:
        TooManyAlternatives: There would be more than 64.
    """
    found = []
    for one in left:
        for two in right:
            ranges = dict(one.ranges)
            for name, (low, high) in two.ranges.items():
                mine = ranges.get(name, (LEAST, MOST))
                ranges[name] = max(low, mine[0]), min(high, mine[1])
            if any(one.others.get(text, holds) is not holds for text, holds in two.others.items()):
                continue
            way = _narrowed(ranges, {**one.others, **two.others})
            if way is not None:
                found.append(way)
    return either(found)


def _narrowed(ranges: Mapping[str, Range], others: Mapping[str, bool]) -> Alternative | None:
    """An alternative without bounds that bound nothing; None where it cannot hold."""
    if any(low > high for low, high in ranges.values()):
        return None
    return Alternative({name: each for name, each in ranges.items() if each != (LEAST, MOST)}, others)


def either(ways: Iterable[Alternative]) -> Alternatives:
    """One condition of several, with as few alternatives as can be.

    Raises:
        TooManyAlternatives: There are still more than 64.
    """
    left = list(ways)
    if len(left) > _ALTERNATIVES**2:
        raise TooManyAlternatives
    joined = True
    while joined:
        joined = False
        for one, two, index in _pairs(left):
            if (union := _joined(one, two)) is not None:
                left[index[0]] = union
                del left[index[1]]
                joined = True
                break
    if len(left) > _ALTERNATIVES:
        raise TooManyAlternatives
    return tuple(left)


def _pairs(ways: list[Alternative]) -> Iterator[tuple[Alternative, Alternative, tuple[int, int]]]:
    for second in range(1, len(ways)):
        for first in range(second):
            yield ways[first], ways[second], (first, second)


def _joined(one: Alternative, two: Alternative) -> Alternative | None:
    """One alternative that means both, if there is one."""
    if one.covers(two):
        return one
    if two.covers(one):
        return two
    if one.ranges == two.ranges and one.others.keys() == two.others.keys():
        differ = [text for text, holds in one.others.items() if two.others[text] is not holds]
        if len(differ) == 1:
            return Alternative(one.ranges, {text: holds for text, holds in one.others.items() if text != differ[0]})
    if one.others == two.others and one.ranges.keys() == two.ranges.keys():
        apart = [name for name, each in one.ranges.items() if two.ranges[name] != each]
        if len(apart) == 1:
            (low, high), (other_low, other_high) = one.ranges[apart[0]], two.ranges[apart[0]]
            if max(low, other_low) <= min(high, other_high) + 1:  # they overlap or touch
                union = (min(low, other_low), max(high, other_high))
                return _narrowed({**one.ranges, apart[0]: union}, one.others)
    return None


def _range(name: str, low: int, high: int) -> str:
    if low == high:
        return f"{name} == {low}"
    if low == LEAST:
        return f"{name} <= {high}"
    return f"{name} >= {low}" if high == MOST else f"{low} <= {name} <= {high}"


def _not(text: str) -> str:
    return f"!{text}" if all(character.isalnum() or character in "_." for character in text) else f"!({text})"
