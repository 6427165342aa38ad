"""Tests of `audit.redact`: table-driven, before and after."""

from typing import Any

import msgspec
import pytest

from audit.codec import encode
from audit.event import AuditEvent, Change, Input, Redaction
from audit.redact import MASK, KeyNames, Mode, Variant, WriteRedactor, mask, parse_paths, strike_names, strike_path
from tests.builders.audit import make_event

PLAIN: dict[str, Any] = {
    "client": {"ip": "10.0.0.1", "user_agent": "curl"},
    "details": {"email": "ada@example.com", "orders": [{"card": "4111", "total": 5}, {"card": "5500", "total": 7}]},
    "changes": [{"path": "/email", "op": "replace", "old": "a@x", "new": "b@x"}, {"path": "/tier", "new": "gold"}],
}


@pytest.mark.parametrize(
    ("paths", "struck"),
    [
        (["client.ip"], ["client.ip"]),
        (["details.email", "details.email"], ["details.email"]),
        (["details.orders.*.card"], ["details.orders.0.card", "details.orders.1.card"]),
        (["changes.email"], ["changes.email.new", "changes.email.old"]),
        (["client.*"], ["client.ip", "client.user_agent"]),
        (["details"], ["details"]),
        (["nowhere", "client.ip.deeper", "details.orders.card", "changes.phone"], []),
    ],
)
@pytest.mark.parametrize("variant", Variant)
def test_mask_and_remove(paths: list[str], struck: list[str], variant: Variant) -> None:
    """Exactly the named fields go, each listed once; the original is untouched; no match, no change."""
    before = encode_plain(PLAIN)
    view, fields = mask(PLAIN, {"pii": paths}, variant)
    assert sorted(field.path for field in fields) == struck
    assert all((field.how, field.reason) == (variant, "pii") for field in fields)
    assert encode_plain(PLAIN) == before
    if not struck:
        assert view == PLAIN
    text = encode_plain(view)
    for field in fields:
        value = lookup(PLAIN, field.path)
        if isinstance(value, str):
            assert f'"{value}"'.encode() not in text
    assert text.count(MASK.encode()) == (len(struck) if variant is Variant.MASK else 0)


def encode_plain(value: Any) -> bytes:
    """Plain values as bytes, to compare."""
    return msgspec.json.encode(value)


def lookup(node: Any, path: str) -> Any:
    """The value at a struck path; None for changes, which are addressed by pointer."""
    for part in path.split("."):
        if isinstance(node, list):
            node = node[int(part)] if part.isdecimal() else None
        else:
            node = node.get(part) if isinstance(node, dict) else None
    return node


@pytest.mark.parametrize(
    ("key", "denied"),
    [("password", True), ("userPassword", True), ("API-Key", True), ("card_number", True), ("Set-Cookie", True),
     ("pin", True), ("PIN", True), ("shipping", False), ("pan", True), ("company", False), ("access_token", True),
     ("cvv", True), ("amount", False), ("customer_id", False), ("client.secret", True)],
)  # fmt: skip
def test_key_names(key: str, denied: bool) -> None:
    """Secrets are known by their key in any spelling; ordinary words that contain a short one are not."""
    names = KeyNames()
    assert names.denied(key) is denied
    assert names.denied(key) is denied  # remembered


WRITE_CASES: list[tuple[dict[str, Any], tuple[str, ...]]] = [
    ({"details": {"password": "hunter2"}}, ("details.password",)),
    ({"details": {"deep": [{"x": {"api_key": "hunter2"}}]}}, ("details.deep.0.x.api_key",)),
    ({"changes": (Change("/pin", "replace", "hunter2", "hunter2"),)}, ("changes.pin.old", "changes.pin.new")),
    ({"changes": (Change("/x", "add", None, {"token": "hunter2"}),)}, ("changes.0.new.token",)),
    ({"input": Input({}, {}, {"otp": "hunter2", "amount": 5})}, ("input.context.otp",)),
    ({"details": {"note": "hunter2"}}, ("details.note",)),
]


