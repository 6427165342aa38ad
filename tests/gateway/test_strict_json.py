"""JSON that can be read in one way only."""

import contextlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.strict_json import NotStrictJson, parse_document, parse_object, parse_value

_LIMIT = 64


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b"null",
        b'"x"',
        b"{",
        b"{}{}",
        b'{"a":1,}',
        b"{'a':1}",
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b'{"a":01}',
        b'{"a":1} x',
        b'{"a":"\\ud800"}',
        b'{"a":"\xff"}',
        b'{"a":"\x01"}',
        b'\xef\xbb\xbf{"a":1}',
        '{"a":1}'.encode("utf-16"),
        b'{"a":' + b"9" * 5000 + b"}",
        b'{"a":1,"a":2}',
        b'{"a":1,"\\u0061":2}',
        b'{"x":{"a":1,"b":2,"a":1}}',
        b'{"x":[{"a":1,"a":1}]}',
    ],
)
def test_refuses_what_two_readers_could_take_differently(raw: bytes) -> None:
    """Loose grammar, other encodings and a name that stands twice, at any depth and in any spelling, are refused."""
    with pytest.raises(NotStrictJson):
        parse_object(raw, _LIMIT)


def test_refuses_depth_before_a_recursive_reader_sees_it() -> None:
    """Nesting beyond the limit is refused, at the limit it is read."""
    at_limit = b'{"a":' * _LIMIT + b"1" + b"}" * _LIMIT
    assert "a" in parse_object(at_limit, _LIMIT)
    with pytest.raises(NotStrictJson):
        parse_object(b'{"b":' + at_limit + b"}", _LIMIT)
    with pytest.raises(NotStrictJson):
        parse_object(b'{"b":' + b"[" * 100_000, _LIMIT)


def test_the_error_holds_nothing_of_the_text() -> None:
    """A refused token's content does not get into logs by way of the message."""
    with pytest.raises(NotStrictJson) as caught:
        parse_object(b'{"secret":"hunter2","secret":1}', _LIMIT)
    assert "hunter2" not in str(caught.value)
    assert "secret" not in str(caught.value)


@given(st.binary(max_size=200))
def test_any_bytes_are_an_object_or_refused(raw: bytes) -> None:
    """No input raises anything else."""
    with contextlib.suppress(NotStrictJson):
        assert isinstance(parse_object(raw, _LIMIT), dict)


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (b"1", 1),
        (b"-1.5", -1.5),
        (b'"x"', "x"),
        (b" null\n", None),
        (b"[]", []),
        (b'{"a":[{"b":1}]}', {"a": [{"b": 1}]}),
    ],
)
def test_a_value_may_be_of_any_kind(raw: bytes, value: object) -> None:
    """A body is whatever JSON is; only tokens must be objects."""
    assert parse_value(raw, _LIMIT) == value


@pytest.mark.parametrize(
    "raw",
    [b"", b"{", b"1 2", b"NaN", b"[Infinity]", b'"\\ud800"', b'["\\udc00\\ud800"]', b"\xef\xbb\xbf1", b"1e400", b"'x'"],
)
def test_a_value_is_as_strict_as_an_object(raw: bytes) -> None:
    """Nothing that is refused in a token is taken in a body."""
    with pytest.raises(NotStrictJson):
        parse_value(raw, _LIMIT)


def test_a_value_has_no_name_twice_at_any_depth() -> None:
    """The policy and the service must not read different members."""
    with pytest.raises(NotStrictJson, match="a member twice"):
        parse_value(b'[{"x":[{"amount":1,"\\u0061mount":2}]}]', _LIMIT)


@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}"), (b'[{"a":', b"}]")])
def test_a_value_is_bounded_by_depth_and_not_by_breadth(opening: bytes, closing: bytes) -> None:
    """At the limit it is read, one deeper it is refused, and a long flat list is no matter."""
    each = opening.count(b"[") + opening.count(b"{")
    times = _LIMIT // each
    at_limit = opening * times + b"1" + closing * times
    parse_value(at_limit, _LIMIT)
    with pytest.raises(NotStrictJson, match="too deep"):
        parse_value(b"[" + at_limit + b"]", _LIMIT)
    with pytest.raises(NotStrictJson):
        parse_value(opening * 100_000, _LIMIT)
    flat = b"[" + b",".join([b'{"a":[]}'] * 1000) + b"]"
    assert len(parse_value(flat, 3)) == 1000  # type: ignore[arg-type]


@given(st.binary(max_size=200))
def test_any_bytes_are_a_value_or_refused(raw: bytes) -> None:
    """No input raises anything else."""
    with contextlib.suppress(NotStrictJson):
        parse_value(raw, _LIMIT)


@pytest.mark.parametrize("number", ["1.10", "1e400", "-0.0", "0.10000000000000000000001", "12345678901234567890123"])
def test_a_document_is_written_again_with_its_digits(number: str) -> None:
    """What a float would round, and what it could not hold."""
    raw = f'{{"a":[{number}],"b":"\\u00e9"}}'.encode()
    assert msgspec.json.encode(parse_document(raw, _LIMIT)) == raw.replace(b"\\u00e9", "é".encode())


@pytest.mark.parametrize("raw", [b'{"a":1,"a":2}', b"NaN", b"[" * 65 + b"]" * 65, b'{"a":"\\ud800"}', b"[1.]"])
def test_a_document_is_as_strict_as_a_value(raw: bytes) -> None:
    """Keeping digits lets nothing else in."""
    with pytest.raises(NotStrictJson):
        parse_document(raw, _LIMIT)
