"""What a request brings to its decision: read once, strictly, and as the service will read it."""

import base64
import json
from collections import Counter
from typing import Any

import pytest

from gateway.errors import BadRequest, GatewayError, UnsupportedMedia
from gateway.model import Attribute, Source
from gateway.route.extract import check_json_head, context_values, is_pointer, named_tenants, parse_json, pointer
from policies.model import Json
from tests.builders.heads import make_head, make_route
from tests.builders.vectors import vectors

NOWHERE = pointer({}, "/nowhere")

# Where we are stricter than RFC 8259, with the reason.
STRICTER = {
    "y_object_duplicated_key.json": "RFC 8259 s4: readers differ on which one they keep, and one is the policy's",
    "y_object_duplicated_key_and_value.json": "the same: whether two values are equal is not for us to find out",
}
CONSTRUCTED = {"100000 x [": b"[" * 100_000, '50000 x [{"": then newline': b'[{"":' * 50_000 + b"\n"}


def test_the_json_test_suite(capsys: pytest.CaptureFixture[str]) -> None:
    """Everything malformed is 400, everything well-formed is read, and nothing is anything else."""
    ran: Counter[str] = Counter()
    for line in vectors("json", "jsontestsuite.jsonl").read_text(encoding="utf-8").splitlines():
        case = json.loads(line)
        expect = "reject" if case["id"] in STRICTER else case["expect"]
        try:
            parse_json(CONSTRUCTED[case["construct"]] if "construct" in case else base64.b64decode(case["raw_b64"]))
            verdict = "accept"
        except BadRequest:
            verdict = "reject"
        ran[case["expect"]] += 1
        if expect in {"accept", "reject"}:
            assert verdict == expect, case["id"]
    with capsys.disabled():
        print(f"\nJSONTestSuite: {ran.total()} ran, {dict(ran)}; {len(STRICTER)} stricter")  # noqa: T201 - asked for
    assert ran.total() == 340


def test_the_pointers_of_rfc_6901(capsys: pytest.CaptureFixture[str]) -> None:
    """Every example leads where the RFC says, everything that is no pointer or leads nowhere is neither."""
    suite = json.loads(vectors("json", "rfc6901.json").read_text(encoding="utf-8"))
    for path, value in suite["string_pointers"]:
        assert is_pointer(path)
        assert pointer(suite["document"], path) == value
    for path in suite["invalid"]:
        assert not is_pointer(path) or pointer(suite["document"], path) is NOWHERE, path
    counts = (len(suite["string_pointers"]), len(suite["invalid"]))
    with capsys.disabled():
        print(f"\nRFC 6901: {counts[0]} valid and {counts[1]} invalid pointers ran")  # noqa: T201 - asked for
    assert counts == (12, 11)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("/a~01", 1),
        ("/list/0", "x"),
        ("/list/2", NOWHERE),
        ("/list/-", NOWHERE),
        ("/list/00", NOWHERE),
        ("/list/9999999999", NOWHERE),
        ("/list/\u0660", NOWHERE),
        ("/text/0", NOWHERE),
        ("/null", None),
        ("/null/x", NOWHERE),
        ("/0", "zero"),
    ],
)
def test_a_pointer_leads_to_a_value_or_nowhere(path: str, value: object) -> None:
    """`null` is a value; text has no elements; an index is ASCII digits without a leading zero."""
    document: Json = {"a~1": 1, "list": ["x", "y"], "text": "abc", "null": None, "0": "zero"}
    assert pointer(document, path) == value


@pytest.mark.parametrize(
    "value", [b"application/json", b"Application/JSON; charset=utf-8", b'application/json;charset="UTF-8" ']
)
@pytest.mark.parametrize("coding", [(), ((b"content-encoding", b"Identity"),)])
def test_plain_json_in_utf_8_can_be_decided_on(value: bytes, coding: tuple[tuple[bytes, bytes], ...]) -> None:
    """As clients send it."""
    check_json_head(make_head((b"content-type", value), *coding))


