"""Which classes of fields are withheld, as the real policies say."""

from collections.abc import Callable
from typing import Any

import pytest

from gateway.decide.disclosure import check_conditions, withheld
from gateway.errors import BadRequest
from gateway.model import DataClass, Sensitive
from policies.errors import NoDecision
from policies.model import Answer, Effect, PolicyError, Question
from tests.builders.heads import make_head, make_route
from tests.builders.questions import make_principal, make_question, real_engine

ALL = tuple(Sensitive(item, ("/x",), (("x",),), frozenset({"x"})) for item in DataClass)


def classes(role: str, decide: Callable[[Question], Answer] | None = None, **changes: Any) -> list[str]:
    """What a role is not shown of a customer."""
    question = make_question(make_principal([role]), "customer:read", **changes)
    hidden, _ = withheld(make_route(redact=ALL), question, decide or real_engine().decide)
    return [item.data_class.value for item in hidden]


def test_cedar_decides_for_each_class() -> None:
    """Support sees none, a Manager what tills see, an Admin everything."""
    assert classes("Support") == ["pii", "payment", "secret"]
    assert classes("Manager") == ["secret"]
    assert classes("Admin") == []


def test_what_only_the_requests_own_action_knows_is_left_out_of_the_question() -> None:
    """A refund's amount is not in the context of the class's action; its resource and its time are."""
    asked: list[Question] = []

    def decide(question: Question) -> Answer:
        asked.append(question)
        return real_engine().decide(question)

    question = make_question(make_principal(["Manager"]), "payment:refund", context={"amount": 5})
    found, errors = withheld(make_route(redact=ALL), question, decide)
    assert errors == ()
    assert [item.data_class for item in found] == [DataClass.SECRET]
    assert {frozenset(each.context) for each in asked} == {frozenset({"now", "cross_tenant"})}
    assert {each.resource for each in asked} == {question.resource}


def test_an_error_withholds_and_no_decision_is_none() -> None:
    """A deny with errors is a deny; where Cedar cannot say, nobody is shown anything."""
    assert classes("Manager", lambda _: Answer(Effect.DENY)) == ["pii", "payment", "secret"]

    failed = PolicyError("data.till", Effect.ALLOW, "x")
    question = make_question(make_principal(["Manager"]), "customer:read")
    _, errors = withheld(make_route(redact=ALL), question, lambda _: Answer(Effect.ALLOW, ("p",), (failed,)))
    assert errors == (failed,) * 3

    def broken(_: Question) -> Answer:
        raise NoDecision("x")

    with pytest.raises(NoDecision):
        classes("Manager", broken)


@pytest.mark.parametrize("name", [b"if-match", b"if-none-match", b"if-unmodified-since", b"if_match"])
def test_a_change_on_a_condition_is_refused_and_a_read_is_not(name: bytes) -> None:
    """The read is answered whole instead."""
    check_conditions(make_head((name, b"x")))
    check_conditions(make_head((name, b"x"), method=b"HEAD"))
    check_conditions(make_head((b"if-modified-since", b"x"), method=b"PUT"))
    with pytest.raises(BadRequest):
        check_conditions(make_head((name, b"x"), method=b"PUT"))
