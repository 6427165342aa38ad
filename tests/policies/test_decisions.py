"""The decision table of `tests/cases/decisions`: every action and every role, and what else a decision hangs on."""

from typing import Any

import pytest
import yaml

from policies.model import Effect, Question
from roles.missing import missing_role
from tests.builders.questions import (
    ROOT,
    make_principal,
    make_question,
    real_bundle,
    real_catalogue,
    real_engine,
)

CASES = ROOT / "tests/cases/decisions"
TABLES = {path.stem: yaml.safe_load(path.read_text()) for path in sorted(CASES.glob("*.yaml"))}
CONDITIONS: list[dict[str, Any]] = TABLES.pop("conditions")


CELLS = [
    pytest.param(action, role, table, expected, id=f"{action}-{role}")
    for table in TABLES.values()
    for action, row in table["decisions"].items()
    for role, expected in zip(table["roles"], row, strict=True)
]


def asked(action: str, role: str, table: dict[str, Any]) -> Question:
    """A role asks inside its own tenant: the table's; the platform for who crosses tenants; none for nobody."""
    known = real_catalogue().get(role)
    assert known is not None
    tenant = "platform" if known.cross_tenant else "-" if known.anonymous else table["tenant"]
    return make_question(
        make_principal([role], tenant),
        action,
        of=table["tenant"] if known.anonymous else tenant,
        resource_type=table["resource"],
        context=table.get("context", {}).get(action),
    )


@pytest.mark.parametrize(("action", "role", "table", "expected"), CELLS)
def test_every_cell_of_the_table(action: str, role: str, table: dict[str, Any], expected: str) -> None:
    """Every role may do to every kind of resource what the table says, and no policy fails on the way."""
    answer = real_engine().decide(asked(action, role, table))
    assert answer.effect == expected
    assert answer.errors == ()


@pytest.mark.parametrize("case", [pytest.param(case, id=case["description"]) for case in CONDITIONS])
def test_every_condition(case: dict[str, Any]) -> None:
    """A decision that hangs on more than the role is as stated, for the stated reasons."""
    principal = make_principal(case["roles"], case.get("tenant", "acme"))
    question = make_question(
        principal,
        case["action"],
        of=case.get("of"),
        resource_id=case.get("resource_id", "r-1"),
        context=case.get("context"),
    )
    answer = real_engine().decide(question)
    assert (answer.effect, list(answer.reasons)) == (case["decision"], case["reasons"])
    if "missing_role" in case:
        found = missing_role(question, principal, real_catalogue(), real_engine().decide)
        assert found == case["missing_role"]


def test_the_table_has_every_action() -> None:
    """An action without a row fails here, and so does a row without an action."""
    rows = [action for table in TABLES.values() for action in table["decisions"]]
    assert sorted(rows) == list(real_bundle().actions)


def test_the_table_has_every_role() -> None:
    """Every table has every role of the catalogue, in its order."""
    assert {tuple(table["roles"]) for table in TABLES.values()} == {real_catalogue().names}


def test_there_are_enough_actions_and_each_is_of_a_kind() -> None:
    """At least 45 distinct actions, each `<kind>:<verb>`."""
    actions = real_bundle().actions
    assert len(actions) >= 45
    assert all(action.count(":") == 1 and all(action.split(":")) for action in actions)


def test_every_policy_decides_something() -> None:
    """A policy that is never a reason in the whole table is dead, or the table has a hole."""
    reasons = {
        reason
        for action, role, table, _ in (cell.values for cell in CELLS)
        for reason in real_engine().decide(asked(action, role, table)).reasons
    }
    for case in CONDITIONS:
        reasons.update(case["reasons"])
    assert reasons == set(real_bundle().policies)


@pytest.mark.parametrize("role", [role.name for role in real_catalogue().roles if not role.cross_tenant])
def test_nobody_touches_another_tenant(role: str) -> None:
    """No role but the platform's is allowed any action in another tenant, the public catalogue's apart."""
    known = real_catalogue().get(role)
    assert known is not None
    contexts = {action: row for table in TABLES.values() for action, row in table.get("context", {}).items()}
    for action in real_bundle().actions:
        principal = make_principal([role], "-" if known.anonymous else "globex")
        for cross_tenant in (False, True):
            context = {**contexts.get(action, {}), "cross_tenant": cross_tenant}
            answer = real_engine().decide(make_question(principal, action, of="acme", context=context))
            allowed = known.anonymous and action == "product:browse"
            assert answer.effect is (Effect.ALLOW if allowed else Effect.DENY)
