"""What became of each policy: nothing is said that Cedar does not say."""

import pytest
from hypothesis import HealthCheck, given, settings

from policies.account import Account, Accountant, Checked, Truth, Verdict
from policies.bundle import Bundle
from policies.engine import Engine
from policies.errors import NoDecision
from policies.load import build_bundle
from policies.model import Effect, Question
from policies.parts import Kind
from roles.model import Principal
from tests.builders.questions import make_principal, make_question, real_bundle
from tests.builders.small_world import SCHEMA, ask, bundles, holds, questions


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=40)
@given(bundles(), questions())
def test_accounts_agree_with_the_engine_and_with_cedar(bundle: Bundle, asked: tuple[Question, Principal]) -> None:
    """Who applied is who decided; what is called true or false is so when asked alone; something is to blame."""
    question = asked[0]
    answer = Engine(bundle).decide(question)
    accounts = Accountant(bundle).account(question)
    assert [account.policy for account in accounts] == list(bundle.policies)
    applied = {
        account.policy for account in accounts if account.verdict is Verdict.APPLIED and account.effect is answer.effect
    }
    failed = {account.policy for account in accounts if account.verdict is Verdict.ERROR}
    assert failed == {error.policy_id for error in answer.errors}
    assert applied <= set(answer.reasons) <= applied | failed
    for account in accounts:
        assert bool(account.blame) is (account.verdict is not Verdict.APPLIED)
        for part in account.parts:
            if part.kind in {Kind.WHEN, Kind.UNLESS}:
                alone = holds(part.text, question)
                assert alone == {Truth.TRUE: True, Truth.FALSE: False}.get(part.truth)
            if part.to_blame and account.verdict is Verdict.NOT_APPLIED:
                assert (part.truth is Truth.TRUE) is (part.kind is Kind.UNLESS)


def _account(policy: str, **context: object) -> Account:
    bundle = build_bundle([("p.cedar", f'@id("p") @reason("r") {policy}')], SCHEMA)
    full = {"x": 5, "y": 5, "flag": False, "word": "w", **context}
    (account,) = Accountant(bundle).account(ask(("A",), full)[0])  # type: ignore[arg-type]  # JSON values
    return account


def _said(account: Account) -> list[tuple[str, str, bool]]:
    return [
        (part.text, part.truth.value, part.to_blame) for part in account.parts if part.kind in {Kind.WHEN, Kind.UNLESS}
    ]


def test_the_false_half_of_a_conjunction_is_named() -> None:
    """And only that."""
    text = "permit (principal, action, resource) when { context.x > 4 && context.flag };"
    column = len('@id("p") @reason("r") ') + text.index("context.flag") + 1
    account = _account(text)
    assert account.verdict is Verdict.NOT_APPLIED
    assert account.blame == (Checked(Kind.WHEN, "context.flag", "p.cedar", 1, column, Truth.FALSE, to_blame=True),)
    assert _said(account)[0] == ("context.x > 4", "true", False)


def test_an_unless_is_to_blame_when_all_of_it_is_true() -> None:
    """Where half of it is false it is not."""
    policy = "forbid (principal, action, resource) unless { context.x > 4 && context.flag };"
    assert _said(_account(policy, flag=True)) == [("context.x > 4", "true", True), ("context.flag", "true", True)]
    applied = _account(policy)
    assert (applied.verdict, applied.effect) == (Verdict.APPLIED, Effect.DENY)
    assert _said(applied) == [("context.x > 4", "true", False), ("context.flag", "false", False)]


def test_half_an_unless_is_nobody_s_fault() -> None:
    """Another condition is false, and only that one is named."""
    policy = "permit (principal, action, resource) when { context.flag } unless { context.x > 4 && context.y > 9 };"
    assert _said(_account(policy)) == [
        ("context.flag", "false", True),
        ("context.x > 4", "true", False),
        ("context.y > 9", "false", False),
    ]


def test_what_a_guard_keeps_from_being_evaluated_is_not_an_error() -> None:
    """Alone it would be one."""
    account = _account("permit (principal, action, resource) when { context has extra && context.extra > 1 };")
    assert _said(account) == [("context has extra", "false", True), ("context.extra > 1", "unreached", False)]
    scope = _account(f'permit (principal in Role::"B", action, resource) when {{ {2**63 - 1} + 1 > 0 }};')
    assert scope.verdict is Verdict.NOT_APPLIED
    assert [part.truth for part in scope.parts][-1] is Truth.UNREACHED


def test_what_cannot_be_evaluated_says_why() -> None:
    """Without a value of the request."""
    account = _account("permit (principal, action, resource) when { context.x + 1 > 4 };", x=2**63 - 1)
    assert account.verdict is Verdict.ERROR
    (part,) = account.blame
    assert part.truth is Truth.ERROR
    assert part.message == account.message == "integer overflow while attempting to add the values `…` and `1`"


def test_only_policies_with_a_say_are_accounted_for() -> None:
    """The slice of the action."""
    accounts = Accountant(real_bundle()).account(make_question(make_principal(["Cashier"]), "order:create"))
    assert [account.policy for account in accounts] == [
        "order.sell",
        "tenancy.admin",
        "tenancy.super-admin",
        "tenancy.wall",
    ]
    assert accounts[0].reason == "a Cashier sells"
    assert (accounts[0].file, accounts[0].line) == ("order.cedar", 8)


def test_what_does_not_fit_the_schema_is_not_accounted_for() -> None:
    """As it is not decided."""
    with pytest.raises(NoDecision):
        Accountant(real_bundle()).account(make_question(make_principal([]), "order:discount"))
