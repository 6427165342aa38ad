"""Bodies of the decision API as values."""

from typing import Any

import pytest

from gateway.errors import BadRequest
from gateway.ops.authzen.message import (
    Action,
    Batch,
    Evaluation,
    Kind,
    Party,
    Search,
    Semantic,
    read_batch,
    read_evaluation,
    read_search,
)
from tests.builders.decisions import question

GOOD = question(("user", "alice"), "read", ("record", "1"))
ALICE, ONE = Party("user", "alice"), Party("record", "1")


def without(part: str, key: str | None = None) -> dict[str, Any]:
    """The good question less something."""
    if key is None:
        return {name: value for name, value in GOOD.items() if name != part}
    return {**GOOD, part: {name: value for name, value in GOOD[part].items() if name != key}}


def test_a_question() -> None:
    """Subject, action, resource and context, with what is said of them; what nobody knows is passed over."""
    found = read_evaluation(
        question(
            ("user", "alice", {"a": 1}), ("read", {"b": 2}), ("record", "1", {"c": 3}), context={"d": 4}, foo=["bar"]
        )
    )
    assert found == Evaluation(
        Party("user", "alice", {"a": 1}), Action("read", {"b": 2}), Party("record", "1", {"c": 3}), {"d": 4}
    )


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ([], "body: not an object"),
        (None, "body: missing"),
        (without("subject"), "subject: missing"),
        ({**GOOD, "subject": None}, "subject: missing"),
        (without("action"), "action: missing"),
        (without("resource"), "resource: missing"),
        ({**GOOD, "subject": "alice"}, "subject: not an object"),
        (without("subject", "type"), "subject.type: missing"),
        (without("subject", "id"), "subject.id: missing"),
        (without("action", "name"), "action.name: missing"),
        (question(("user", "alice"), {"name": 123}, ("record", "1")), "action.name: not a string"),
        (question(("", "alice"), "read", ("record", "1")), "subject.type: empty"),
        (question(("user", ""), "read", ("record", "1")), "subject.id: empty"),
        (question(("u" * 257, "a"), "read", ("record", "1")), "subject.type: longer than 256 characters"),
        (question(("user", "a"), "r" * 257, ("record", "1")), "action.name: longer than 256 characters"),
        (question(("user", "a"), "read", ("record", "1" * 1025)), "resource.id: longer than 1024 characters"),
        (question(("user", "a", []), "read", ("record", "1")), "subject.properties: not an object"),
        (question(("user", "a"), ("read", 1), ("record", "1")), "action.properties: not an object"),
        ({**GOOD, "context": "c"}, "context: not an object"),
        ({**GOOD, "context": None}, "context: missing"),
    ],
)
def test_what_is_no_question(body: Any, reason: str) -> None:
    """Said by field, never by value."""
    with pytest.raises(BadRequest) as caught:
        read_evaluation(body)
    assert caught.value.reason == reason


@pytest.mark.parametrize("more", [{}, {"evaluations": []}])
def test_a_batch_of_nothing_is_one_question(more: dict[str, Any]) -> None:
    """As the specification wants it for callers that know no batches."""
    assert read_batch({**GOOD, **more}, 5) == Evaluation(ALICE, Action("read"), ONE)