@pytest.mark.parametrize(("fields", "struck"), WRITE_CASES)
@pytest.mark.parametrize("mode", [Mode.LOG, Mode.ENFORCE])
def test_secrets_go_before_the_spool(fields: dict[str, Any], struck: tuple[str, ...], mode: Mode) -> None:
    """By key name or by configured path, in `log` and `enforce`, removed and listed."""
    told: list[tuple[Mode, int]] = []
    redactor = WriteRedactor(
        {"secret": ["details.note"], "pii": ["client.ip"]}, mode=mode, on_redacted=lambda *what: told.append(what)
    )
    event = redactor.at_write(make_event(**fields))
    assert b"hunter2" not in encode(event)
    assert event.redaction == Redaction(mode.value, struck)
    assert told == [(mode, len(struck))]
    assert event.client is not None
    assert event.client.ip == "10.0.0.1"  # stored whole, masked at reading


def test_other_classes_go_at_write_when_asked() -> None:
    """`at_write` widens what never reaches a disk."""
    redactor = WriteRedactor({"pii": ["client.ip"]}, at_write=["pii"])
    event = redactor.at_write(make_event())
    assert event.client is not None
    assert event.client.ip is None


def test_nothing_to_do_changes_nothing() -> None:
    """An event without secrets is the same object; in mode `off` every event is."""
    event = make_event(details={"amount": 5}, changes=(Change("/tier", "replace", "silver", "gold"),))
    assert WriteRedactor({"secret": ["details.nothing"]}).at_write(event) == event
    assert WriteRedactor({}).at_write(event) is event
    open_secret = make_event(details={"password": "x"})
    assert WriteRedactor({}, mode=Mode.OFF).at_write(open_secret) is open_secret


def test_a_body_that_cannot_be_looked_through_goes() -> None:
    """If masking fails the metadata stays and the body goes: neither lost nor leaked, and counted."""
    failures: list[int] = []
    redactor = WriteRedactor({}, on_failure=lambda: failures.append(1))
    nested: dict[str, Any] = {}
    nested["again"] = nested
    event = redactor.at_write(make_event(details=nested))
    assert event.details is None
    assert event.redaction == Redaction("enforce", ("details",), truncated=True)
    assert event.action == "order:read"
    assert failures == [1]
    assert isinstance(msgspec.json.decode(encode(event), type=AuditEvent), AuditEvent)


def test_paths_are_checked() -> None:
    """A path with an empty part is named."""
    with pytest.raises(ValueError, match=r"a\.\.b"):
        parse_paths(["a..b"])
    assert parse_paths(["a.b", "a.b"]) == (("a", "b"),)


@pytest.mark.parametrize("variant", Variant)
def test_a_key_with_a_dot_in_it_does_not_shield_another_field(variant: Variant) -> None:
    """Two fields whose dotted paths are the same text both go."""
    document = {"details": {"a": {"b.c": "one"}, "a.b": {"c": "two"}}}
    view, _ = mask(document, {"pii": ["details.*.*"]}, variant)
    assert "one" not in str(view)
    assert "two" not in str(view)


def test_a_path_in_any_document() -> None:
    """A list at the root, a wildcard for keys, and a count of what went; null stays, for it holds nothing."""
    document: Any = [{"who": {"x": 1, "y": None}}, {"who": {"x": [1, 2]}}, "text"]
    assert strike_path(document, ("*", "who", "*"), Variant.MASK) == 2
    assert document == [{"who": {"x": MASK, "y": None}}, {"who": {"x": MASK}}, "text"]
    assert strike_path(document, ("*", "who"), Variant.REMOVE) == 2
    assert document == [{}, {}, "text"]
    assert strike_path("text", ("*",), Variant.MASK) == 0


def test_names_at_any_depth() -> None:
    """Whatever the shape, whatever their case."""
    document: Any = {"error": [{"Email": "x", "at": {"EMAIL": {"y": 1}}}], "emails": 2}
    assert strike_names(document, frozenset({"email"}), Variant.REMOVE) == 2
    assert document == {"error": [{"at": {}}], "emails": 2}
