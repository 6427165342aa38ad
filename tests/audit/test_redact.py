"""Tests of `audit.redact`: table-driven, before and after."""

import time
from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from audit.codec import encode
from audit.event import AuditEvent, Change, Redaction
from audit.redact import (
    MASK,
    KeyNames,
    Mode,
    Report,
    Rules,
    Variant,
    WriteRedactor,
    mask,
    parse_paths,
    strike_names,
    strike_path,
)
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


CASES = Path(__file__).parents[1] / "cases" / "redaction"


def cases() -> list[Any]:
    """Every row of the tables, named by file and row."""
    found = []
    for file in sorted(CASES.glob("*.yaml")):
        rows = yaml.safe_load(file.read_text(encoding="utf-8").replace("ey~", "ey" + "J"))
        found += [pytest.param(row, id=f"{file.stem}: {row['name']}") for row in rows]
    return found


def event_of(fields: dict[str, Any]) -> AuditEvent:
    """An event with these fields, given as plain values."""
    plain: dict[str, Any] = msgspec.to_builtins(make_event())
    return msgspec.convert(plain | fields, AuditEvent)


class Told:
    """What a redactor reported."""

    def __init__(self, redactor: WriteRedactor) -> None:
        self.reports: list[Report] = []
        self.failures = 0
        redactor.report_to(self.reports.append, self._failed)

    def _failed(self) -> None:
        self.failures += 1


@pytest.mark.parametrize("case", cases())
def test_before_and_after(case: dict[str, Any]) -> None:
    """Exactly what a row says goes, is listed, and is counted; the event it was made from is untouched."""
    redactor = WriteRedactor.of(msgspec.convert(case.get("rules", {}), Rules))
    told = Told(redactor)
    before = event_of(case["before"])
    bytes_before = encode(before)
    after = redactor.at_write(before)
    assert encode(before) == bytes_before
    plain = {"changes": [], **msgspec.json.decode(encode(after))}
    for name, value in case["after"].items():
        assert plain.get(name) == value
    untouched = set(plain) - {*case["before"], *case["after"], "redaction", "changes"}
    assert {name: plain[name] for name in untouched} == {
        name: value for name, value in msgspec.json.decode(encode(make_event())).items() if name in untouched
    }
    fields = case.get("fields", [])
    assert list(after.redaction.fields if after.redaction else ()) == fields
    taken = case.get("taken", {"secret": len(fields)} if fields else {})
    would = case.get("would", {})
    assert [(dict(report.taken), dict(report.would)) for report in told.reports] == (
        [(taken, would)] if taken or would else []
    )
    assert told.failures == case.get("failed", False)
    assert b"hunter2" not in encode(after) or redactor.mode is Mode.OFF
    if after is not before:
        assert redactor.concerns(before)
    assert redactor.at_write(after) == after  # a second look takes nothing more
    assert len(told.reports) <= 1 + bool(would)


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
    redactor = WriteRedactor({"pii": ["client.ip"], "secret": ["actor.id"]}, at_write=["pii"])
    told = Told(redactor)
    nested: dict[str, Any] = {}
    nested["again"] = nested
    before = make_event(details=nested)
    assert redactor.concerns(before)
    event = redactor.at_write(before)
    assert event.details is None
    assert (event.client, event.actor) == (None, None)  # what must not be written may be in them still
    assert event.redaction is not None
    assert event.redaction.truncated
    assert set(event.redaction.fields) == {"details", "client", "actor"}
    assert event.action == "order:read"
    assert told.failures == 1
    assert isinstance(msgspec.json.decode(encode(event), type=AuditEvent), AuditEvent)


def bomb(depth: int) -> Any:
    """Lists in lists."""
    node: Any = "hunter2"
    for _ in range(depth):
        node = [node]
    return node


@dataclass
class Card:
    """A value that only the encoder knows how to spell."""

    password: str
    holder: str


@pytest.mark.parametrize(
    ("details", "body_goes"),
    [
        ({"deep": bomb(100_000)}, True),
        ({"pair": [["password", "hunter2"]] * 1000}, False),
        ({7: {"password": "hunter2"}}, False),
        ({"card": Card("hunter2", "a")}, False),
        ({"cards": (Card("hunter2", "a"),)}, False),
        ({"at": datetime(2026, 1, 1, tzinfo=UTC), "token": UUID(int=1)}, False),
        ({"what": object(), "token": "hunter2"}, True),
        ({f"token{n}": "hunter2" for n in range(5000)}, False),
        ({"notes": ["Bearer " + "eyJ" * 90_000, "-----BEGIN PRIVATE KEY-----" * 5000, "4111 " * 50_000]}, False),
        ({"x": float("nan"), "token": "hunter2"}, False),
        ({"x": 10**40, "token": "hunter2"}, False),
        ({"x": chr(0xD800), "token": "hunter2"}, True),
    ],
)  # fmt: skip
def test_hostile_bodies(details: Any, body_goes: bool) -> None:
    """Whatever a body is, the event is written, soon, without the secret; and it stays small."""
    redactor = WriteRedactor({})
    told = Told(redactor)
    began = time.process_time()
    event = redactor.at_write(make_event(details=details))
    assert time.process_time() - began < 2.0  # a search that is not linear takes minutes
    assert (event.details is None) is body_goes
    assert told.failures == body_goes
    assert b"hunter2" not in encode(event)
    assert len(encode(event)) < 1_000_000
    assert event.redaction is not None
    assert len(event.redaction.fields) <= 101