@pytest.mark.parametrize(
    "fields",
    [
        (),
        ((b"content-type", b""),),
        ((b"content-type", b"text/json"),),
        ((b"content-type", b"application/json-patch+json"),),
        ((b"content-type", b"application/problem+json"),),
        ((b"content-type", b"application/json; charset=utf-16"),),
        ((b"content-type", b"application/json; charset=utf-8; charset=utf-16"),),
        ((b"content-type", b"application/json, text/plain"),),
        ((b"content-type", b"application/json"), (b"content-type", b"text/plain")),
        ((b"content-type", b"application/json"), (b"content-type", b"application/json")),
        ((b"content-type", b"application/json"), (b"content-encoding", b"gzip")),
        ((b"content-type", b"application/json"), (b"content-encoding", b"")),
        ((b"content-type", b"application/json"), (b"content-encoding", b"identity"), (b"content-encoding", b"br")),
        ((b"content-type", b"application/json"), (b"content_encoding", b"gzip")),
        ((b"content-type", b"application/json"), (b"content_type", b"text/plain")),
    ],
)
def test_any_other_body_cannot_be_decided_on(fields: tuple[tuple[bytes, bytes], ...]) -> None:
    """A service might see another document than the policy did."""
    with pytest.raises(UnsupportedMedia):
        check_json_head(make_head(*fields))


def _value(item: Attribute, body: Json = None, query: bytes | None = None, *fields: tuple[bytes, bytes]) -> Any:
    """What one attribute becomes; the path's parameter is `p`."""
    route = make_route("/orders/{p}", attributes=(item,))
    return context_values(route, make_head(*fields), query, {"p": "7"}, body).get(item.name, "nothing")


def _item(source: Source, key: str, kind: str = "String", *, required: bool = True) -> Attribute:
    return Attribute("it", source, key, kind, required)


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("String", "", ""),
        ("String", "a b", "a b"),
        ("Boolean", "true", True),
        ("Boolean", "false", False),
        ("Long", "0", 0),
        ("Long", "-17", -17),
        ("Long", "9223372036854775807", 2**63 - 1),
        ("Long", "-9223372036854775808", -(2**63)),
    ],
)
def test_text_is_read_as_the_type_the_schema_gives_it(kind: str, text: str, value: object) -> None:
    """From a header, a query and a path alike."""
    assert _value(_item(Source.HEADER, "x-it", kind), None, None, (b"x-it", text.encode())) == value
    assert _value(_item(Source.QUERY, "it", kind), None, b"it=" + text.replace(" ", "%20").encode()) == value
    if text:
        route = make_route("/orders/{p}", attributes=(_item(Source.PATH, "p", kind),))
        assert context_values(route, make_head(), None, {"p": text}, None) == {"it": value}


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("Boolean", "True"),
        ("Boolean", "1"),
        ("Boolean", ""),
        ("Long", ""),
        ("Long", "+1"),
        ("Long", "01"),
        ("Long", "1.0"),
        ("Long", "1e3"),
        ("Long", " 1"),
        ("Long", "1_000"),
        ("Long", "0x10"),
        ("Long", "9223372036854775808"),
        ("Long", "-9223372036854775809"),
        ("Long", "9" * 5000),
        ("Long", "\u0661"),
    ],
)
def test_text_that_is_not_of_the_type_is_400(kind: str, text: str) -> None:
    """Two readers must not make two numbers of it."""
    with pytest.raises(BadRequest, match="is not a"):
        _value(
            _item(Source.QUERY, "it", kind), None, b"it=" + text.encode().replace(b"+", b"%2B").replace(b" ", b"%20")
        )


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        ("String", ["", "x", "\u0000"], [1, True, None, [], {}, 1.5]),
        ("Boolean", [True, False], ["true", 0, 1, None]),
        ("Long", [0, -1, 2**63 - 1, -(2**63)], ["1", True, 1.0, 1e3, 2**63, -(2**63) - 1, None]),
    ],
)
def test_a_json_value_has_the_type_or_is_400(kind: str, good: list[Json], bad: list[Json]) -> None:
    """Nothing is converted; `null` is a value of no type."""
    item = _item(Source.BODY, "/it", kind)
    for value in good:
        found = _value(item, {"it": value})
        assert (found, type(found)) == (value, type(value))
    for value in bad:
        with pytest.raises(BadRequest, match="is not a"):
            _value(item, {"it": value})


