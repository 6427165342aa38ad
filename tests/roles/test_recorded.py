"""Recorded decisions: the question comes back as it was, or not at all."""

from typing import Any

import msgspec
import pytest

from audit.event import Producer
from gateway.case import Case
from gateway.model import Identity, Match, Peer
from gateway.ops import actions
from gateway.record.entry import single
from policies.model import Question
from roles.recorded import NotExplainable, recorded
from tests.builders.questions import make_principal, make_question, real_engine

QUESTION = make_question(make_principal(["Manager"]), "payment:refund", context={"amount": 60000})


def event(question: Question = QUESTION) -> dict[str, Any]:
    """A record as the gateway writes it."""
    principal = make_principal(["Manager"])
    route = msgspec.structs.replace(actions.STATUS, action=question.action)
    case = Case(
        event_id="e-1", trace_id="t", received_at=0.0, peer=Peer("127.0.0.1", 1), head=None, match=Match(route, {})
    )
    case.identity = Identity(principal, "bearer", expires_at=1.0, token_sha256=b"x", jti=None)
    case.question, case.answer, case.status = question, real_engine().decide(question), 403
    written = single(case, Producer("p", 1, 1), "2026-01-01T00:00:00.000000Z", 1, "v1", "s1")
    found: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(written))
    return found


def test_the_question_is_the_one_that_was_asked() -> None:
    """From the very bytes of a record: the same answer, and the same principal."""
    read = recorded(event())
    assert read.question.context == QUESTION.context
    assert read.question.action == "payment:refund"
    assert real_engine().decide(read.question) == real_engine().decide(QUESTION)
    assert set(read.principal.roles) == {"Cashier", "InventoryClerk", "Manager"}
    assert (read.principal.tenant_id, read.principal.sub, read.principal.issuer) == ("acme", "u-1", "dev")
    assert (read.event_id, read.effect, read.reasons, read.policy_version) == ("e-1", "deny", (), "v1")


def _without(*names: str) -> dict[str, Any]:
    return {name: value for name, value in event().items() if name not in names}


def _truncated() -> dict[str, Any]:
    found = event()
    found["input"]["truncated"] = True
    return found


def _nameless() -> dict[str, Any]:
    found = event()
    del found["input"]["principal"]["attrs"]["sub"]
    return found


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ([], "not an event: Expected `object`"),
        ({}, "not an event: Object missing required field `event_id`"),
        ({**event(), "input": {"principal": 1}}, "not an event: Expected `object`, got `int`"),
        (_without("decision"), "the event is not one of a decision"),
        (_without("action"), "the event is not one of a decision"),
        (_without("input"), "the event does not say what Cedar was given"),
        (_truncated(), "what Cedar was given was too large and is cut short in the event"),
        (_nameless(), "the event's principal has no `issuer`, `tenant` and `sub`"),
        (
            {**event(), "redacted": [{"path": "input.principal.attrs.sub", "how": "mask", "reason": "pii"}]},
            "the event does not show `input.principal.attrs.sub`, which may have mattered",
        ),
        (
            {**event(), "redacted": [{"path": "*", "how": "remove", "reason": "failed"}]},
            r"the event does not show `\*`",
        ),
        (
            {**event(), "redaction": {"mode": "enforce", "fields": ["input.context.pin"]}},
            "the event does not show `input.context.pin`, which may have mattered",
        ),
    ],
)
def test_what_does_not_say_all_is_refused(record: Any, reason: str) -> None:
    """Nothing is guessed."""
    with pytest.raises(NotExplainable, match=reason):
        recorded(record)


def test_what_was_taken_out_elsewhere_does_not_matter() -> None:
    """A masked address says nothing about the question."""
    hidden = {"redacted": [{"path": "client.ip", "how": "mask", "reason": "pii"}]}
    assert recorded({**event(), **hidden}).event_id == "e-1"
