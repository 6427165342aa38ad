"""What the mutation says is what would happen: a mistake that is noticed makes a case fail in the real engine."""

import random

import msgspec
import pytest

from policies.bundle import Bundle
from policies.engine import Engine
from policies.mutate import fitting, mutants
from roles.tables.case import Case
from roles.tables.mutation import mutation, neighbours
from roles.tables.run import run
from tests.builders.questions import real_bundle, real_catalogue
from tests.builders.tables import cases_of, documents, shipped_cases

FEW = """
- name: the limit
  roles: [Manager]
  action: payment:refund
  context: {amount: 50000}
  expect: allow
  policies: [payment.manager-refund]
- name: beyond
  roles: [Manager]
  action: payment:refund
  context: {amount: 50001}
  expect: deny
  policies: []
  missing_role: Admin
"""


def part(*files: str) -> Bundle:
    """The shipped policies of some files: the fewer there are, the sooner all their mistakes are made."""
    bundle = real_bundle()
    return Bundle((each for each in bundle.policies.values() if each.file in files), bundle.schema)


REFUNDS = part("payment.cedar", "tenancy.cedar")


def fails(case: Case, bundle: Bundle, *, strict: bool = False) -> bool:
    """Whether a case fails with a set of policies that was put together anew."""
    return not run([case], Engine(bundle, strict=strict), real_catalogue())[0].passed


def test_a_sample_of_mistakes_is_noticed_as_the_engine_would() -> None:
    """For each mistake, its killer fails with it and no case before it does; a survivor makes none fail."""
    bundle = real_bundle()
    cases = random.Random(7).sample(shipped_cases(), 60)
    found = mutation(cases, bundle, real_catalogue())
    assert {True, False} <= {fate.killed_by is None for fate in found.fates}
    for fate in random.Random(8).sample(found.fates, 40):
        policies = [policy for policy in bundle.policies.values() if policy.id != fate.mutant.origin]
        if fate.mutant.policy is not None:
            policies.append(msgspec.structs.replace(fate.mutant.policy, id=fate.mutant.origin))
        changed = Bundle(policies, bundle.schema)
        before = cases if fate.killed_by is None else cases[: cases.index(fate.killed_by)]
        engine = Engine(changed)
        assert all(outcome.passed for outcome in run(before, engine, real_catalogue())), fate.mutant.name
        assert fate.killed_by is None or fails(fate.killed_by, changed), fate.mutant.name


@pytest.mark.parametrize("strict", [False, True])
def test_policies_that_fail_are_mistaken_as_the_engine_would(strict: bool) -> None:
    """With an erroring forbid among them, in either mode."""
    bundle = documents()
    text = "".join(
        f"""
- name: at {hour} by {owner}
  principal: {{type: Person, id: p, attrs: {{level: 3}}}}
  action: edit
  resource: {{type: Doc, id: d, attrs: {{owner: {{__entity: {{type: Person, id: {owner}}}}}, public: false}}}}
  context: {{hour: {hour}}}
  expect: {"allow" if hour == 3 and owner == "p" else "deny"}
  errors: {"[doc.night]" if hour == 23 else "[]"}
"""
        for hour in (3, 22, 23)
        for owner in "pq"
    )
    cases = cases_of(text, bundle)
    for fate in mutation(cases, bundle, real_catalogue(), strict=strict).fates:
        policies = [policy for policy in bundle.policies.values() if policy.id != fate.mutant.origin]
        if fate.mutant.policy is not None:
            policies.append(msgspec.structs.replace(fate.mutant.policy, id=fate.mutant.origin))
        changed = Bundle(policies, bundle.schema)
        killers = [case for case in cases if fails(case, changed, strict=strict)]
        assert fate.killed_by == (killers[0] if killers else None), fate.mutant.name


def test_a_limit_that_no_case_holds_is_found() -> None:
    """Two cases around a limit hold it; take one away and the mistake survives."""
    limit = "payment.manager-refund: context.amount <= 50000 became context.amount"
    whole = mutation(cases_of(FEW), REFUNDS, real_catalogue())
    fates = {fate.mutant.name: fate.killed_by for fate in whole.fates if fate.mutant.name.startswith(limit)}
    assert {name.removeprefix(limit): killer.name for name, killer in fates.items() if killer} == {
        " < 50000": "the limit",
        " <= 49999": "the limit",
        " <= 50001": "beyond",
    }
    half = mutation(cases_of(FEW)[:1], REFUNDS, real_catalogue())
    assert f"{limit} <= 50001" in {mutant.name for mutant in half.survivors}
    assert half.score < whole.score < 100


def test_the_missing_role_notices_too() -> None:
    """An Admin who could no longer refund would make the refusal name another role."""
    whole = mutation(cases_of(FEW), REFUNDS, real_catalogue())
    killed = {fate.mutant.name: fate.killed_by.name for fate in whole.fates if fate.killed_by}
    assert killed["tenancy.admin: dropped"] == "beyond"


def test_the_score_counts_what_could_be_put_in_force() -> None:
    """Mistakes the schema refuses are counted apart."""
    bundle = REFUNDS
    every = mutants(bundle, neighbours(real_catalogue()))
    found = mutation(cases_of(FEW), bundle, real_catalogue())
    assert len(found.fates) == len(fitting(every, bundle.schema))
    assert found.unfit == len(every) - len(found.fates) > 0
    assert found.score == pytest.approx(100 * (len(found.fates) - len(found.survivors)) / len(found.fates))


def test_roles_are_mistaken_for_those_beside_them() -> None:
    """The first and the last have one neighbour."""
    beside = {role.id: [other.id for other in others] for role, others in neighbours(real_catalogue()).items()}
    names = real_catalogue().names
    assert beside[names[0]] == [names[1]]
    assert beside[names[1]] == [names[0], names[2]]
    assert beside[names[-1]] == [names[-2]]


def test_a_part_of_the_cases_answers_for_what_it_asks_about() -> None:
    """Mistakes in policies of other actions are not held against it."""
    whole = mutation(cases_of(FEW), REFUNDS, real_catalogue())
    part = mutation(cases_of(FEW), REFUNDS, real_catalogue(), part=True)
    left_out = {fate.mutant.origin for fate in whole.fates} - {fate.mutant.origin for fate in part.fates}
    assert "payment.take" in left_out
    assert {fate.mutant.origin for fate in part.fates} == {
        *("payment.manager-refund", "payment.refund-something"),
        *("tenancy.admin", "tenancy.super-admin", "tenancy.wall"),
    }
