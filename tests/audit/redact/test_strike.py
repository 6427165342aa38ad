"""Tests of `audit.redact.strike`: other spellings of secrets, and other places for them. More: test_redact."""

from typing import Any

import pytest

from audit.codec import encode
from audit.event import Change
from audit.redact import KeyNames, WriteRedactor
from tests.builders.audit import make_event

_JWT = "ey" + "JhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abcdefghijkl"


@pytest.mark.parametrize("secret", [_JWT, "4111111111111111", "Bearer 0123456789abcdef"])
def test_a_changes_path_may_hold_a_secret(secret: str) -> None:
    """It goes from the pointer, and from the list of what went."""
    changes = (Change(f"/by/{secret}/total", "replace", 1, 2), Change(f"/password/{secret}", "replace", "a", "b"))
    redactor = WriteRedactor({"pii": ["changes.by"]}, at_write=["pii"])
    event = redactor.at_write(make_event(changes=changes))
    assert secret.encode() not in encode(event)
    assert [change.path.removesuffix("/total") for change in event.changes] == ["/by/***", "/password/***"]
    assert secret.encode() not in encode(WriteRedactor({}).at_write(make_event(changes=changes)))


def test_a_key_that_is_a_secret_is_not_listed_by_a_path_through_it() -> None:
    """What a class's path takes below such a key is listed under the masked key."""
    redactor = WriteRedactor({"secret": ["details.by.*.name"]})
    event = redactor.at_write(make_event(details={"by": {"4111111111111111": {"name": "x", "total": 5}}}))
    assert event.details == {"by": {"***": {"total": 5}}}
    assert event.redaction is not None
    assert set(event.redaction.fields) == {"details.by.***", "details.by.***.name"}


@pytest.mark.parametrize(
    "details",
    [
        {"number": 4111111111111111.0},
        {"headers": [{"Name": "Authorization", "Value": "hunter2"}, {"KEY": "password", "VALUE": 4111111111111111}]},
        {"note": "got Basic " + "aHVudGVyMjpodW50ZXI for it"},  # without padding
        {"note": "got Basic " + "aHVudGVyMjpodW50ZXI_aHVudGVyMjpodW50ZXI= for it"},  # as in a URL
    ],
)
def test_other_spellings_of_secrets(details: dict[str, Any]) -> None:
    """A float, another case of a pair's keys, other spellings of base64: none is written."""
    written = encode(WriteRedactor({}).at_write(make_event(details=details)))
    for secret in (b"4111111111111111", b"hunter2", b"aHVudGVyMjpodW50ZXI"):
        assert secret not in written


def test_numbers_that_are_no_cards_stay() -> None:
    """Also the odd ones."""
    details = {"a": 0.5, "b": float("inf"), "c": float("nan"), "d": 4111111111111112.0, "e": -4111111111111111.0}
    event = make_event(details=details)
    assert WriteRedactor({}).at_write(event) is event


def test_what_callers_name_is_not_remembered_whole() -> None:
    """The names in pairs are callers' words: thousands of long ones must not stay in memory."""
    names = KeyNames()
    redactor = WriteRedactor({}, keys=names)
    long = "x" * 10_000
    for index in range(20):
        pair = {"name": f"{index}a{long}", "value": 1}
        redactor.at_write(make_event(details={**pair, f"{index}b{long}": 1, "l": [[f"{index}c{long}", 1]]}))
    assert sum(map(len, (*names._memo, *redactor._known))) < 10_000
