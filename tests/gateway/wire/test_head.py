"""Request and answer heads: what is read, and what is refused before any parser's opinion counts."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.errors import BadRequest, Code, GatewayError, TooLarge, UpstreamError
from gateway.limits import Limits
from gateway.wire.framing import NO_BODY, Ending, Framing
from gateway.wire.head import HeadReader, read_response
from tests.builders.heads import block, ids, read

CASES = Path(__file__).parents[2] / "cases" / "heads"
REFUSED: list[dict[str, Any]] = yaml.safe_load((CASES / "refused.yaml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("case", REFUSED, ids=ids(REFUSED))
def test_an_ambiguous_head_is_refused_and_the_connection_closed(case: dict[str, Any]) -> None:
    """Whatever another hop might read differently ends here, with its own code and a reason for the record."""
    with pytest.raises(GatewayError) as caught:
        read(case["raw"].encode("latin-1"))
    assert caught.value.code.word == case.get("code", "bad_request")
    assert caught.value.close, case["why"]
    assert case["reason"].lower() in caught.value.reason.lower()


@pytest.mark.parametrize("case", REFUSED, ids=ids(REFUSED))
def test_a_reader_that_has_refused_reads_the_next_head_as_if_new(case: dict[str, Any]) -> None:
    """No state of a head that was refused reaches another."""
    reader = HeadReader(Limits())
    assert reader.read(block("GET /before HTTP/1.1")).target == b"/before"
    with pytest.raises(GatewayError):
        reader.read(case["raw"].encode("latin-1"))
    head = reader.read(block("GET /after HTTP/1.1", "X-After: 1"))
    assert (head.target, head.headers) == (b"/after", ((b"host", b"shop.example"), (b"x-after", b"1")))


def test_a_head_is_read_as_it_was_sent() -> None:
    """Names in lower case, values and order kept, repeated fields apart."""
    head = read(block("PATCH /a/b?c=d HTTP/1.1", "X-One: 1", "x-TWO: a, B", "X-One: 2", "Content-Length: 007"))
    assert (head.method, head.target, head.http_11, head.host) == (b"PATCH", b"/a/b?c=d", True, b"shop.example")
    assert head.headers == (
        (b"host", b"shop.example"),
        (b"x-one", b"1"),
        (b"x-two", b"a, B"),
        (b"x-one", b"2"),
        (b"content-length", b"007"),
    )
    assert head.framing == Framing(Ending.LENGTH, 7)
    assert head.get(b"x-one") == b"1"
    assert head.get_all(b"x-one") == [b"1", b"2"]
    assert (head.get(b"x-three"), head.get_all(b"x-three")) == (None, [])
    assert head.size > 60


@pytest.mark.parametrize("space", ["", " ", "   ", "\t", "  \t "])
def test_white_space_around_a_value_is_not_part_of_it(space: str) -> None:
    """RFC 9110 s5.5, also behind the value: what is decided on is what the service will read."""
    behind = space.replace("\t", "")  # llhttp refuses a tab behind this one value; so be it
    raw = block("POST / HTTP/1.1", f"X:{space}web shop{space}", f"Transfer-Encoding:{space}chunked{behind}")
    head = read(raw.replace(b"Host: shop.example", b"Host:" + space.encode() + b"shop.example" + space.encode()))
    assert head.get(b"x") == b"web shop"
    assert head.host == b"shop.example"
    assert head.framing.ending is Ending.CHUNKED


def test_a_value_may_be_empty_or_hold_any_text() -> None:
    """Empty values, obs-text, and white space before a colon inside a value are no offence."""
    head = read(block("GET / HTTP/1.1", "X:", "Y: \xff\xe9", "Z: a : b\t: c"))
    assert head.headers[1:] == ((b"x", b""), (b"y", b"\xff\xe9"), (b"z", b"a : b\t: c"))


@pytest.mark.parametrize(
    ("host", "accepted"),
    [
        ("shop.example", True),
        ("shop.example:8443", True),
        ("shop.example:", True),
        ("under_score~x", True),
        ("192.0.2.1:80", True),
        ("[2001:db8::1]:80", True),
        ("[::ffff:192.0.2.1]", True),
        ("", True),
        ("shop%2eexample", False),
        ("0.0.0.0=5000", False),
        ("[::1]x", False),
        ("a b", False),
        ("a\tb", False),
    ],
)
def test_a_host_is_a_name_or_an_address_and_maybe_a_port(host: str, accepted: bool) -> None:
    """It is sent on as it came, so nothing in it may be read in two ways."""
    raw = block("GET / HTTP/1.1", host=host)
    if accepted:
        assert read(raw).host == host.encode()
    else:
        with pytest.raises(BadRequest, match="host"):
            read(raw)


@pytest.mark.parametrize(
    ("target", "host", "expected"),
    [
        ("http://shop.example/a?b", "shop.example", b"/a?b"),
        ("HTTP://SHOP.example/a", "shop.EXAMPLE", b"/a"),
        ("https://shop.example:8443/", "shop.example:8443", b"/"),
        ("http://shop.example", "shop.example", b"/"),
        ("http://shop.example?a=b/c", "shop.example", b"/?a=b/c"),
        ("http://shop.example//a", "shop.example", b"//a"),
    ],
)
def test_an_absolute_target_of_the_host_becomes_origin_form(target: str, host: str, expected: bytes) -> None:
    """RFC 9112 s3.2.2: servers must accept it; two authorities that agree are one."""
    assert read(block(f"GET {target} HTTP/1.1", host=host)).target == expected


@pytest.mark.parametrize(
    ("version", "fields", "keep_alive"),
    [
        ("1.1", (), True),
        ("1.1", ("Connection: keep-alive",), True),
        ("1.1", ("Connection: close",), False),
        ("1.1", ("Connection: x, CLOSE ,y",), False),
        ("1.1", ("Connection: x", "Connection: Close\t"), False),
        ("1.1", ("Connection: closed",), True),
        ("1.1", ("Proxy-Connection: close",), True),
        ("1.0", (), False),
        ("1.0", ("Connection: keep-alive",), False),
    ],
)
def test_a_connection_is_kept_when_its_client_speaks_1_1_and_does_not_close_it(
    version: str, fields: tuple[str, ...], keep_alive: bool
) -> None:
    """1.0's own keep-alive was never specified well enough for an edge."""
    assert read(block(f"GET / HTTP/{version}", *fields)).keep_alive is keep_alive


