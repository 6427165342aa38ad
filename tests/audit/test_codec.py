"""Tests of `audit.codec`."""

import json

import msgspec
import pytest

from audit.codec import canonical, decode, decode_plain, digest, encode, timestamp
from audit.event import AuditEvent
from tests.builders.audit import make_event


def test_what_was_encoded_is_decoded() -> None:
    """An event comes back equal, and the same event gives the same bytes."""
    event = make_event(details={"b": 1, "a": [1, {"c": None}]})
    assert decode(encode(event)) == event
    assert encode(decode(encode(event))) == encode(event)


def test_defaults_take_no_bytes() -> None:
    """Fields that say nothing are left out."""
    assert b"changes" not in encode(make_event())
    assert b"memo_hit" not in encode(make_event())


def test_the_digest_does_not_depend_on_spelling() -> None:
    """Order of keys, white space and the form of whole numbers do not make another event."""
    payload = encode(make_event(details={"a": 1, "b": 100, "c": 0.5}))
    plain = json.loads(payload)
    plain["details"] = {"c": 0.50, "b": 1e2, "a": 1.0}
    other = json.dumps(dict(reversed(plain.items())), indent=1).encode()
    assert digest(other) == digest(payload)
    assert digest(encode(make_event(details={"a": 2}))) != digest(payload)


def test_the_canonical_form_is_sorted() -> None:
    """Keys in order at every depth."""
    assert canonical(decode_plain(b'{"b":1,"a":{"z":1,"y":2.0}}')) == b'{"a":{"y":2,"z":1},"b":1}'


@pytest.mark.parametrize("payload", [b"", b"[]", b"{", b'{"a":1e999999999}', b'{"a":NaN}', b'"text"', b"\xff"])
def test_bytes_that_are_no_event_are_refused(payload: bytes) -> None:
    """Broken JSON, other JSON and numbers that no store can keep raise one kind of error."""
    with pytest.raises((msgspec.DecodeError, ValueError)):
        decode_plain(payload)
    with pytest.raises((msgspec.DecodeError, ValueError)):
        decode(payload)


def test_an_unknown_field_does_not_stop_an_older_reader() -> None:
    """The evolution rule: a newer producer may add fields."""
    payload = encode(make_event())[:-1] + b',"added_later":{"x":1}}'
    assert isinstance(decode(payload), AuditEvent)


def test_timestamps_are_utc_with_microseconds() -> None:
    """RFC 3339 with exactly six digits and `Z`, without rounding up."""
    assert timestamp(0) == "1970-01-01T00:00:00.000000Z"
    assert timestamp(1_700_000_000_999_999_999) == "2023-11-14T22:13:20.999999Z"
