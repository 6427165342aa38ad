"""What a service sees of a request and a caller of an answer: nothing that speaks in our name but what we say."""

import itertools

import pytest

from gateway.forward import headers
from gateway.forward.headers import header_text, interim_head, request_head, response_head
from gateway.wire.framing import NO_BODY, Ending, Framing
from gateway.wire.head import ResponseHead
from roles.security_context.headers import NAMES
from tests.builders.heads import fields_of, make_head, names_of

INJECTED = [(b"x-security-context", b"signed"), (b"x-tenant-id", b"acme"), (b"traceparent", b"00-ours")]
OURS = {
    "host",
    "x-security-context",
    "x-tenant-id",
    "traceparent",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-forwarded-host",
}


def _sent(*fields: tuple[bytes, bytes], pass_authorization: bool = False, framing: Framing = NO_BODY) -> bytes:
    """The head a service is sent for these fields of a client."""
    return request_head(
        make_head(*fields),
        framing,
        b"/orders?x=1",
        b"127.0.0.1:9002",
        INJECTED,
        "192.0.2.7",
        pass_authorization=pass_authorization,
    )


def test_a_request_goes_on_as_it_was_decided() -> None:
    """Canonical target, the client's host, its own fields in order, ours once, and how its body ends."""
    sent = _sent((b"host", b"shop.example"), (b"accept", b"*/*"), (b"cookie", b"a=1"), (b"accept", b"text/html"))
    assert sent == (
        b"GET /orders?x=1 HTTP/1.1\r\nhost: shop.example\r\naccept: */*\r\ncookie: a=1\r\naccept: text/html\r\n"
        b"x-forwarded-host: shop.example\r\nx-security-context: signed\r\nx-tenant-id: acme\r\ntraceparent: 00-ours\r\n"
        b"x-forwarded-for: 192.0.2.7\r\nx-forwarded-proto: http\r\n\r\n"
    )


def test_a_client_without_a_host_gets_the_services() -> None:
    """HTTP/1.0; nothing is claimed about a host it never named."""
    sent = request_head(
        make_head(host=b"", http_11=False), NO_BODY, b"/", b"127.0.0.1:9002", (), "192.0.2.7", pass_authorization=False
    )
    assert fields_of(sent)[0] == ("host", "127.0.0.1:9002")
    assert "x-forwarded-host" not in names_of(sent)


IDENTITY = [
    *(name.lower() for name in NAMES),
    "x-user-email",
    "x-user-anything",
    "x-security-context-2",
]
ORIGIN = [
    "forwarded",
    "x-forwarded",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-uri",
    "x-forwarded-prefix",
    "x-forwarded-method",
    "x-forwarded-server",
    "x-original-url",
    "x-original-uri",
    "x-original-method",
    "x-original-host",
    "x-rewrite-url",
    "x-real-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "true-client-ip",
    "x-envoy-original-path",
    "x-envoy-external-address",
]
OVERRIDES = ["x-http-method", "x-http-method-override", "x-method-override", "proxy"]
HOP = [
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
]
HOP += ["upgrade", "http2-settings", "connection"]
ANEW = ["content-length", "expect", "host"]
CREDENTIALS = ["authorization", "x-api-key", "api-key"]


PROXYS = ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-port", "forwarded"]
ENVOYS = ["x-envoy-original-path", "x-envoy-external-address"]


@pytest.mark.parametrize("name", IDENTITY + ORIGIN + OVERRIDES + HOP + ANEW + CREDENTIALS)
def test_a_proxy_in_our_place_takes_out_the_same_but_what_it_writes_itself(name: str) -> None:
    """Its hop, its framing and what it tells of the client are its own; with underscores they are nobody's."""
    own = name in {*PROXYS, *ENVOYS, *HOP, *ANEW}
    assert headers.proxy_removes(name.encode(), pass_authorization=False) is not own
    if "-" in name:
        assert headers.proxy_removes(name.replace("-", "_").encode(), pass_authorization=True)