@pytest.mark.parametrize(
    "first",
    [
        block("GET /1 HTTP/1.1"),
        block("GET /1 HTTP/1.1", "Proxy-Connection: close"),
        block("POST /1 HTTP/1.1", "Content-Length: 0"),
        block("POST /1 HTTP/1.1", "Content-Length: 12"),
        block("POST /1 HTTP/1.1", "Transfer-Encoding: chunked"),
        block("GET /1 HTTP/1.1", "Upgrade: h2c", "Connection: Upgrade, HTTP2-Settings"),
        block("POST /1 HTTP/1.1", "Upgrade: websocket", "Connection: Upgrade", "Content-Length: 3"),
    ],
)
def test_a_kept_connection_reads_head_after_head(first: bytes) -> None:
    """The parser is kept where it is between messages and made anew where it is not; nothing leaks over."""
    reader = HeadReader(Limits())
    for number in range(3):
        assert reader.read(first).keep_alive, number
        second = reader.read(block("GET /2 HTTP/1.1", "X: 2"))
        assert (second.target, second.framing) == (b"/2", NO_BODY)
        assert second.headers == ((b"host", b"shop.example"), (b"x", b"2"))


def test_a_reader_reads_on_behind_a_head_that_ends_its_connection() -> None:
    """Whether to is the connection's business; llhttp, kept, would refuse whatever follows."""
    reader = HeadReader(Limits())
    for ending in (block("GET /1 HTTP/1.0"), block("GET /1 HTTP/1.1", "Connection: close")):
        assert not reader.read(ending).keep_alive
        assert reader.read(block("GET /2 HTTP/1.1")).target == b"/2"


