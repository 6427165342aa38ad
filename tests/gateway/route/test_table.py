"""Matching: literal before parameter, segment by segment from the left, and never two answers."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import MethodNotAllowed, NoRoute
from gateway.model import Route
from gateway.route.table import AmbiguousRoutesError, Table
from tests.builders.heads import make_route


def _routes(*specs: str) -> list[Route]:
    """Routes from `METHOD /path`, whose id is the text itself."""
    found = []
    for spec in specs:
        method, path = spec.split(" ")
        found.append(make_route(path, id=spec, method=method))
    return found


TABLE = Table(
    _routes(
        "GET /",
        "GET /orders",
        "POST /orders",
        "GET /orders/{id}",
        "GET /orders/search",
        "GET /orders/{id}/lines",
        "GET /orders/search/{q}",
        "DELETE /orders/{id}/lines",
        "PUT /{kind}/{id}",
        "GET /{kind}/7/lines",
    )
)


@pytest.mark.parametrize(
    ("method", "segments", "route", "params"),
    [
        ("GET", (), "GET /", {}),
        ("GET", ("orders",), "GET /orders", {}),
        ("HEAD", ("orders",), "GET /orders", {}),
        ("POST", ("orders",), "POST /orders", {}),
        ("GET", ("orders", "search"), "GET /orders/search", {}),
        ("GET", ("orders", "Search"), "GET /orders/{id}", {"id": "Search"}),
        ("GET", ("orders", "a b/ü"), "GET /orders/{id}", {"id": "a b/ü"}),
        ("GET", ("orders", "search", "lines"), "GET /orders/search/{q}", {"q": "lines"}),
        ("GET", ("orders", "7", "lines"), "GET /orders/{id}/lines", {"id": "7"}),
        ("DELETE", ("orders", "search", "lines"), "DELETE /orders/{id}/lines", {"id": "search"}),
        ("PUT", ("orders", "search"), "PUT /{kind}/{id}", {"kind": "orders", "id": "search"}),
        ("GET", ("stock", "7", "lines"), "GET /{kind}/7/lines", {"kind": "stock"}),
    ],
)
def test_the_most_literal_route_from_the_left_wins(
    method: str, segments: tuple[str, ...], route: str, params: dict[str, str]
) -> None:
    """Among those that serve the method; asked twice, the answer is the same."""
    for _ in range(2):
        match = TABLE.match(method, segments)
        assert (match.route.id, match.params) == (route, params)


@pytest.mark.parametrize(
    "segments",
    [("nothing",), ("orders", ""), ("",), ("orders", "1", "lines", ""), ("orders", "", "lines"), ("a", "b", "c", "d")],
)
def test_an_unknown_path_is_404(segments: tuple[str, ...]) -> None:
    """A trailing slash is another path, and an empty segment is no parameter."""
    with pytest.raises(NoRoute):
        TABLE.match("GET", segments)


@pytest.mark.parametrize(
    ("method", "segments", "allow"),
    [
        ("DELETE", ("orders",), b"GET, POST, HEAD"),
        ("POST", ("orders", "search"), b"GET, PUT, HEAD"),
        ("GET", ("stock", "7"), b"PUT"),
        ("OPTIONS", ("orders", "1", "lines"), b"DELETE, GET, HEAD"),
        ("get", ("orders",), b"GET, POST, HEAD"),
        ("HEAD", ("stock", "7"), b"PUT"),
    ],
)
def test_a_known_path_with_another_method_is_405_and_says_which(
    method: str, segments: tuple[str, ...], allow: bytes
) -> None:
    """`Allow` names every method that any route serves under this path."""
    with pytest.raises(MethodNotAllowed) as caught:
        TABLE.match(method, segments)
    [(name, value)] = caught.value.headers
    assert (name, sorted(value.split(b", "))) == (b"allow", sorted(allow.split(b", ")))


def test_two_routes_that_match_the_same_requests_are_refused() -> None:
    """Parameter names are no difference; methods and literals are."""
    with pytest.raises(AmbiguousRoutesError, match=r"GET /a/\{x\}.*GET /a/\{y\}"):
        Table(_routes("GET /a/{x}", "GET /a/{y}"))
    Table(_routes("GET /a/{x}", "POST /a/{y}", "GET /a/b", "GET /a/{x}/c"))


def test_a_route_with_a_problem_keeps_its_paths() -> None:
    """A wider route does not get the requests of a narrower one that cannot be used."""
    [narrow] = _routes("GET /orders/search")
    broken = make_route("/orders/search", id="broken", problem="action is not in the schema")
    table = Table([broken, *_routes("GET /orders/{id}")])
    assert table.match("GET", ("orders", "search")).route.problem
    assert not Table([narrow, *_routes("GET /orders/{id}")]).match("GET", ("orders", "search")).route.problem


def test_what_strangers_ask_for_is_remembered_within_bounds() -> None:
    """Neither many paths nor long ones fill memory, and the answers stay right."""
    table = Table(_routes("GET /orders/{id}"))
    for number in range(10_000):
        assert table.match("GET", ("orders", str(number))).params == {"id": str(number)}
    assert 0 < len(table._remembered) <= 4096
    before = len(table._remembered)
    long = "x" * 8000
    assert table.match("GET", ("orders", long)).params == {"id": long}
    assert len(table._remembered) == before
    for path in (("nowhere",), ("orders",)):
        with pytest.raises(NoRoute):
            table.match("GET", path)
    assert len(table._remembered) == before


_SEGMENTS = st.sampled_from(["a", "b", "{x}"])
_PATHS = st.lists(_SEGMENTS, min_size=0, max_size=4)
_SPECS = st.lists(st.tuples(st.sampled_from(["GET", "POST"]), _PATHS), max_size=12)


def _oracle(routes: list[Route], method: str, segments: tuple[str, ...]) -> Route | None:
    """All that match, the one whose literals stand furthest left: by brute force."""

    def fits(route: Route) -> bool:
        return (
            route.method == method
            and len(route.segments) == len(segments)
            and all(want in {None, got} and (want or got) for want, got in zip(route.segments, segments, strict=True))
        )

    found = sorted((route for route in routes if fits(route)), key=lambda route: [s is None for s in route.segments])
    return found[0] if found else None


@given(_SPECS)
def test_the_table_agrees_with_brute_force(specs: list[tuple[str, list[str]]]) -> None:
    """For every table and every path over a small alphabet, on the first and on the remembered look-up."""
    routes: list[Route] = []
    seen: set[tuple[str, tuple[str | None, ...]]] = set()
    for method, parts in specs:
        path = "/" + "/".join(f"{{p{at}}}" if part == "{x}" else part for at, part in enumerate(parts))
        route = make_route(path, id=f"{method} {path}", method=method)
        if (method, route.segments) not in seen:
            seen.add((method, route.segments))
            routes.append(route)
    table = Table(routes)
    paths = [path for length in range(5) for path in itertools.product(("a", "b", "z", ""), repeat=length)]
    for segments in paths:
        for method in ("GET", "POST"):
            expected = _oracle(routes, method, segments)
            others = {r.method for r in routes if _oracle([r], r.method, segments)}
            if expected is not None:
                assert [table.match(method, segments).route for _ in range(2)] == [expected, expected]
            elif not others:
                with pytest.raises(NoRoute):
                    table.match(method, segments)
            else:
                with pytest.raises(MethodNotAllowed) as caught:
                    table.match(method, segments)
                assert set(caught.value.headers[0][1].decode().split(", ")) - {"HEAD"} == others
