"""Policies weighed one by one decide, put together again, as the engine does."""

import random

import msgspec
import pytest

from policies.engine import Engine
from policies.errors import NoDecision
from policies.model import EntityUid
from policies.weigh import Scale, decided
from tests.builders.questions import real_bundle, real_engine
from tests.builders.tables import POLICIES, SCHEMA, cases_of, checked, documents, shipped_cases

CASES = """
- name: a
  principal: {type: Person, id: p, attrs: {level: LEVEL}}
  action: ACTION
  resource: {type: Doc, id: d, attrs: {owner: {__entity: {type: Person, id: OWNER}}, public: PUBLIC}}
  context: CONTEXT
  expect: deny
"""


def test_what_is_weighed_decides_as_the_engine_does() -> None:
    """Effect and reasons of every shipped case; a sample, for speed."""
    bundle = real_bundle()
    scale = Scale(bundle.policies.values(), bundle.schema)
    effects = {policy.id: policy.effect for policy in bundle.policies.values()}
    for case in random.Random(1).sample(shipped_cases(), 200):
        weight = scale.weigh(case.action, case.question)
        assert decided(weight, effects) == real_engine().decide_action(case.action, case.question)


@pytest.mark.parametrize("strict", [False, True])
def test_policies_that_fail_decide_as_in_the_engine(strict: bool) -> None:
    """An erroring forbid denies; in strict mode an erroring permit does, too."""
    senior = "permit (principal, action, resource) when { principal.level + 9223372036854775806 > 0 };"
    bundle = checked(f'{POLICIES}@id("senior") @reason("fails from level 2 on") {senior}', SCHEMA)
    effects = {policy.id: policy.effect for policy in bundle.policies.values()}
    scale, engine = Scale(bundle.policies.values(), bundle.schema), Engine(bundle, strict=strict)
    seen = set()
    for number in range(64):
        text = CASES.replace("LEVEL", str(number & 2)).replace("ACTION", "edit" if number & 1 else "view")
        text = text.replace("OWNER", "p" if number & 4 else "q").replace("PUBLIC", "true" if number & 8 else "false")
        text = text.replace("CONTEXT", ("{hour: 22}", "{hour: 23}", "{hour: 3}", "{hour: 99}")[number >> 4])
        (case,) = cases_of(text, bundle)
        weight = scale.weigh(case.action, case.question)
        answer = engine.decide_action(case.action, case.question)
        ours = decided(weight, effects, strict=strict)
        assert (ours.effect, ours.reasons) == (answer.effect, answer.reasons)
        assert [error.policy_id for error in ours.errors] == [error.policy_id for error in answer.errors]
        seen.add((answer.effect, bool(answer.errors)))
    assert len(seen) >= 3


def test_an_error_that_names_no_policy_is_no_weight() -> None:
    """Whose it is stands in Cedar's text alone; where it cannot be read there nothing is guessed."""
    bundle = documents()
    odd = msgspec.structs.replace(bundle.policies["doc.night"], id="a`b")
    text = CASES.replace("LEVEL", "3").replace("ACTION", "edit").replace("CONTEXT", "{hour: 23}")
    (case,) = cases_of(text.replace("PUBLIC", "true"), bundle)
    with pytest.raises(NoDecision, match="an error that names no policy"):
        Scale([odd], bundle.schema).weigh(case.action, case.question)


def test_a_question_that_does_not_fit_is_no_weight() -> None:
    """As with the engine: nothing is guessed."""
    bundle = documents()
    case = cases_of(CASES.replace("LEVEL", "x").replace("ACTION", "view").replace("CONTEXT", "{hour: 1}"), bundle)[0]
    with pytest.raises(NoDecision):
        Scale(bundle.policies.values(), bundle.schema).weigh(case.action, case.question)
    with pytest.raises(NoDecision, match="the schema declares no such action"):
        Scale(bundle.policies.values(), bundle.schema).weigh(EntityUid("Action", "burn"), case.question)
