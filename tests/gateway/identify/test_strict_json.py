"""Objects that can be read in one way only."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.identify.strict_json import NotAnObject, parse_object

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
    with pytest.raises(NotAnObject):
        parse_object(raw, _LIMIT)


def test_refuses_depth_before_a_recursive_reader_sees_it() -> None:
    """Nesting beyond the limit is refused, at the limit it is read."""
    at_limit = b'{"a":' * _LIMIT + b"1" + b"}" * _LIMIT
    assert "a" in parse_object(at_limit, _LIMIT)
    with pytest.raises(NotAnObject):
        parse_object(b'{"b":' + at_limit + b"}", _LIMIT)
    with pytest.raises(NotAnObject):
        parse_object(b'{"b":' + b"[" * 100_000, _LIMIT)


def test_the_error_holds_nothing_of_the_text() -> None:
    """A refused token's content does not get into logs by way of the message."""
    with pytest.raises(NotAnObject) as caught:
        parse_object(b'{"secret":"hunter2","secret":1}', _LIMIT)
    assert "hunter2" not in str(caught.value)
    assert "secret" not in str(caught.value)


@given(st.binary(max_size=200))
def test_any_bytes_are_an_object_or_refused(raw: bytes) -> None:
    """No input raises anything else."""
    with contextlib.suppress(NotAnObject):
        assert isinstance(parse_object(raw, _LIMIT), dict)
