"""Reading recorded decisions: in every form they are kept in, and hostile ones."""

from typing import Any

import msgspec
import pytest

from audit.codec import encode
from audit.event import AuditEvent, Decision, Kind, Phase, Redaction
from audit.redact import MASK as AUDIT_MASK
from audit.redact import WriteRedactor, mask
from policies.model import Effect
from policies.replay.record import MASK, Ignored, Malformed, Recorded, Unusable, read
from tests.builders.questions import make_principal, make_question
from tests.builders.recorded import decided, event_id


def plain(event: AuditEvent) -> dict[str, Any]:
    """As JSON has it."""
    found: dict[str, Any] = msgspec.json.decode(encode(event))
    return found


def as_line(value: object) -> bytes:
    """Back to JSON."""
    return msgspec.json.encode(value)


def recorded(line: bytes) -> Recorded:
    """What must be a decision."""
    found = read(line)
    assert isinstance(found, Recorded), found
    return found


def test_the_mask_is_the_audits() -> None:
    """Policies cannot import the audit; the word is the same."""
    assert MASK == AUDIT_MASK


def test_a_decision_is_the_question_that_was_asked() -> None:
    """What Cedar was given comes back whole, and with it what was answered and by whom it was asked."""
    found = recorded(encode(decided("Cashier", "order:discount", context={"percent": 5})))
    asked = make_question(make_principal(["Cashier"]), "order:discount", context={"percent": 5})
    assert found.question == asked
    assert (found.effect, found.reasons) == (Effect.ALLOW, ("order.cashier-discount",))
    assert (found.roles, found.actor_type, found.resource_type) == (("Cashier",), "user", "Order")
    assert found.event_id == event_id(0)
    assert found.unusable is None


def test_the_query_apis_form_is_read_too() -> None:
    """An export joins a decision with its completion, orders fields otherwise and adds some."""
    shown = plain(decided("Cashier", "order:create", phase=Phase.DECIDED))
    shown |= {"phase": "completed", "completed_at": "2026-11-23T15:00:01Z", "outcome": "success"}
    shown["redacted"] = [{"path": "client.ip", "how": "mask", "reason": "pii"}]
    found = recorded(as_line(dict(reversed(shown.items()))))
    assert found.unusable is None
    assert found.effect is Effect.ALLOW


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"kind": Kind.DOMAIN}, "other_event"),
        ({"kind": Kind.ADMIN}, "other_event"),
        ({"decision": None, "input": None, "phase": Phase.COMPLETED}, "completion"),
        ({"decision": Decision(effect="deny", code="token_expired"), "input": None}, "before_decision:token_expired"),
        ({"decision": Decision(effect="deny", code="policy_unavailable")}, "before_decision:policy_unavailable"),
        ({"decision": Decision(effect="allow"), "input": None}, "other_event"),
    ],
)
def test_what_is_no_decision_is_ignored_by_kind(change: dict[str, Any], kind: str) -> None:
    """Other events, ends of exchanges, refusals before Cedar was asked, and questions it did not answer."""
    event = msgspec.structs.replace(decided("Cashier", "order:list"), **change)
    assert read(encode(event)) == Ignored(kind)


def test_what_was_taken_out_at_write_is_masked() -> None:
    """A context attribute with a secret's name goes before the spool; the decision cannot be made again."""
    event = decided("Cashier", "order:discount", context={"percent": 5})
    assert event.input is not None
    secret = msgspec.structs.replace(event.input, context={**event.input.context, "password": "x"})
    written = WriteRedactor({}).at_write(msgspec.structs.replace(event, input=secret))
    assert recorded(encode(written)).unusable is Unusable.MASKED


@pytest.mark.parametrize("path", ["input", "input.context", "input.principal.attrs.sub", "input.principal", "*"])
def test_what_a_view_masks_is_masked(path: str) -> None:
    """Whatever of the input a reader's view hides, in one place or as a whole, with its path or without."""
    event = plain(decided("Cashier", "order:list"))
    masked, struck = mask(event, {"pii": [path]}) if path != "*" else (event, [])
    shown = masked | {"redacted": [{"path": item.path, "how": item.how, "reason": item.reason} for item in struck]}
    if path == "*":
        shown["redacted"] = [{"path": "*", "how": "remove", "reason": "failed"}]
    assert recorded(as_line(shown)).unusable is Unusable.MASKED
    unsaid = {**shown, "redacted": []}
    if path != "*":
        assert recorded(as_line(unsaid)).unusable is Unusable.MASKED


def test_a_mask_elsewhere_does_not_matter() -> None:
    """The client's address is hidden from nearly everybody, and no policy reads it."""
    event = plain(decided("Cashier", "order:list")) | {"client": {"ip": MASK}, "details": {"email": MASK}}
    event["redaction"] = {"mode": "enforce", "fields": ["details.password", "inputs"]}
    assert recorded(as_line(event)).unusable is None


@pytest.mark.parametrize(
    "change",
    [
        {"input": None, "redaction": Redaction("enforce", truncated=True)},
        {"input": None},
        {"redaction": Redaction("enforce", ("details",), truncated=True)},
    ],
)
def test_a_truncated_record_is_truncated(change: dict[str, Any]) -> None:
    """A record that was too large has lost its input: the answer is known, the question is not."""
    event = msgspec.structs.replace(decided("Cashier", "order:list"), **change)
    assert recorded(encode(event)).unusable is Unusable.TRUNCATED


def test_a_truncated_input_is_truncated() -> None:
    """It says so itself."""
    event = decided("Cashier", "order:list")
    assert event.input is not None
    event = msgspec.structs.replace(event, input=msgspec.structs.replace(event.input, truncated=True))
    assert recorded(encode(event)).unusable is Unusable.TRUNCATED


def test_a_decision_with_policy_errors_is_not_made_again() -> None:
    """Its answer rests on what could not be evaluated."""
    event = decided("Cashier", "order:list", details={"policy_errors": ["order.read"], "dropped_roles": ["x"]})
    found = recorded(encode(event))
    assert found.unusable is Unusable.POLICY_ERRORS
    assert found.dropped_roles == ("x",)


@pytest.mark.parametrize(
    "line",
    [b"", b"{", b"[]", b"null", b'"x"', b'{"event_id": 5}', b"\xff\xfe", b"[" * 100_000, b'{"kind":"decision"}'],
)
def test_what_is_no_event_is_malformed(line: bytes) -> None:
    """Cut, of another form, not UTF-8, nested without end."""
    assert read(line) == Malformed("not an event")


def test_odd_decisions_are_malformed_without_their_values() -> None:
    """An id that is none (it would be printed), an input of another form, details of another form."""
    event = plain(decided("Cashier", "order:list"))
    assert read(as_line(event | {"event_id": "\x1b[2J"})) == Malformed("the event's id is not a UUID")
    for change in ({"input": {"principal": 1}}, {"input": [1]}, {"input": "x"}, {"details": {"policy_errors": 1}}):
        assert read(as_line(event | change)) == Malformed("its input or its details have another form")
    assert read(as_line(event | {"decision": {"effect": "maybe"}})) == Malformed("not an event")
