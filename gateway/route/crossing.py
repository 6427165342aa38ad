"""Routes that match a request in common although neither is the narrower one. Pure.

`/{x}/b` and `/a/{y}` both match `/a/b`; the left-most literal wins (`gateway.route.table`), which nobody sees who reads
one of the two. A route for exactly what they have in common says who gets it.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import combinations
from typing import TypeAlias

import msgspec

from gateway.model import Route

Segments: TypeAlias = tuple[str | None, ...]


class Crossing(msgspec.Struct, frozen=True):
    """Two routes with requests in common.

    Attributes:
        winner: Who gets them.
        loser: Who does not.
        common: Their path; `*` where any segment may stand.
    """

    winner: Route
    loser: Route
    common: str


def crossings(routes: Iterable[Route]) -> Iterator[Crossing]:
    """Every pair of routes that cross, in the order of the file."""
    alike: defaultdict[tuple[str, int], list[Route]] = defaultdict(list)
    for route in routes:
        alike[route.method, len(route.segments)].append(route)
    for group in alike.values():
        said = {route.segments for route in group}
        for one, other in combinations(group, 2):
            common = _common(one.segments, other.segments)
            if common is None or common in said:
                continue
            winner, loser = (one, other) if _leads(one.segments, other.segments) else (other, one)
            yield Crossing(winner, loser, "/" + "/".join(segment or "*" for segment in common))


def _common(one: Segments, other: Segments) -> Segments | None:
    """What both match; None for nothing."""
    common: list[str | None] = []
    for left, right in zip(one, other, strict=True):
        if left is not None and right is not None and left != right:
            return None
        common.append(right if left is None else left)
    return tuple(common)


def _leads(one: Segments, other: Segments) -> bool:
    """Whether the first of two has the left-most literal that the other has not."""
    return next(left is not None for left, right in zip(one, other, strict=True) if left != right)
