"""Pages of other origins, over real sockets: what a preflight is told, what they read, what stays shut."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from audit.event import Outcome
from gateway.errors import Code
from gateway.sources import CorsSource
from tests.builders.answers import content_of, header_of, json_answer, json_of, status_of
from tests.builders.plane import Plane, plane, request, token

PAGE = "https://shop.example"
OTHER = "https://till.example:8443"
CORS = CorsSource(
    origins=(PAGE, OTHER),
    headers=("Authorization", "Content-Type"),
    expose=("X-Total",),
    credentials=True,
    max_age_s=300,
)
VARY = "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"


@contextlib.asynccontextmanager
async def gate(folder: Path, cors: CorsSource | None = CORS, **settings: Any) -> AsyncIterator[Plane]:
    """A plane whose service pages may ask."""
    async with plane(folder, cors=cors, **settings) as found:
        yield found
        assert found.faults == []


def preflight(
    target: str = "/orders", *fields: str, origin: str | None = PAGE, method: str | None = "GET", body: bytes = b""
) -> bytes:
    """What a browser sends before a page's request."""
    headers = [f"Origin: {origin}"] if origin is not None else []
    headers += [f"Access-Control-Request-Method: {method}"] if method is not None else []
    return request("OPTIONS", target, auth=None, headers="\r\n".join([*headers, *fields]), body=body)


def from_page(
    method: str = "GET", target: str = "/orders", *fields: str, origin: str = PAGE, auth: str | None = ""
) -> bytes:
    """A page's own request."""
    return request(method, target, auth=auth, headers="\r\n".join([f"Origin: {origin}", *fields]))


def spoken(answer: bytes) -> dict[str, list[str]]:
    """What an answer says about pages."""
    return {name: values for name, values in header_of(answer).items() if name.startswith("access-control-")}


async def test_a_preflight_is_answered_here_with_exactly_these_fields(tmp_path: Path) -> None:
    """Before anybody is known, without asking the service; every word of it from routes and settings."""
    async with gate(tmp_path) as found:
        answer = await found.raw(preflight("/orders", "Access-Control-Request-Headers: authorization", method="POST"))
        assert (status_of(answer), content_of(answer)) == (204, b"")
        fields = header_of(answer)
        assert spoken(answer) == {
            "access-control-allow-origin": [PAGE],
            "access-control-allow-methods": ["GET, POST, HEAD"],
            "access-control-allow-headers": ["Authorization, Content-Type"],
            "access-control-allow-credentials": ["true"],
            "access-control-max-age": ["300"],
        }
        assert fields["vary"] == [VARY]
        assert set(fields) - set(spoken(answer)) == {"vary", "x-trace-id", "x-decision-id", "connection"}
        assert found.service.heads == []


async def test_preflights_are_recorded_and_those_alike_share_a_record(tmp_path: Path) -> None:
    """Every request leaves a record; a page that asks often does not write one each time."""
    async with gate(tmp_path) as found:
        for _ in range(3):
            await found.raw(preflight())
        event = await found.record()
        assert (event.event_type, event.tenant_id, event.status) == ("authz.preflight.answered", "-", 204)
        assert event.outcome is Outcome.SUCCESS
        assert event.decision is not None
        assert event.decision.effect == "allow"
        assert event.aggregate is not None
        assert event.aggregate.count == 3
        assert event.request is not None
        assert (event.request.method, event.request.route) == ("OPTIONS", "/orders")
        assert event.details is not None
        assert (event.details["origin"], event.details["method"]) == (PAGE, "GET")
        assert len(event.details["trace_ids"]) == 3


STRANGERS = [
    "https://evil.example",
    "null",
    "NULL",
    "https://shop.example.evil.example",
    "https://evilshop.example",
    "https://shop.example:443",
    "https://shop.example:8443",
    "https://till.example",
    "http://shop.example",
    "HTTPS://shop.example",
    "https://SHOP.example",
    "https://shop.example/",
    "https://shop.example.",
    "https://user@shop.example",
    "https://shop.example, https://till.example:8443",
    "https://shop.example https://till.example:8443",
    "https://shop.example#",
    "*",
    "",
]


@pytest.mark.parametrize("origin", STRANGERS)
async def test_another_origin_is_told_nothing(tmp_path: Path, origin: str) -> None:
    """Neither before nor after the request: compared byte by byte, and never `null`."""
    async with gate(tmp_path) as found:
        found.service.reply = json_answer(
            {}, "Access-Control-Allow-Origin: *", "Access-Control-Allow-Credentials: true"
        )
        answer = await found.raw(preflight(origin=origin))
        assert (status_of(answer), spoken(answer)) == (204, {})
        assert header_of(answer)["vary"] == [VARY]
        for auth in ("", None):
            answer = await found.raw(from_page(origin=origin, auth=auth))
            assert (status_of(answer), spoken(answer)) == (401 if auth is None else 200, {})
            assert "Origin" in header_of(answer)["vary"]