@pytest.mark.parametrize("name", ["Upgrade", "UPGRADE", "upgrade"])
@pytest.mark.parametrize("offer", ["h2c", "websocket", "TLS/1.0, h2c"])
def test_an_upgrade_is_taken_out_before_framing_is_judged(name: str, offer: str) -> None:
    """With an offer in its head llhttp would not read the body, and the body would be the next request."""
    head = read(block("POST / HTTP/1.1", f"{name}: {offer}", "Connection: Upgrade", "Content-Length: 5"))
    assert head.framing == Framing(Ending.LENGTH, 5)
    assert head.get(b"upgrade") is None
    chunked = read(block("POST / HTTP/1.1", f"{name}: {offer}", "Connection: Upgrade", "Transfer-Encoding: chunked"))
    assert chunked.framing.ending is Ending.CHUNKED


def test_the_word_upgrade_in_a_value_is_only_a_word() -> None:
    """Only the field is an offer."""
    head = read(block("GET / HTTP/1.1", "X: upgrade: h2c", "Upgrade-Insecure-Requests: 1"))
    assert head.get(b"x") == b"upgrade: h2c"
    assert head.get(b"upgrade-insecure-requests") == b"1"


@pytest.mark.parametrize(
    ("line", "expects"), [("POST / HTTP/1.1", True), ("POST / HTTP/1.0", False)], ids=["1.1", "1.0"]
)
def test_an_expectation_counts_in_1_1_only(line: str, expects: bool) -> None:
    """RFC 9110 s10.1.1: in 1.0 it is ignored."""
    assert read(block(line, "Expect: 100-Continue", "Content-Length: 1")).expects_continue is expects


def test_a_1_0_request_needs_no_host() -> None:
    """It came before virtual hosts."""
    head = read(block("GET /a HTTP/1.0", host=None))
    assert (head.host, head.http_11, head.keep_alive) == (b"", False, False)


def test_a_long_request_line_is_414() -> None:
    """At the limit it is read, a byte more and it is not."""
    limits = Limits(request_line_bytes=64)
    line = "GET /" + "a" * (64 - len("GET / HTTP/1.1")) + " HTTP/1.1"
    assert read(block(line), limits).target.startswith(b"/a")
    with pytest.raises(TooLarge) as caught:
        read(block(line.replace("/a", "/aa", 1)), limits)
    assert (caught.value.code, caught.value.close) == (Code.URI_TOO_LONG, True)


def test_too_many_fields_are_431() -> None:
    """At the limit they are read, one more and they are not."""
    limits = Limits(header_count=5)
    assert len(read(block("GET / HTTP/1.1", *["X: 1"] * 4), limits).headers) == 5
    with pytest.raises(TooLarge) as caught:
        read(block("GET / HTTP/1.1", *["X: 1"] * 5), limits)
    assert (caught.value.code, caught.value.close) == (Code.HEADER_TOO_LARGE, True)


def _answer(line: str, *fields: str) -> bytes:
    return ("\r\n".join([line, *fields]) + "\r\n\r\n").encode("latin-1")


@pytest.mark.parametrize(
    ("line", "fields", "status", "reason", "framing", "keep_alive"),
    [
        ("HTTP/1.1 200 OK", ("Content-Length: 5",), 200, b"OK", Framing(Ending.LENGTH, 5), True),
        ("HTTP/1.1 200 OK", ("Content-Length: 5 ",), 200, b"OK", Framing(Ending.LENGTH, 5), True),
        ("HTTP/1.1 200 OK", ("Transfer-Encoding: Chunked",), 200, b"OK", Framing(Ending.CHUNKED), True),
        ("HTTP/1.1 200 OK", (), 200, b"OK", Framing(Ending.CLOSE), True),
        ("HTTP/1.1 404 ", ("Content-Length: 0", "Connection: close"), 404, b"", Framing(Ending.LENGTH), False),
        ("HTTP/1.1 204 No Content", (), 204, b"No Content", NO_BODY, True),
        ("HTTP/1.1 304 Not Modified", ("Content-Length: 9",), 304, b"Not Modified", NO_BODY, True),
        ("HTTP/1.1 103 Early Hints", ("Link: </a>",), 103, b"Early Hints", NO_BODY, True),
        ("HTTP/1.0 200 OK", ("Content-Length: 1",), 200, b"OK", Framing(Ending.LENGTH, 1), False),
        (
            "HTTP/1.0 200 OK",
            ("Content-Length: 1", "Connection: Keep-Alive"),
            200,
            b"OK",
            Framing(Ending.LENGTH, 1),
            True,
        ),
        (
            "HTTP/1.1 200 OK",
            ("Upgrade: h2,h2c", "Connection: Upgrade", "Content-Length: 2"),
            200,
            b"OK",
            Framing(Ending.LENGTH, 2),
            True,
        ),
    ],
)
def test_an_answer_is_read(
    line: str, fields: tuple[str, ...], status: int, reason: bytes, framing: Framing, keep_alive: bool
) -> None:
    """Status, reason, how the body ends, and whether the connection may be used again."""
    head = read_response(_answer(line, *fields), b"GET")
    assert (head.status, head.reason, head.framing, head.keep_alive) == (status, reason, framing, keep_alive)
    assert [name.decode() for name, _ in head.headers] == [field.partition(":")[0].lower() for field in fields]


