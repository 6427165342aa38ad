"""What pages may ask: fields of preflights and answers, without a socket."""

import pytest

from gateway.route.cors import Cors, CorsTable, asked_method, is_preflight, methods_for, without_cors
from gateway.route.table import Table
from gateway.sources import CorsSource, ServiceSource
from gateway.wire.head import Head
from tests.builders.heads import make_head, make_route

PAGE = b"https://shop.example"


def preflight(*fields: tuple[bytes, bytes], method: bytes = b"OPTIONS") -> Head:
    """A preflight's head."""
    return make_head(*(fields or ((b"origin", PAGE), (b"access-control-request-method", b"PUT"))), method=method)


def test_a_grant_is_for_exactly_one_listed_origin() -> None:
    """Byte by byte; no origin, two, or another one get none."""
    cors = Cors(CorsSource(origins=(PAGE.decode(), "https://till.example")))
    assert cors.grant(make_head((b"origin", PAGE))) == (b"access-control-allow-origin", PAGE)
    for origins in ((), (PAGE, PAGE), (PAGE + b"/",), (PAGE.upper(),), (b"null",), (PAGE + b",https://till.example",)):
        assert cors.grant(make_head(*((b"origin", origin) for origin in origins))) is None


def test_without_credentials_or_headers_nothing_is_said_of_them() -> None:
    """An absent field is a no; there is no `false`."""
    fields, granted = Cors(CorsSource(origins=(PAGE.decode(),))).preflight(preflight(), ["PUT"])
    assert granted
    assert [name for name, _ in fields] == [
        b"access-control-allow-origin",
        b"access-control-allow-methods",
        b"access-control-max-age",
        b"vary",
    ]


def test_what_is_exposed_is_said_once() -> None:
    """The gateway's own fields first, then the service's, none twice."""
    cors = Cors(CorsSource(origins=(PAGE.decode(),), expose=("X-Total", "X-Trace-Id")))
    exposed = dict(cors.answer(make_head((b"origin", PAGE))))[b"access-control-expose-headers"].split(b", ")
    assert exposed[-1] == b"X-Total"
    assert len(set(exposed)) == len(exposed)


def test_a_refusal_without_a_route_is_readable_by_any_services_page() -> None:
    """With a route, by that service's pages only."""
    origins = CorsTable(
        [
            ServiceSource(name="a", addresses=(), cors=CorsSource(origins=(PAGE.decode(),))),
            ServiceSource(name="b", addresses=(), cors=CorsSource(origins=(PAGE.decode(),), credentials=True)),
            ServiceSource(name="c", addresses=(), cors=CorsSource(origins=("https://c.example",))),
            ServiceSource(name="d", addresses=()),
        ]
    )
    head = make_head((b"origin", PAGE))
    assert origins
    assert dict(origins.refusal(head, None))[b"access-control-allow-credentials"] == b"true"
    assert origins.refusal(head, "c") == ((b"vary", b"Origin"),)
    assert origins.refusal(head, "d") == ()
    assert origins.refusal(None, None) == ()
    assert origins.refusal(make_head((b"origin", b"https://evil.example")), None) == ((b"vary", b"Origin"),)
    assert not CorsTable([ServiceSource(name="d", addresses=())])


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (preflight(), True),
        (preflight(method=b"GET"), False),
        (preflight((b"origin", PAGE)), False),
        (preflight((b"access-control-request-method", b"PUT")), False),
    ],
)
def test_a_preflight_is_known_by_method_origin_and_question(head: Head, expected: bool) -> None:
    """All three, as browsers send them."""
    assert is_preflight(head) is expected


def test_a_preflight_asks_one_thing() -> None:
    """Two methods or two lists of fields are no question."""
    method = (b"access-control-request-method", b"PUT")
    names = (b"access-control-request-headers", b"a, b")
    assert asked_method(preflight(method, names)) == "PUT"
    assert asked_method(preflight(method, method)) is None
    assert asked_method(preflight(method, names, names)) is None


def test_methods_are_those_of_the_service_that_is_asked() -> None:
    """A path that two services share tells each page what its own serves; HEAD comes with GET."""
    table = Table(
        [
            make_route("/things/{id}", id="a", service="one"),
            make_route("/things/{id}", id="b", service="one", method="PUT"),
            make_route("/things/{id}", id="c", service="two", method="DELETE"),
        ]
    )
    assert methods_for(table, "one", ("things", "1")) == ["GET", "PUT", "HEAD"]
    assert methods_for(table, "two", ("things", "1")) == ["DELETE"]
    assert methods_for(table, "two", ("nowhere",)) == []


def test_a_services_own_words_about_pages_go_in_any_spelling() -> None:
    """Everything else stays in its order."""
    kept = ((b"vary", b"Accept"), (b"x", b"y"))
    said = (kept[0], (b"access-control-allow-origin", b"*"), (b"access_control_max_age", b"5"), kept[1])
    assert without_cors(said) == kept