async def test_two_origins_are_none(tmp_path: Path) -> None:
    """Which of them the browser meant nobody can know."""
    async with gate(tmp_path) as found:
        assert spoken(await found.raw(preflight("/orders", f"Origin: {PAGE}"))) == {}
        assert spoken(await found.raw(from_page("GET", "/orders", f"Origin: {OTHER}"))) == {}


async def test_a_preflight_for_nothing_is_refused_readably(tmp_path: Path) -> None:
    """No route for the path is 404; none for the method is 405 with `Allow`; neither grants anything new."""
    async with gate(tmp_path) as found:
        answer = await found.raw(preflight("/nowhere"))
        assert (status_of(answer), json_of(answer)["code"]) == (404, "route_unknown")
        answer = await found.raw(preflight(method="DELETE"))
        assert (status_of(answer), header_of(answer)["allow"]) == (405, ["GET, POST, HEAD"])
        assert header_of(answer)["access-control-allow-origin"] == [PAGE]
        assert "access-control-allow-methods" not in spoken(answer)
        for method in ("OPTIONS", "TRACE", "get", "POST, GET", "*"):
            assert status_of(await found.raw(preflight(method=method))) == 405
        answer = await found.raw(preflight("/orders/../admin"))
        assert status_of(answer) == 400


@pytest.mark.parametrize(
    "field",
    ["Access-Control-Request-Method: POST", "Access-Control-Request-Headers: a\r\nAccess-Control-Request-Headers: b"],
)
async def test_a_preflight_that_asks_twice_is_refused(tmp_path: Path, field: str) -> None:
    """One question has one answer."""
    async with gate(tmp_path) as found:
        answer = await found.raw(preflight("/orders", field))
        assert (status_of(answer), json_of(answer)["code"]) == (400, "bad_request")


async def test_options_that_is_no_preflight_is_not_served(tmp_path: Path) -> None:
    """Without an origin or without a question it is a method like any other: 405 with what there is."""
    async with gate(tmp_path) as found:
        for data in (preflight(origin=None), preflight(method=None), request("OPTIONS", "/orders", auth=None)):
            answer = await found.raw(data)
            assert (status_of(answer), header_of(answer)["allow"]) == (405, ["GET, POST, HEAD"])


async def test_without_settings_nothing_is_said_and_the_service_speaks_for_itself(tmp_path: Path) -> None:
    """A preflight is a method without a route, and what the service says to pages passes."""
    async with gate(tmp_path, cors=None) as found:
        answer = await found.raw(preflight())
        assert (status_of(answer), spoken(answer)) == (405, {})
        found.service.reply = json_answer({}, "Access-Control-Allow-Origin: https://own.example")
        answer = await found.raw(from_page())
        assert spoken(answer) == {"access-control-allow-origin": ["https://own.example"]}
        assert "vary" not in header_of(answer)


async def test_an_answer_can_be_read_by_the_page_and_the_services_own_words_are_dropped(tmp_path: Path) -> None:
    """One voice: ours; what the service says about `Vary` stays beside ours."""
    async with gate(tmp_path) as found:
        whole = json_answer(
            {},
            "Access-Control-Allow-Origin: *",
            "ACCESS-CONTROL-ALLOW-CREDENTIALS: true",
            "Access_Control_Allow_Origin: https://evil.example",
            "Access-Control-Expose-Headers: *",
            "Vary: Accept",
        )
        for method in ("GET", "HEAD"):
            found.service.reply = whole if method == "GET" else whole.removesuffix(b"{}")
            answer = await found.raw(from_page(method))
            exposed = "X-Trace-Id, X-Decision-Id, X-Redacted-Fields, Retry-After, WWW-Authenticate, X-Total"
            assert spoken(answer) == {
                "access-control-allow-origin": [PAGE],
                "access-control-allow-credentials": ["true"],
                "access-control-expose-headers": [exposed],
            }
            assert header_of(answer)["vary"] == ["Accept", "Origin"]
            assert "evil" not in str(header_of(answer))