_KEYS = st.sampled_from(["password", "note", "email", "a.b", "items", "name", "value", "*", "0"]) | st.text(max_size=4)
_TEXTS = st.text(max_size=20) | st.sampled_from(
    ["Bearer 0123456789abcdef0", "ey" + "JhbGciOiJFUzI1NiJ9.e30.c2ln", "4111111111111111", "***", "token"]
)
_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | _TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_KEYS, inner, max_size=4),
    max_leaves=20,
)
_PATHS = st.lists(
    st.sampled_from(["details.items[*].email", "details.*", "changes.*.email", "client.ip", "details.name", "changes"]),
    max_size=4,
)


@given(
    details=st.dictionaries(_KEYS, _VALUES, max_size=5),
    old=_VALUES,
    pointer=st.sampled_from(["", "/email", "/items/0", "/a~1b", "/password"]),
    paths=_PATHS,
    mode=st.sampled_from([Mode.LOG, Mode.ENFORCE]),
    variant=st.sampled_from(list(Variant)),
    at_write=st.booleans(),
)
def test_redacting_twice_is_redacting_once(
    details: dict[str, Any],
    old: Any,
    pointer: str,
    paths: list[str],
    mode: Mode,
    variant: Variant,
    at_write: bool,
) -> None:
    """For any body: never raises, never changes its input, and takes nothing more the second time."""
    redactor = WriteRedactor(
        {"pii": paths},
        mode=mode,
        at_write=["pii"] if at_write else [],
        variants={"secret": variant, "pii": variant},
    )
    told = Told(redactor)
    before = make_event(details=details, changes=(Change(pointer, "replace", old, details),))
    untouched = deepcopy(before)
    once = redactor.at_write(before)
    assert before == untouched
    assert told.failures == 0
    counted = [report.taken for report in told.reports]
    twice = redactor.at_write(once)
    assert twice == once
    assert [report.taken for report in told.reports if report.taken] == [taken for taken in counted if taken]
    assert once is before or redactor.concerns(before)
    assert "4111111111111111" not in str(once.details).replace("'", "")


def test_paths_in_every_spelling() -> None:
    """Stars, brackets and quotes; each path once."""
    spelled = ["a.b", "a.b", "a.*.b", "a[*].b", "a[].b", "a[0]", 'a["b.c"].d', "a['b'][*]"]
    assert parse_paths(spelled) == (
        ("a", "b"), ("a", "*", "b"), ("a", "0"), ("a", "b.c", "d"), ("a", "b", "*"),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("", "an empty part"), ("a..b", "an empty part"), (".a", "an empty part"), ("a.", "an empty part"),
        ("a.[0]", "an empty part"), ("$.a", "begins at the event's root"), ("/a/b", "begins at the event's root"),
        ("a.b*", "stands for a whole part"), ("a.**.b", "stands for a whole part"), ("a[b]", r"read from `\[b\]`"),
        ("a[-1]", r"read from `\[-1\]`"), ("a[0", r"read from `\[0`"), ("a[0]b", "read from `b`"),
        ("changes[*].new", "by its own path"), ("a. b", "a space"),
    ],
)  # fmt: skip
def test_paths_are_checked(path: str, why: str) -> None:
    """A path that is none is named, and what is wrong with it."""
    with pytest.raises(ValueError, match=why):
        parse_paths([path])


@pytest.mark.parametrize("path", ["tenant_id", "producer.seq", "event_id", "*.x", "phase"])
def test_what_no_event_can_do_without_cannot_go_at_write(path: str) -> None:
    """Said when it is configured, not at the first event."""
    with pytest.raises(ValueError, match="no event can be written without it"):
        WriteRedactor({"pii": [path]}, at_write=["pii"])
    WriteRedactor({"pii": [path]})  # a view may hide it


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


def test_what_only_the_mode_makes_of_concern() -> None:
    """In mode log every event is counted; one that cannot be looked through is looked at as one that tells."""
    plain = make_event()
    assert WriteRedactor({"pii": ["client.ip"]}, mode=Mode.LOG).concerns(plain)
    assert not WriteRedactor({"pii": ["client.ip"]}).concerns(plain)
    assert WriteRedactor({}).concerns(make_event(details={"deep": bomb(100_000)}))


def test_changes_that_are_masked_whole_can_be_looked_at_again() -> None:
    """A view that hides all of them and a part of them hides them, and shows the rest of the event."""
    view, struck = mask(PLAIN, {"pii": ["changes", "changes.email"]})
    assert view["changes"] == MASK
    assert [field.path for field in struck] == ["changes"]


def test_a_key_that_is_a_secret_goes_whatever_its_value() -> None:
    """A token as a key, with `true` behind it."""
    token = "ey" + "JhbGciOiJFUzI1NiJ9.e30.c2ln"
    event = WriteRedactor({}).at_write(make_event(details={token: True}))
    assert event.details == {MASK: True}


def test_a_record_stays_marked_as_truncated() -> None:
    """What was cut before is said again with what goes now."""
    before = make_event(details={"pin": 1}, redaction=Redaction("enforce", ("input",), truncated=True))
    after = WriteRedactor({}).at_write(before)
    assert after.redaction == Redaction("enforce", ("input", "details.pin"), truncated=True)
