"""A case passes when all it says is so, and fails when any of it is not."""

import random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.engine import Engine
from policies.model import Effect
from roles.missing import missing_role
from roles.scenario import Scenario, What, Who, caller, question
from roles.tables.case import Case
from roles.tables.run import Difference, listed, run
from tests.builders.questions import real_bundle, real_catalogue, real_engine
from tests.builders.tables import cases_of, documents

LIMIT = """
- name: a
  roles: [Manager]
  action: payment:refund
  context: {amount: 50001}
  expect: EXPECT
  policies: POLICIES
"""


def told(text: str, engine: Engine | None = None) -> list[Difference]:
    """What differs in the only case of a table."""
    (outcome,) = run(cases_of(text), engine or real_engine(), real_catalogue())
    assert outcome.passed is (not outcome.differences)
    return list(outcome.differences)


def test_as_expected() -> None:
    """No difference."""
    assert told(LIMIT.replace("EXPECT", "deny").replace("POLICIES", "[]")) == []


def test_another_decision_and_other_policies() -> None:
    """Each is told by itself."""
    assert told(LIMIT.replace("EXPECT", "allow").replace("POLICIES", "[payment.manager-refund]")) == [
        Difference("expect", "allow", "deny"),
        Difference("policies", "payment.manager-refund", "(none)"),
    ]


@pytest.mark.parametrize(
    ("said", "differs"),
    [("Admin", []), ("Auditor", [Difference("missing_role", "Auditor", "Admin")]), ("null", [("(none)", "Admin")])],
)
def test_the_missing_role(said: str, differs: list[Difference | tuple[str, str]]) -> None:
    """It is found as the gateway finds it; null expects none."""
    text = LIMIT.replace("EXPECT", "deny").replace("POLICIES", f"[]\n  missing_role: {said}")
    wanted = [each if isinstance(each, Difference) else Difference("missing_role", *each) for each in differs]
    assert told(text) == wanted


@pytest.mark.parametrize(
    ("hour", "errors", "differs"),
    [
        (3, "[]", []),
        (23, "[doc.night]", []),
        (23, "[]", [Difference("errors", "(none)", "doc.night")]),
        (3, "[doc.night]", [Difference("errors", "doc.night", "(none)")]),
    ],
)
def test_a_policy_that_fails_is_a_difference_unless_it_is_expected(
    hour: int, errors: str, differs: list[Difference]
) -> None:
    """A table that stays green while a policy cannot be evaluated would hide it."""
    text = f"""
- name: a
  principal: {{type: Person, id: p, attrs: {{level: 3}}}}
  action: edit
  resource: {{type: Doc, id: d, attrs: {{owner: {{__entity: {{type: Person, id: p}}}}, public: false}}}}
  context: {{hour: {hour}}}
  expect: {"deny" if hour > 22 else "allow"}
  errors: {errors}
"""
    bundle = documents()
    (outcome,) = run(cases_of(text, bundle), Engine(bundle), real_catalogue())
    assert list(outcome.differences) == differs


def test_names_are_listed_in_order() -> None:
    """So that a report is the same each time."""
    assert listed(["b", "a"]) == "a, b"
    assert listed([]) == "(none)"


@st.composite
def scenarios(draw: st.DrawFn) -> Scenario:
    """Any caller, any action, any tenant, numbers around the limits."""
    action = draw(st.sampled_from(real_bundle().actions))
    numbers = {
        name: draw(st.sampled_from([-5001, -1, 0, 1, 10, 11, 50, 51, 100, 101, 5000, 50000, 50001]))
        for name, attribute in real_bundle().context_type(action).items()
        if attribute.type == "Long"
    }
    tenants = st.sampled_from(["acme", "globex", "platform", "-"])
    return Scenario(
        action=action,
        roles=tuple(draw(st.sets(st.sampled_from(real_catalogue().names), max_size=3))),
        principal=Who(tenant=draw(tenants)),
        resource=What(
            type=draw(st.sampled_from(real_bundle().resource_types(action))),
            id=draw(st.sampled_from(["*", "-"])),
            tenant=draw(tenants),
        ),
        context={**numbers, "cross_tenant": draw(st.booleans())},
    )


@given(scenarios(), st.randoms(use_true_random=False))
def test_what_the_engine_says_passes_and_its_opposite_fails(scenario: Scenario, dice: random.Random) -> None:
    """Whatever is asked; so do other reasons and another missing role."""
    asked = question(scenario, real_bundle(), real_catalogue())
    who = caller(scenario, real_catalogue())
    answer = real_engine().decide(asked)
    role = None if answer.allows else missing_role(asked, who, real_catalogue(), real_engine().decide)
    right = Case(
        name="a",
        file="t.yaml",
        line=1,
        action=next(uid for uid in real_bundle().schema.actions if uid.id == scenario.action),
        question=asked,
        caller=who,
        expect=answer.effect,
        policies=frozenset(answer.reasons),
        missing_role=msgspec.UNSET if answer.allows else role,
    )
    flipped = msgspec.structs.replace(right, expect=Effect.DENY if answer.allows else Effect.ALLOW)
    other = right.policies ^ {dice.choice(sorted(real_bundle().policies))} if right.policies is not None else None
    unreasoned = msgspec.structs.replace(right, policies=other)
    outcomes = run([right, flipped, unreasoned], real_engine(), real_catalogue())
    assert [outcome.passed for outcome in outcomes] == [True, False, False]
    if not answer.allows:
        offered = dice.choice([name for name in (*real_catalogue().offered, None) if name != role])
        (wrong,) = run([msgspec.structs.replace(right, missing_role=offered)], real_engine(), real_catalogue())
        assert [each.field for each in wrong.differences] == ["missing_role"]