def test_an_answer_to_head_has_no_body_whatever_it_says() -> None:
    """The request's method decides before any field does."""
    for field in ("Content-Length: 100", "Transfer-Encoding: chunked", "X: 1"):
        assert read_response(_answer("HTTP/1.1 200 OK", field), b"HEAD").framing == NO_BODY


@pytest.mark.parametrize(
    "raw",
    [
        _answer("HTTP/2.0 200 OK"),
        _answer("HTTP/1.2 200 OK"),
        _answer("HTTP/0.9 200 OK"),
        _answer("ICY 200 OK"),
        b"\r\n" + _answer("HTTP/1.1 200 OK"),
        _answer("HTTP/1.1 99 Low"),
        _answer("HTTP/1.1 600 High"),
        _answer("HTTP/1.1 20x OK"),
        _answer("HTTP/1.1  200 OK"),
        _answer("HTTP/1.1 200 O\x00K"),
        _answer("HTTP/1.1 200 OK", "X: a\nY: b"),
        _answer("HTTP/1.1 200 OK", "X: a\rY: b"),
        _answer("HTTP/1.1 200 OK", "X: a", " folded"),
        _answer("HTTP/1.1 200 OK", "X : a"),
        _answer("HTTP/1.1 200 OK", "Content-Length: 1", "Content-Length: 1"),
        _answer("HTTP/1.1 200 OK", "Content-Length: 1, 1"),
        _answer("HTTP/1.1 200 OK", "Content-Length: 1", "Transfer-Encoding: chunked"),
        _answer("HTTP/1.1 200 OK", "Transfer-Encoding: gzip, chunked"),
        _answer("HTTP/1.1 200 OK", "Transfer-Encoding: gzip"),
        _answer("HTTP/1.0 200 OK", "Transfer-Encoding: chunked"),
        _answer("HTTP/1.1 101 Switching Protocols", "Upgrade: h2c", "Connection: upgrade"),
    ],
)
@pytest.mark.parametrize("method", [b"GET", b"HEAD"])
def test_an_ambiguous_answer_is_upstream_invalid(raw: bytes, method: bytes) -> None:
    """A service is a stranger too, also where its answer has no body."""
    with pytest.raises(UpstreamError) as caught:
        read_response(raw, method)
    assert caught.value.code is Code.UPSTREAM_INVALID


def test_a_changed_answer_keeps_nothing_that_was_worked_out_for_the_original() -> None:
    """A head may be remembered with what a client was sent of it; that is not what is sent of another."""
    head = read_response(b"HTTP/1.1 200 OK\r\nETag: x\r\nContent-Length: 5\r\n\r\n", b"GET")
    head.keep_passed(b"HTTP/1.1 200 OK\r\netag: x\r\ncontent-length: 5\r\n")
    changed = head.changed(((b"x", b"y"),), NO_BODY)
    assert (changed.passed, changed.headers, changed.framing) == (b"", ((b"x", b"y"),), NO_BODY)
    assert (changed.status, changed.reason, changed.keep_alive) == (200, b"OK", True)
    assert head.changed(()).framing == Framing(Ending.LENGTH, 5)