async def test_an_answer_without_an_origin_says_that_it_would_differ(tmp_path: Path) -> None:
    """A cache that keeps it must not give it to a page."""
    async with gate(tmp_path) as found:
        answer = await found.raw(request())
        assert (spoken(answer), header_of(answer)["vary"]) == ({}, ["Origin"])


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (from_page(auth=None), Code.UNAUTHENTICATED),
        (from_page(auth="x.y.z"), Code.TOKEN_INVALID),
        (from_page(auth=token("Auditor")), Code.FORBIDDEN),
        (from_page("GET", "/tenants/globex/orders"), Code.TENANT_MISMATCH),
        (from_page("GET", "/nowhere"), Code.ROUTE_UNKNOWN),
        (from_page("DELETE", "/orders"), Code.METHOD_NOT_ALLOWED),
        (from_page("GET", "/orders//o-1"), Code.BAD_REQUEST),
        (from_page("POST", "/payments/p-1/refund", auth=token("Manager")), Code.UNSUPPORTED_MEDIA_TYPE),
    ],
)
async def test_a_refusal_can_be_read_by_the_page_that_asked(tmp_path: Path, data: bytes, code: Code) -> None:
    """Else the page's author sees a network error and nothing to go by."""
    async with gate(tmp_path) as found:
        answer = await found.raw(data)
        assert (status_of(answer), json_of(answer)["code"]) == (code.status, code.word)
        assert header_of(answer)["access-control-allow-origin"] == [PAGE]
        assert "X-Trace-Id" in header_of(answer)["access-control-expose-headers"][0]
        assert header_of(answer)["vary"] == ["Origin"]
        assert len(spoken(answer)["access-control-allow-origin"]) == 1


async def test_a_service_that_fails_fails_readably(tmp_path: Path) -> None:
    """502, whether the service is no HTTP server or its answer cannot be masked; and its own 404 and 500."""
    async with gate(tmp_path) as found:
        found.service.reply = b"SSH-2.0-OpenSSH_9.2\r\n\r\n"
        answer = await found.raw(from_page())
        assert (status_of(answer), header_of(answer)["access-control-allow-origin"]) == (502, [PAGE])
        for status in ("404 Not Found", "500 Internal Server Error"):
            found.service.reply = json_answer({}, status=status)
            answer = await found.raw(from_page())
            assert (status_of(answer), header_of(answer)["access-control-allow-origin"]) == (int(status[:3]), [PAGE])


async def test_any_origin_without_credentials(tmp_path: Path) -> None:
    """`*` says `*`, to everybody who says an origin, and never lets a cookie be used."""
    async with gate(tmp_path, CorsSource(origins=("*",))) as found:
        for origin in ("https://anybody.example", "null"):
            assert spoken(await found.raw(preflight(origin=origin)))["access-control-allow-origin"] == ["*"]
            answer = await found.raw(from_page(origin=origin))
            assert spoken(answer)["access-control-allow-origin"] == ["*"]
            assert "access-control-allow-credentials" not in spoken(answer)


async def test_a_preflight_in_the_middle_of_a_connection(tmp_path: Path) -> None:
    """Answered in its turn; one with a body that is not all there ends the connection, as a refusal would."""
    async with gate(tmp_path) as found:
        asks = preflight().replace(b"Connection: close\r\n", b"")
        answers = (await found.raw(asks + asks + from_page())).split(b"HTTP/1.1 ")[1:]
        assert [answer[:3] for answer in answers] == [b"204", b"204", b"200"]
        late = preflight().replace(b"Connection: close\r\n", b"Content-Length: 10\r\n")
        answer = await found.raw(late + b"12345")
        assert (status_of(answer), header_of(answer)["connection"]) == (204, ["close"])


async def test_the_origin_goes_on_to_the_service(tmp_path: Path) -> None:
    """It may have rules of its own; the question of a preflight is ours and is not asked again."""
    async with gate(tmp_path) as found:
        await found.raw(from_page())
        assert found.service.fields()["origin"] == PAGE


async def test_a_request_that_was_judged_before_is_answered_for_its_own_page(tmp_path: Path) -> None:
    """What is remembered of a head is for the same bytes: with another origin it says other things."""
    async with gate(tmp_path) as found:
        auth = token()
        pages = [PAGE, PAGE, OTHER, "https://evil.example", PAGE, OTHER]
        data = [request(auth=auth, headers=f"Origin: {page}", close=False) for page in pages]
        answers = (await found.raw(b"".join(data) + request(auth=auth))).split(b"HTTP/1.1 ")[1:]
        told = [spoken(b"HTTP/1.1 " + answer).get("access-control-allow-origin") for answer in answers]
        assert told == [[PAGE], [PAGE], [OTHER], None, [PAGE], [OTHER], None]
        assert found.server.recall.hits or found.registry.get_sample_value("lychgate_token_memo_hits_total")
