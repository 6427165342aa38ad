"""The smallest changes: each is enough, and none can do with less."""

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings

from policies.bundle import Bundle
from policies.changes import Change, smallest_changes
from policies.engine import Engine
from policies.load import build_bundle
from policies.model import Json, Question
from roles.model import Principal
from tests.builders.questions import make_principal, make_question, real_bundle, real_engine
from tests.builders.small_world import SCHEMA, ask, bundles, questions


def changed(question: Question, changes: tuple[Change, ...]) -> Question:
    """The question as it would have had to be."""
    context = dict(question.context)
    for change in changes:
        assert context.get(change.attribute) == change.old
        if change.removed:
            del context[change.attribute]
        else:
            context[change.attribute] = change.new
    return msgspec.structs.replace(question, context=context)


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much], deadline=None, max_examples=25)
@given(bundles(), questions())
def test_each_is_enough_and_none_can_do_with_less(bundle: Bundle, asked: tuple[Question, Principal]) -> None:
    """Asked again with the change it is an allow; with a part of it, it is not."""
    question, engine = asked[0], Engine(bundle)
    if engine.decide(question).allows:
        return
    found = smallest_changes(question, bundle, engine.decide, frozenset({"flag"}), most_asked=800)
    for changes in found.sets:
        assert engine.decide(changed(question, changes)).allows
        assert all(change.attribute != "flag" for change in changes)
        for change in changes:
            fewer = tuple(other for other in changes if other is not change)
            assert not engine.decide(changed(question, fewer)).allows


@pytest.mark.parametrize(
    ("role", "action", "context", "expected"),
    [
        ("Cashier", "order:discount", {"percent": 60}, [[("percent", 10)]]),
        ("Manager", "payment:refund", {"amount": 60000}, [[("amount", 50000)]]),
        ("Manager", "payment:refund", {"amount": -7}, [[("amount", 1)]]),
        ("Support", "order:create", {}, []),
    ],
)
def test_the_shipped_policies(role: str, action: str, context: dict[str, Json], expected: list[object]) -> None:
    """The nearest value that works; nothing where no context would help."""
    asked = make_question(make_principal([role]), action, context=context)
    found = smallest_changes(asked, real_bundle(), real_engine().decide, frozenset({"cross_tenant"}))
    assert [[(change.attribute, change.new) for change in each] for each in found.sets] == expected
    assert found.complete


def _found(text: str, most_asked: int = 3000, **context: Json) -> list[dict[str, Json]]:
    policy = f'@id("p") @reason("r") permit (principal, action, resource) when {{ {text} }};'
    bundle = build_bundle([("p.cedar", policy)], SCHEMA)
    full: dict[str, Json] = {"x": 0, "y": 0, "flag": False, "word": "w", **context}
    found = smallest_changes(ask((), full)[0], bundle, Engine(bundle).decide, most_asked=most_asked)
    return [{change.attribute: change.new for change in each} for each in found.sets]


def test_two_and_three_together() -> None:
    """Where no one change is enough; four are not looked for."""
    assert _found("context.flag && context.x > 3") == [{"x": 4, "flag": True}]
    assert _found('context.flag && context.x > 3 && context.word == "a"') == [{"x": 4, "flag": True, "word": "a"}]
    assert _found('context.flag && context.x > 3 && context.word == "a" && context.y > 1') == []


def test_a_number_is_found_between_literals() -> None:
    """By halving the way to one that works."""
    assert _found("context.x + context.x > 30") == [{"x": 16}]
    assert _found("context.x * 3 < 31", x=100) == [{"x": 10}]


def test_what_halving_comes_upon_may_be_enough_by_itself() -> None:
    """Then the other attribute is not asked for."""
    assert _found("context.flag && context.x >= 100 || context.x + context.x == 100") == [{"x": 50}]


def test_an_optional_value_that_has_to_come_or_go() -> None:
    """It was not there, or it would have had to be away."""
    assert _found("context has extra && context.extra == 5") == [{"extra": 5}]
    policy = '@id("p") @reason("r") permit (principal, action, resource) when { !(context has extra) };'
    bundle = build_bundle([("p.cedar", policy)], SCHEMA)
    asked = ask((), {"x": 0, "y": 0, "flag": False, "word": "w", "extra": 1})[0]
    found = smallest_changes(asked, bundle, Engine(bundle).decide)
    assert found.sets == ((Change("extra", 1, None, removed=True),),)


def test_the_bound_is_kept_and_told() -> None:
    """No more questions than allowed, and what was found until then is given."""
    policy = '@id("p") @reason("r") permit (principal, action, resource) when { context.flag || context.x > 1000 };'
    bundle = build_bundle([("p.cedar", policy)], SCHEMA)
    asked = ask((), {"x": 0, "y": 0, "flag": False, "word": "w"})[0]
    counted = []

    def decide(question: Question) -> object:
        counted.append(question)
        return Engine(bundle).decide(question)

    found = smallest_changes(asked, bundle, decide, most_asked=12)  # type: ignore[arg-type]  # the engine's answer
    assert len(counted) == 12
    assert not found.complete