@pytest.mark.parametrize("source", [Source.BODY, Source.HEADER, Source.QUERY])
def test_what_is_missing_is_400_where_it_is_required_and_nothing_where_not(source: Source) -> None:
    """An optional value that is absent is absent from the context, not empty."""
    key = "/it" if source is Source.BODY else "it"
    with pytest.raises(BadRequest, match="missing"):
        _value(_item(source, key), {}, b"other=1")
    assert _value(_item(source, key, required=False), {}, b"other=1") == "nothing"


@pytest.mark.parametrize(
    ("query", "value"),
    [
        (b"it=a", "a"),
        (b"x=1&it=a+b%2Bc&y", "a b+c"),
        (b"%69t=a", "a"),
        (b"it", ""),
        (b"it=", ""),
        (b"it=a=b", "a=b"),
        (b"IT=x&it=a", "a"),
        (b"it=a;b=c", "a;b=c"),
        (b"it=%C3%A9", "é"),
    ],
)
def test_a_query_value_is_decoded_once(query: bytes, value: str) -> None:
    """As forms encode it."""
    assert _value(_item(Source.QUERY, "it"), None, query) == value


@pytest.mark.parametrize("query", [b"it=1&it=1", b"it=1&%69t=2", b"it&it=", b"it=%ff", b"it=1&%ff=2"])
def test_an_ambiguous_query_is_400(query: bytes) -> None:
    """Which of two values a service takes is the service's secret."""
    with pytest.raises(BadRequest):
        _value(_item(Source.QUERY, "it"), None, query)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        (((b"x-it", b"a"), (b"x-it", b"a")), "twice"),
        (((b"x-it", b"a"), (b"x_it", b"b")), "two ways"),
        (((b"x_it", b"b"),), "two ways"),
        (((b"x-it", b"a"), (b"connection", b"close, X-It")), "this hop"),
    ],
)
def test_a_header_that_the_service_may_see_otherwise_is_400(
    fields: tuple[tuple[bytes, bytes], ...], words: str
) -> None:
    """Decided on is what is forwarded: once, under one name, and not taken out on the way."""
    with pytest.raises(BadRequest, match=words):
        _value(_item(Source.HEADER, "x-it"), None, None, *fields)


def test_a_connection_field_that_names_others_is_no_matter() -> None:
    """`keep-alive` and friends."""
    fields = ((b"x-it", b"a"), (b"connection", b"keep-alive, x-it-not"), (b"x_other", b"c"))
    assert _value(_item(Source.HEADER, "x-it"), None, None, *fields) == "a"


def test_every_tenant_that_a_request_names_is_found() -> None:
    """Parameter, field as often as it is sent, pointers, in this order."""
    route = make_route("/t/{tenant}/orders", tenant_param="tenant", tenant_pointers=("/tenant_id", "/lines/0/of"))
    body: Json = {"tenant_id": "b", "lines": [{"of": "c"}]}
    head = make_head((b"x-tenant-id", b"d"), (b"x-tenant-id", b"\xff"))
    assert named_tenants(route, head, {"tenant": "a"}, body) == ["a", "d", "\xff", "b", "c"]
    assert named_tenants(make_route(), make_head(), {}, None) == []


@pytest.mark.parametrize("body", [{}, {"tenant_id": None}, {"tenant_id": 1}, {"tenant_id": ["a"]}, None, []])
def test_a_body_that_does_not_name_its_tenant_is_400(body: Json) -> None:
    """A declared pointer must lead to text."""
    with pytest.raises(BadRequest, match="tenant"):
        named_tenants(make_route(tenant_pointers=("/tenant_id",)), make_head(), {}, body)


def test_a_body_that_is_not_strict_json_is_400_without_its_text() -> None:
    """The reason is for the record, and holds nothing that was sent."""
    for raw in (b"", b'{"pin": 1234,}', b'{"pin":1,"pin":2}', b"[" * 100_000, b'"\\ud800"', b"\xff", b"NaN"):
        with pytest.raises(GatewayError) as caught:
            parse_json(raw)
        assert (caught.value.code.word, caught.value.close) == ("bad_request", False)
        assert "pin" not in caught.value.reason