def test_defaults_are_replaced_whole() -> None:
    """A part that an item has of its own shares nothing with the default, not even its type."""
    body = {
        **question(("user", "alice", {"role": "admin"}), "read", ("record", "1"), context={"a": 1}),
        "evaluations": [
            {},
            {"subject": {"type": "user", "id": "bob"}, "context": {"b": 2}},
            {"resource": {"id": "2"}},
            {"action": None},
            7,
        ],
        "options": {"evaluations_semantic": "deny_on_first_deny", "other": 1},
    }
    found = read_batch(body, 5)
    assert isinstance(found, Batch)
    assert found.semantic is Semantic.DENY_ON_FIRST_DENY
    first, second, *wrong = found.items
    assert first == Evaluation(Party("user", "alice", {"role": "admin"}), Action("read"), ONE, {"a": 1})
    assert second == Evaluation(Party("user", "bob"), Action("read"), ONE, {"b": 2})
    reasons = [item.reason for item in wrong if isinstance(item, BadRequest)]
    assert reasons == ["resource.type: missing", "action: missing", "evaluation: not an object"]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"evaluations": {}}, "evaluations: not an array"),
        ({"evaluations": None}, "evaluations: not an array"),
        ({"evaluations": [{}] * 6}, "evaluations: more than 5"),
        ({"evaluations": [{}], "subject": "alice"}, "subject: not an object"),
        ({"evaluations": [{}], "options": []}, "options: not an object"),
        (
            {"evaluations": [{}], "options": {"evaluations_semantic": "any"}},
            "options.evaluations_semantic: not one of execute_all, deny_on_first_deny, permit_on_first_permit",
        ),
        (
            {"evaluations": [{}], "options": {"evaluations_semantic": ["execute_all"]}},
            "options.evaluations_semantic: not one of execute_all, deny_on_first_deny, permit_on_first_permit",
        ),
        ({"evaluations": []}, "subject: missing"),
    ],
)
def test_what_is_no_batch(body: Any, reason: str) -> None:
    """What is wrong with the whole refuses the whole."""
    with pytest.raises(BadRequest) as caught:
        read_batch(body, 5)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("semantic", "after_allow", "after_deny"),
    [
        (Semantic.EXECUTE_ALL, False, False),
        (Semantic.DENY_ON_FIRST_DENY, False, True),
        (Semantic.PERMIT_ON_FIRST_PERMIT, True, False),
    ],
)
def test_when_a_batch_ends(semantic: Semantic, after_allow: bool, after_deny: bool) -> None:
    """Three semantics, two answers."""
    assert semantic.ends_with(allowed=True) is after_allow
    assert semantic.ends_with(allowed=False) is after_deny


def test_searches_ignore_the_id_of_what_they_look_for() -> None:
    """And an action search the action."""
    body = {**GOOD, "page": {"token": "t", "limit": 3, "properties": {}}}
    assert read_search(body, Kind.SUBJECT) == Search(
        Kind.SUBJECT, Evaluation(Party("user", ""), Action("read"), ONE), 3, "t"
    )
    assert read_search(body, Kind.RESOURCE).question == Evaluation(ALICE, Action("read"), Party("record", ""))
    assert read_search({**body, "action": 7}, Kind.ACTION).question == Evaluation(ALICE, Action(""), ONE)


@pytest.mark.parametrize(
    ("page", "reason"),
    [
        ([], "page: not an object"),
        ({"limit": -1}, "page.limit: not a number from 0"),
        ({"limit": True}, "page.limit: not a number from 0"),
        ({"limit": "1"}, "page.limit: not a number from 0"),
        ({"limit": 1.5}, "page.limit: not a number from 0"),
        ({"token": 1}, "page.token: not a string"),
    ],
)
def test_what_is_no_page(page: Any, reason: str) -> None:
    """Limits and tokens have a type, too."""
    with pytest.raises(BadRequest) as caught:
        read_search({**GOOD, "page": page}, Kind.SUBJECT)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("kind", "body", "reason"),
    [
        (Kind.SUBJECT, without("action"), "action: missing"),
        (Kind.SUBJECT, without("subject", "type"), "subject.type: missing"),
        (Kind.SUBJECT, without("resource", "id"), "resource.id: missing"),
        (Kind.RESOURCE, without("subject", "id"), "subject.id: missing"),
        (Kind.ACTION, without("resource", "id"), "resource.id: missing"),
    ],
)
def test_what_is_no_search(kind: Kind, body: Any, reason: str) -> None:
    """What is not looked for must be named."""
    with pytest.raises(BadRequest) as caught:
        read_search(body, kind)
    assert caught.value.reason == reason