def test_a_proxy_passes_a_credential_where_the_route_says() -> None:
    """And what is nobody's business always."""
    assert not headers.proxy_removes(b"authorization", pass_authorization=True)
    assert headers.proxy_removes(b"x-api-key", pass_authorization=True)
    assert not headers.proxy_removes(b"accept", pass_authorization=False)


@pytest.mark.parametrize("name", IDENTITY + ORIGIN + OVERRIDES + HOP + ANEW + CREDENTIALS)
def test_what_a_client_may_not_say_is_gone_in_every_spelling(name: str) -> None:
    """Underscores for hyphens one by one and all together, and often; the reader has made the case one already."""
    places = [at for at, char in enumerate(name) if char == "-"]
    spellings = {
        "".join("_" if at in chosen else char for at, char in enumerate(name))
        for count in range(len(places) + 1)
        for chosen in itertools.combinations(places, count)
    }
    fields = [(spelling.encode(), b"forged") for spelling in sorted(spellings) for _ in range(2)]
    sent = _sent(*fields, (b"x-honest", b"1"))
    assert b"forged" not in sent
    assert names_of(sent) == OURS | {"x-honest"}


@pytest.mark.parametrize(
    "name",
    ["x-userland", "x-tenant", "x-trace", "x-originality", "tex", "hostname", "x-forward", "contents-length", "origin"],
)
def test_what_only_looks_like_it_passes(name: str) -> None:
    """Nothing is taken from a client that has done nothing wrong."""
    assert (name, "kept") in fields_of(_sent((name.encode(), b"kept")))


def test_a_credential_passes_only_under_its_own_name_and_where_the_route_says() -> None:
    """`pass_authorization` is about `Authorization`, and about nothing else."""
    fields = ((b"authorization", b"Bearer x"), (b"x-api-key", b"k"), (b"api_key", b"k"), (b"proxy-authorization", b"p"))
    assert names_of(_sent(*fields)) == OURS
    assert names_of(_sent(*fields, pass_authorization=True)) == OURS | {"authorization"}


@pytest.mark.parametrize("named", ["x-security-context", "X-Tenant-Id, Traceparent", "x-forwarded-for, host, close"])
def test_connection_cannot_strip_what_we_say(named: str) -> None:
    """Traefik CVE-2024-45410: the names are the client's to give for its own fields only."""
    sent = _sent((b"connection", named.encode()), (b"x-security-context", b"forged"))
    assert names_of(sent) == OURS
    assert ("x-security-context", "signed") in fields_of(sent)
    assert ("host", "shop.example") in fields_of(sent)


def test_connection_strips_what_it_names_of_the_clients_own() -> None:
    """RFC 9110 s7.6.1, over several fields and in any case."""
    sent = _sent(
        (b"connection", b"X-One , keep-alive"),
        (b"x-one", b"1"),
        (b"x-two", b"2"),
        (b"connection", b"X-TWO"),
        (b"x-three", b"3"),
    )
    assert names_of(sent) == OURS | {"x-three"}


@pytest.mark.parametrize(
    ("framing", "expected"),
    [
        (NO_BODY, []),
        (Framing(Ending.LENGTH, 0), [("content-length", "0")]),
        (Framing(Ending.LENGTH, 5), [("content-length", "5")]),
        (Framing(Ending.CHUNKED), [("transfer-encoding", "chunked")]),
    ],
)
def test_framing_is_written_anew(framing: Framing, expected: list[tuple[str, str]]) -> None:
    """Never copied, in either direction, and said in one field."""
    forged = ((b"content-length", b"77"), (b"transfer-encoding", b"gzip"), (b"content_length", b"78"))
    sent = fields_of(_sent(*forged, framing=framing))
    assert [
        field for field in sent if field[0] in {"content-length", "transfer-encoding", "content_length"}
    ] == expected
    answered = fields_of(response_head(_answer(*forged[:2]), framing, (), close=False))
    if framing != NO_BODY:
        assert answered == expected


