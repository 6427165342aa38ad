"""The decision tables of `tests/cases/decisions`: every action and every role, and what else a decision hangs on."""

import pytest
import yaml

from policies.model import Effect
from roles.tables.allowed import read_allowed, stale, unexpected
from roles.tables.case import Case
from roles.tables.coverage import coverage, percentage
from roles.tables.mutation import mutation
from roles.tables.run import run
from tests.builders.questions import (
    ROOT,
    make_principal,
    make_question,
    real_bundle,
    real_catalogue,
    real_engine,
)
from tests.builders.tables import shipped_cases, shipped_texts

ALLOWED = "tests/cases/mutants_allowed.yaml"
ROLE_TABLES = [table for _, text in shipped_texts() if isinstance(table := yaml.safe_load(text), dict)]


@pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in shipped_cases()])
def test_every_case(case: Case) -> None:
    """Everybody may do what the tables say, by the policies they say, and no policy fails on the way."""
    (outcome,) = run([case], real_engine(), real_catalogue())
    assert outcome.differences == ()
    assert outcome.answer.errors == ()


def test_the_table_has_every_action() -> None:
    """An action without a row fails here, and so does a row without an action."""
    rows = [action for table in ROLE_TABLES for action in table["decisions"]]
    assert sorted(rows) == list(real_bundle().actions)


def test_the_table_has_every_role() -> None:
    """Every table has every role of the catalogue, in its order."""
    assert {tuple(table["roles"]) for table in ROLE_TABLES} == {real_catalogue().names}


def test_there_are_enough_actions_and_each_is_of_a_kind() -> None:
    """At least 45 distinct actions, each `<kind>:<verb>`."""
    actions = real_bundle().actions
    assert len(actions) >= 45
    assert all(action.count(":") == 1 and all(action.split(":")) for action in actions)


def test_every_policy_and_every_condition_is_seen_both_ways() -> None:
    """A policy that never decides is dead or the tables have a hole; one that never stands aside may be too wide."""
    covered = coverage(run(shipped_cases(), real_engine(), real_catalogue()), real_bundle())
    assert {each.policy.id: each.holes for each in covered if each.holes} == {}
    assert percentage(covered) == 100


def test_the_tables_notice_every_mistake_that_can_be_noticed() -> None:
    """Each limit, role, action and condition of the policies is held by a case; what cannot be noticed is explained."""
    found = mutation(shipped_cases(), real_bundle(), real_catalogue())
    allowed = read_allowed(ALLOWED, (ROOT / ALLOWED).read_text(encoding="utf-8"))
    assert len(found.fates) > 450
    assert [mutant.name for mutant in unexpected(found.survivors, allowed)] == []
    assert stale(found.survivors, allowed, ALLOWED) == []


@pytest.mark.parametrize("role", [role.name for role in real_catalogue().roles if not role.cross_tenant])
def test_nobody_touches_another_tenant(role: str) -> None:
    """No role but the platform's is allowed any action in another tenant, the public catalogue's apart."""
    known = real_catalogue().get(role)
    assert known is not None
    contexts = {action: row for table in ROLE_TABLES for action, row in table.get("context", {}).items()}
    for action in real_bundle().actions:
        principal = make_principal([role], "-" if known.anonymous else "globex")
        for cross_tenant in (False, True):
            context = {**contexts.get(action, {}), "cross_tenant": cross_tenant}
            answer = real_engine().decide(make_question(principal, action, of="acme", context=context))
            allowed = known.anonymous and action == "product:browse"
            assert answer.effect is (Effect.ALLOW if allowed else Effect.DENY)
