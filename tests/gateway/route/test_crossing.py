"""Routes that have requests in common."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model import Route
from gateway.route.crossing import crossings
from gateway.route.table import AmbiguousRoutesError, Table


def route(path: str, method: str = "GET") -> Route:
    """A route of a path; its id is the path."""
    segments = tuple(None if part.startswith("{") else part for part in path.split("/")[1:])
    params = tuple(f"p{number}" for number, segment in enumerate(segments) if segment is None)
    return Route(
        id=path, method=method, template=path, segments=segments, params=params,
        service="s", action="a", resource_type="T", resource_id="*",
    )  # fmt: skip


def found(*paths: str) -> list[tuple[str, str, str]]:
    """Winner, loser and what they have in common."""
    return [(it.winner.id, it.loser.id, it.common) for it in crossings(map(route, paths))]


def test_two_that_cross() -> None:
    """The left-most literal wins, in whichever order they are written."""
    expected = [("/a/{y}", "/{x}/b", "/a/b")]
    assert found("/{x}/b", "/a/{y}") == expected
    assert found("/a/{y}", "/{x}/b") == expected
    assert found("/a/{x}/c/{y}", "/a/{x}/{z}/d") == [("/a/{x}/c/{y}", "/a/{x}/{z}/d", "/a/*/c/d")]


@pytest.mark.parametrize(
    "paths",
    [
        ("/a/{x}", "/a/b"),
        ("/{x}/{y}", "/a/{y}", "/{x}/b", "/a/b"),
        ("/a/{x}", "/b/{x}"),
        ("/{x}/b", "/a/{y}/c"),
        ("/{x}/b/c", "/a/{y}/d"),
    ],
)
def test_those_that_do_not(paths: tuple[str, ...]) -> None:
    """One narrower than the other, nothing in common, or a route for just that."""
    assert found(*paths) == []


def test_methods_do_not_cross() -> None:
    """Another method is another request."""
    assert list(crossings([route("/{x}/b"), route("/a/{y}", "POST")])) == []


_SEGMENT = st.sampled_from(["a", "b", "{x}"])
_PATHS = st.lists(_SEGMENT, min_size=1, max_size=3).map(lambda parts: "/" + "/".join(parts))


@given(st.sets(_PATHS, min_size=2, max_size=5))
def test_the_table_does_as_is_said(paths: set[str]) -> None:
    """Of two that cross, the winner gets what they have in common, unless a third does; the loser never."""
    routes = [route(path) for path in sorted(paths)]
    try:
        table = Table(routes)
    except AmbiguousRoutesError:
        return
    for crossing in crossings(routes):
        wanted = crossing.common.split("/")[1:]
        for tried in product(*([part] if part != "*" else ["a", "b", "c"] for part in wanted)):
            assert table.match("GET", tuple(tried)).route is not crossing.loser