def test_names_that_strangers_choose_are_not_remembered_without_bound() -> None:
    """The verdicts stay right when the memory of them starts anew."""
    for number in range(5000):
        assert f"x-{number}" in names_of(_sent((f"x-{number}".encode(), b"1"), (f"x-user-{number}".encode(), b"1")))
    assert len(headers._dropped) <= 2048
    assert names_of(_sent((b"x-user-1", b"forged"))) == OURS


def _answer(*fields: tuple[bytes, bytes], status: int = 200, reason: bytes = b"OK") -> ResponseHead:
    return ResponseHead(status, reason, fields, NO_BODY, True)


def test_an_answer_goes_on_without_what_is_not_the_clients() -> None:
    """Hop-by-hop fields, those that `Connection` names, and what would speak in our name; ours come once."""
    sent = response_head(
        _answer(
            (b"connection", b"x-secret"),
            (b"x-secret", b"1"),
            (b"keep-alive", b"timeout=5"),
            (b"trailer", b"x"),
            (b"upgrade", b"h2c"),
            (b"x-trace-id", b"forged"),
            (b"x-decision-id", b"forged"),
            (b"x-security-context", b"forged"),
            (b"x-user-id", b"forged"),
            (b"set-cookie", b"a=1"),
            (b"set-cookie", b"b=2"),
            (b"etag", b'"x"'),
        ),
        Framing(Ending.LENGTH, 3),
        ((b"x-trace-id", b"t"), (b"x-decision-id", b"d")),
        close=False,
    )
    assert sent == (
        b'HTTP/1.1 200 OK\r\nset-cookie: a=1\r\nset-cookie: b=2\r\netag: "x"\r\n'
        b"content-length: 3\r\nx-trace-id: t\r\nx-decision-id: d\r\n\r\n"
    )


@pytest.mark.parametrize(
    ("status", "length", "kept"), [(200, b"9", True), (304, b"9", True), (404, b"0", True), (204, b"0", False)]
)
def test_an_answer_without_a_body_tells_the_length_it_would_have(status: int, length: bytes, kept: bool) -> None:
    """To HEAD, or as a 304; a 204 has none to tell (RFC 9110 s8.6)."""
    sent = response_head(_answer((b"content-length", length), status=status), NO_BODY, (), close=False)
    assert ("content-length" in names_of(sent)) is kept


def test_the_end_of_a_connection_is_said() -> None:
    """Once, and only when it ends."""
    for close in (True, False):
        sent = response_head(_answer((b"connection", b"close")), Framing(Ending.CLOSE), (), close=close)
        assert fields_of(sent) == ([("connection", "close")] if close else [])


def test_an_interim_answer_is_passed_on_clean() -> None:
    """The same rules, no framing, and nothing of ours: the real answer follows."""
    fields = (
        (b"link", b"</a>"),
        (b"content-length", b"5"),
        (b"x-user-id", b"forged"),
        (b"connection", b"x-a"),
        (b"x-a", b"1"),
    )
    assert interim_head(_answer(*fields, status=103, reason=b"Early Hints")) == (
        b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n"
    )


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", b""),
        ("u-17@example.com/x", b"u-17@example.com/x"),
        ("a b", b"a%20b"),
        ("50%", b"50%25"),
        ("é", b"%C3%A9"),
        ("a\r\nx: y", b"a%0D%0Ax:%20y"),
        ("a\x7f\x00", b"a%7F%00"),
        ("😀", b"%F0%9F%98%80"),
    ],
)
def test_text_becomes_a_field_value_that_cannot_leave_its_line(text: str, value: bytes) -> None:
    """Only visible ASCII, and decoding it gives the text back."""
    assert header_text(text) == value
