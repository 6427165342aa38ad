"""(method, normalised path) to Route.

A literal segment wins over a parameter, segment by segment from the left, among the routes that serve the method. Two
routes that are still equal are refused at load, so a request never has two answers.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from gateway.errors import MethodNotAllowed, NoRoute
from gateway.model import Match, Route

_EXACT_LIMIT: Final = 4096
"""Remembered paths per table: enough for the hot ones, bounded whatever strangers ask for."""
_EXACT_CHARS: Final = 256
"""Longer paths are looked up anew: 4096 of 8 KiB each, which nobody had to log in for, would be 32 MiB."""


class AmbiguousRoutesError(ValueError):
    """Two routes that would match the same request."""

    def __init__(self, first: Route, second: Route) -> None:
        what = f"{second.method} {second.template}"
        super().__init__(f"routes `{first.id}` and `{second.id}` match the same requests: {what}")


class _Node:
    """One segment of the tree: where a literal leads, where anything else leads, and what ends here, by method."""

    __slots__ = ("literals", "other", "routes")

    def __init__(self) -> None:
        self.literals: dict[str, _Node] = {}
        self.other: _Node | None = None
        self.routes: dict[str, Route] = {}


class Table:
    """All routes of a snapshot.

    Args:
        routes: In any order.

    Raises:
        AmbiguousRoutesError: Two routes with the same method differ only in parameter names.
    """

    def __init__(self, routes: Iterable[Route]) -> None:
        self.routes: tuple[Route, ...] = tuple(routes)
        self._root = _Node()
        self._remembered: dict[tuple[str, tuple[str, ...]], Match] = {}
        for route in self.routes:
            self._add(route)

    def _add(self, route: Route) -> None:
        node = self._root
        for segment in route.segments:
            if segment is None:
                node.other = node.other or _Node()
                node = node.other
            else:
                node = node.literals.setdefault(segment, _Node())
        if (taken := node.routes.get(route.method)) is not None:
            raise AmbiguousRoutesError(taken, route)
        node.routes[route.method] = route

    def match(self, method: str, segments: tuple[str, ...]) -> Match:
        """The one route for a request.

        Args:
            method: As sent; HEAD is looked up as GET.
            segments: Of the normalised path.

        Raises:
            NoRoute: Nothing is known under this path.
            MethodNotAllowed: The path is known with other methods, named in `Allow`.
        """
        method = "GET" if method == "HEAD" else method
        key = (method, segments)
        if (match := self._remembered.get(key)) is not None:
            return match
        route = _find(self._root, segments, 0, method)
        if route is None:
            if not (allowed := self.methods(segments)):
                raise NoRoute("no route for this path")
            allow = ", ".join(allowed).encode()
            raise MethodNotAllowed("no route for this method", headers=((b"allow", allow),))
        values = [text for text, segment in zip(segments, route.segments, strict=True) if segment is None]
        match = Match(route, dict(zip(route.params, values, strict=True)))
        if sum(map(len, segments)) <= _EXACT_CHARS:
            if len(self._remembered) >= _EXACT_LIMIT:
                self._remembered.clear()
            self._remembered[key] = match
        return match

    def methods(self, segments: tuple[str, ...]) -> list[str]:
        """Every method that some route serves under a path, sorted; HEAD, last, where there is GET."""
        allowed = sorted(_methods(self._root, segments, 0))
        return [*allowed, "HEAD"] if "GET" in allowed else allowed


def _find(node: _Node, segments: Sequence[str], at: int, method: str) -> Route | None:
    """Depth first, literal before parameter: the first leaf found is the most literal from the left."""
    if at == len(segments):
        return node.routes.get(method)
    segment = segments[at]
    if (child := node.literals.get(segment)) is not None:
        found = _find(child, segments, at + 1, method)
        if found is not None:
            return found
    if node.other is not None and segment:
        return _find(node.other, segments, at + 1, method)
    return None


def _methods(node: _Node, segments: Sequence[str], at: int) -> set[str]:
    """Every method some route serves under these segments."""
    if at == len(segments):
        return set(node.routes)
    found: set[str] = set()
    segment = segments[at]
    if (child := node.literals.get(segment)) is not None:
        found |= _methods(child, segments, at + 1)
    if node.other is not None and segment:
        found |= _methods(node.other, segments, at + 1)
    return found
